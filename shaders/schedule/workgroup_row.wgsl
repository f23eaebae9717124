// A workgroup owns a group of rows, class axis last, and takes them one after another: its lanes stride over a row's chunks.
//
// Rows need not start on a chunk boundary, but groups do. A row's chunks are therefore of two kinds: interior ones, which
// belong to the row alone, and edges, which it shares with a neighbour of the same group, or with the gap between rows.
// Edges are read under a mask and written once, when the whole group is finished, so no two workgroups ever touch the same
// chunk.
//
// Needs: place, reduce, math/softcap, and a loss or pass fragment: Row, row_begin, excluded_class, Partial, partial_*, ROW_PASSES,
// row_continue, Record, row_finish, row_map, row_map_special, special_class, is_constant, constant, READS_ROW.
// Provides: load_logit, and the entry points forward and forward_gradient.

override EDGES: bool = true;  // false where every row starts and ends on a chunk boundary and the masks are dead weight
const MAX_GROUP_ROWS = 4u;
// Blocks of four chunks a lane sums before it starts afresh: bounds the length, and so the rounding error, of a running sum.
const STRIP = 64u;

fn largest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

// The logit of a class of the row whose class 0 is at `first_element`.
fn load_logit(first_element: u32, class_id: u32) -> f32 {
    return capped(vec4(load_element(first_element + class_id))).x;
}

// Chunks [first, last) lie wholly inside the row that starts at element begin.
struct Extent {
    begin: u32,
    end: u32,
    first: u32,
    last: u32,
}

fn row_extent(row: u32) -> Extent {
    let begin = row * params.outer_stride;
    let end = begin + params.classes;
    let first = (begin + 3u) / 4u;
    return Extent(begin, end, first, max(first, end / 4u));
}

// Positions before the row wrap to large class numbers, like those behind it.
fn classes_of(chunk: u32, e: Extent) -> vec4<u32> { return 4u * chunk + vec4(0u, 1u, 2u, 3u) - e.begin; }

// An interior chunk, or -inf where there is none or where the target is: such a chunk is read by add_edge.
fn load_interior(chunk: u32, last: u32, excluded: u32) -> vec4<f32> {
    let x = capped(load_chunk(min(chunk, last - 1u)));
    return select(vec4(params.minus_infinity), x, chunk < last && chunk != excluded);
}

fn add_block(acc: Partial, chunk: u32, e: Extent, excluded: u32, row: Row) -> Partial {
    let c = chunk + vec4(0u, 1u, 2u, 3u) * WORKGROUP_SIZE;
    let x0 = load_interior(c.x, e.last, excluded);
    let x1 = load_interior(c.y, e.last, excluded);
    let x2 = load_interior(c.z, e.last, excluded);
    let x3 = load_interior(c.w, e.last, excluded);
    var r = partial_raise(acc, largest(max(max(x0, x1), max(x2, x3))));
    r = partial_add(r, x0, block_classes(c.x, e, excluded), row);
    r = partial_add(r, x1, block_classes(c.y, e, excluded), row);
    r = partial_add(r, x2, block_classes(c.z, e, excluded), row);
    return partial_add(r, x3, block_classes(c.w, e, excluded), row);
}

fn block_classes(chunk: u32, e: Extent, excluded: u32) -> vec4<u32> {
    return select(vec4(0xffffffffu), classes_of(chunk, e), chunk < e.last && chunk != excluded);
}

// The chunks that need a mask are the row's first and last, where it shares them, and the target's: one lane each.
fn add_edge(acc: Partial, e: Extent, excluded: u32, excluded_class: u32, lane: u32, row: Row) -> Partial {
    var chunk = excluded;
    var mine = lane == 2u && excluded >= e.first && excluded < e.last;
    if EDGES {
        if lane == 0u {
            chunk = e.begin / 4u;
            mine = e.begin % 4u != 0u;
        }
        if lane == 1u {
            chunk = e.end / 4u;
            mine = e.end % 4u != 0u && (chunk != e.begin / 4u || e.begin % 4u == 0u);
        }
    }
    chunk = select(e.begin / 4u, chunk, mine);
    let class_id = classes_of(chunk, e);
    let keep = (class_id < vec4(params.classes)) & (class_id != vec4(excluded_class)) & vec4(mine);
    let x = select(vec4(params.minus_infinity), capped(load_chunk(chunk)), keep);
    return partial_add(partial_raise(acc, largest(x)), x, select(vec4(0xffffffffu), class_id, keep), row);
}

