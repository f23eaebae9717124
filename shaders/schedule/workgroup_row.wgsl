// A workgroup owns a group of rows and takes them one after another: its lanes stride over a row's chunks.
//
// Rows need not start on a chunk boundary, but groups do. A row's chunks are therefore of two kinds: interior ones, which
// belong to the row alone, and edges, which it shares with a neighbour of the same group. Edges are read under a mask and
// written once, when the whole group is finished, so no two workgroups ever touch the same chunk.
//
// Needs: elem, reduce, and a loss or pass fragment: Row, row_begin, excluded_class, Partial, partial_*, Record, row_finish,
// row_map,
// READS_ROW. Provides: the entry points forward and forward_gradient.

const MAX_GROUP_ROWS = 4u;
// Blocks of four chunks a lane sums before it starts afresh: bounds the length, and so the rounding error, of a running sum.
const STRIP = 64u;

fn largest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

fn load_logit(element: u32) -> f32 { return load_chunk(element / 4u)[element % 4u]; }

// Chunks [first, last) lie wholly inside the row that starts at element begin.
struct Extent {
    begin: u32,
    end: u32,
    first: u32,
    last: u32,
}

fn row_extent(row: u32) -> Extent {
    let begin = params.logits_base + row * params.classes;
    let end = begin + params.classes;
    let first = (begin + 3u) / 4u;
    return Extent(begin, end, first, max(first, end / 4u));
}

// Positions before the row wrap to large class numbers, like those behind it.
fn classes_of(chunk: u32, e: Extent) -> vec4<u32> { return 4u * chunk + vec4(0u, 1u, 2u, 3u) - e.begin; }

// An interior chunk, or -inf where there is none or where the target is: such a chunk is read by add_edge.
fn load_interior(chunk: u32, last: u32, excluded: u32) -> vec4<f32> {
    let x = load_chunk(min(chunk, last - 1u));
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
    var chunk = e.begin / 4u;
    var mine = lane == 0u && e.begin % 4u != 0u;
    if lane == 1u {
        chunk = e.end / 4u;
        mine = e.end % 4u != 0u && (chunk != e.begin / 4u || e.begin % 4u == 0u);
    }
    if lane == 2u {
        chunk = excluded;
        mine = excluded >= e.first && excluded < e.last;
    }
    chunk = select(e.begin / 4u, chunk, mine);
    let class_id = classes_of(chunk, e);
    let keep = (class_id < vec4(params.classes)) & (class_id != vec4(excluded_class)) & vec4(mine);
    let x = select(vec4(params.minus_infinity), load_chunk(chunk), keep);
    return partial_add(partial_raise(acc, largest(x)), x, select(vec4(0xffffffffu), class_id, keep), row);
}

fn read_row(index: u32, lane: Lane) -> Record {
    let e = row_extent(index);
    let row = row_begin(index, e.begin);
    let class_id = excluded_class(row);
    // No class wraps to a chunk that is not in the row; the comparisons above then never hold.
    let excluded = select((e.begin + class_id) / 4u, 0xffffffffu, class_id >= params.classes);
    var acc = partial_identity();
    if !READS_ROW { return row_finish(acc, row, lane); }
    acc = add_edge(acc, e, excluded, class_id, lane.index, row);
    let stride = 4u * WORKGROUP_SIZE;
    for (var strip = e.first + lane.index; strip < e.last; strip += STRIP * stride) {
        let end = min(e.last, strip + STRIP * stride);
        var sum = partial_identity();
        for (var chunk = strip; chunk < end; chunk += stride) { sum = add_block(sum, chunk, e, excluded, row); }
        acc = partial_combine(acc, sum);
    }
    return row_finish(acc, row, lane);
}

fn write_interior(index: u32, record: Record, lane: Lane) {
    let e = row_extent(index);
    for (var chunk = e.first + lane.index; chunk < e.last; chunk += WORKGROUP_SIZE) {
        store_chunk(chunk, row_map(load_chunk(chunk), classes_of(chunk, e), record));
    }
}

var<workgroup> records: array<Record, MAX_GROUP_ROWS>;

// The chunk that holds the boundary behind row `index` of the group, once: rows shorter than a chunk put several
// boundaries into one, and then the first of them is in charge.
fn write_edge(first_row: u32, rows: u32, index: u32) {
    let group_begin = params.logits_base + first_row * params.classes;
    let group_end = group_begin + rows * params.classes;
    let boundary = group_begin + (index + 1u) * params.classes;
    let chunk = boundary / 4u;
    if boundary % 4u == 0u || boundary - params.classes > 4u * chunk { return; }
    let x = load_chunk(chunk);
    var g = vec4(0.0);
    for (var i = 0u; i < 4u; i++) {
        let element = 4u * chunk + i;
        if element >= group_begin && element < group_end {
            let row = (element - group_begin) / params.classes;
            let class_id = (element - group_begin) % params.classes;
            g[i] = row_map(vec4(x[i]), vec4(class_id), records[row]).x;
        }
    }
    store_partial(chunk, g, min(4u, group_end - 4u * chunk));
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
        if lane.index == 0u { records[row - first] = record; }
        before_stores();
        write_interior(row, record, lane);
    }
    workgroupBarrier();
    if first + lane.index < end { write_edge(first, end - first, lane.index); }
}