// One reading of the row.
fn read_pass(e: Extent, row: Row, lane: Lane) -> Partial {
    let class_id = excluded_class(row);
    // No class wraps to a chunk that is not in the row; the comparisons above then never hold.
    let excluded = select((e.begin + class_id) / 4u, 0xffffffffu, class_id >= params.classes);
    var acc = add_edge(partial_identity(), e, excluded, class_id, lane.index, row);
    let stride = 4u * WORKGROUP_SIZE;
    for (var strip = e.first + lane.index; strip < e.last; strip += STRIP * stride) {
        let end = min(e.last, strip + STRIP * stride);
        var sum = partial_identity();
        for (var chunk = strip; chunk < end; chunk += stride) { sum = add_block(sum, chunk, e, excluded, row); }
        acc = partial_combine(acc, sum);
    }
    return acc;
}

fn read_row(index: u32, lane: Lane) -> Record {
    let e = row_extent(index);
    var row = row_begin(index, e.begin);
    if !READS_ROW { return row_finish(partial_identity(), row, lane); }
    if ROW_PASSES == 2u { row = row_continue(read_pass(e, row, lane), row, lane); }
    return row_finish(read_pass(e, row, lane), row, lane);
}

// Writes the interior chunks. The chunk with the target is written twice by the same lane: once as if the target were any
// other class, which spares the loop a comparison a logit, and then as it should be.
fn write_interior(index: u32, record: Record, lane: Lane) {
    let e = row_extent(index);
    let class_id = special_class(record);
    let special = (e.begin + class_id) / 4u;
    let has_special = class_id < params.classes && special >= e.first && special < e.last;
    let before = load_chunk(select(e.begin / 4u, special, has_special));
    before_stores();
    let first = e.first + lane.index;
    if is_constant(record) {
        for (var chunk = first; chunk < e.last; chunk += WORKGROUP_SIZE) { store_chunk(chunk, vec4(constant(record))); }
        return;
    }
    for (var chunk = first; chunk < e.last; chunk += WORKGROUP_SIZE) {
        let x = load_chunk(chunk);
        store_chunk(chunk, row_map(capped(x), classes_of(chunk, e), record) * cap_slope(x));
    }
    if has_special && (special - e.first) % WORKGROUP_SIZE == lane.index {
        store_chunk(special, row_map_special(capped(before), classes_of(special, e), record) * cap_slope(before));
    }
}

var<workgroup> records: array<Record, MAX_GROUP_ROWS>;

// The chunk that row `row` of the group shares at its front, or else at its back; once, by the first row that has a part in
// it, where several have.
fn write_edge(group: u32, rows: u32, row: u32, front: bool) {
    let stride = params.outer_stride;
    let begin = row * stride;
    let end = begin + params.classes;
    let boundary = select(end, begin, front);
    let chunk = boundary / 4u;
    if boundary % 4u == 0u || (front && end / 4u == chunk && end % 4u != 0u) { return; }
    // The first row that ends behind the chunk's start.
    let start = 4u * chunk;
    let first = select((start - min(start, params.classes)) / stride + 1u, 0u, start < params.classes);
    if row != first { return; }
    // Groups start on a chunk boundary.
    let own = group * stride / 4u + chunk;
    let x = load_chunk(own);
    var g = vec4(0.0);
    var keep = vec4(false);
    for (var i = 0u; i < 4u; i++) {
        let r = (start + i) / stride;
        let class_id = (start + i) % stride;
        if r < rows && class_id < params.classes {
            keep[i] = true;
            let record = records[r];
            let value = row_map_special(capped(vec4(x[i])), vec4(class_id), record) * cap_slope(vec4(x[i]));
            g[i] = select(value.x, constant(record), is_constant(record));
        }
    }
    store_masked(own, g, keep);
}

fn group_of(workgroup: vec3<u32>, grid: vec3<u32>) -> u32 {
    return (workgroup.x + workgroup.y * grid.x) * params.group_rows;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let first = group_of(workgroup, grid);
    let end = min(first + params.group_rows, params.rows);
    for (var row = first; row < end; row++) { let record = read_row(row, lane); }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let first = group_of(workgroup, grid);
    let end = min(first + params.group_rows, params.rows);
    for (var row = first; row < end; row++) {
        let record = read_row(row, lane);
        if EDGES && lane.index == 0u { records[row - first] = record; }
        write_interior(row, record, lane);
    }
    if EDGES {
        workgroupBarrier();
        // At most four rows, with two edges each; none in a workgroup that fills up a two-dimensional grid.
        let rows = max(end, first) - first;
        for (var i = lane.index; i < 2u * rows; i += WORKGROUP_SIZE) { write_edge(first, rows, i / 2u, i % 2u == 0u); }
    }
}
