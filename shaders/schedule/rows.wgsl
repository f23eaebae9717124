// A team of lanes owns a group of rows, class axis last, and takes them one after another: its lanes stride over a row's
// chunks. A team is a workgroup, or a lane by itself where rows are short or there is no lane to wait for.
//
// Rows need not start on a chunk boundary, but groups do. A row's chunks are therefore of two kinds: interior ones, which
// belong to the row alone, and edges, which it shares with a neighbour of the same group, or with the gap between rows.
// Edges are read under a mask and written once, when the whole group is finished, so no two teams ever touch the same chunk.
//
// Needs: place, reduce, schedule/team, math/softcap, and a loss or pass fragment: Row, row_begin, excluded_class, Partial,
// partial_*, ROW_PASSES, row_continue, Record, row_finish, row_map, row_map_special, special_class, is_constant, constant,
// READS_ROW. Provides: load_logit, and the entry points forward and forward_gradient.

override EDGES: bool = true;  // false where every row starts and ends on a chunk boundary and the masks are dead weight
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

// An interior chunk, or -inf where the target is: such a chunk is read by add_side.
fn load_interior(chunk: u32, excluded: u32) -> vec4<f32> {
    return select(vec4(params.minus_infinity), capped(load_chunk(chunk)), chunk != excluded);
}

fn interior_classes(chunk: u32, e: Extent, excluded: u32) -> vec4<u32> {
    return select(vec4(0xffffffffu), classes_of(chunk, e), chunk != excluded);
}

fn add_chunk(acc: Partial, chunk: u32, e: Extent, excluded: u32, row: Row) -> Partial {
    let x = load_interior(chunk, excluded);
    return partial_add(partial_raise(acc, largest(x)), x, interior_classes(chunk, e, excluded), row);
}

// Four chunks of a lane: one rise of the maximum for all of them.
fn add_block(acc: Partial, chunk: u32, e: Extent, excluded: u32, row: Row) -> Partial {
    let c = chunk + vec4(0u, 1u, 2u, 3u) * TEAM;
    let x0 = load_interior(c.x, excluded);
    let x1 = load_interior(c.y, excluded);
    let x2 = load_interior(c.z, excluded);
    let x3 = load_interior(c.w, excluded);
    var r = partial_raise(acc, largest(max(max(x0, x1), max(x2, x3))));
    r = partial_add(r, x0, interior_classes(c.x, e, excluded), row);
    r = partial_add(r, x1, interior_classes(c.y, e, excluded), row);
    r = partial_add(r, x2, interior_classes(c.z, e, excluded), row);
    return partial_add(r, x3, interior_classes(c.w, e, excluded), row);
}

// The chunks that need a mask: the target's, and the row's first and last where it shares them.
fn add_side(acc: Partial, side: u32, e: Extent, excluded: u32, excluded_class: u32, row: Row) -> Partial {
    var chunk = excluded;
    var mine = side == 0u && excluded >= e.first && excluded < e.last;
    if EDGES {
        if side == 1u {
            chunk = e.begin / 4u;
            mine = e.begin % 4u != 0u;
        }
        if side == 2u {
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

override SIDES: u32 = select(1u, 3u, EDGES);

// One reading of the row.
fn read_pass(e: Extent, row: Row, lane: Lane) -> Partial {
    let class_id = excluded_class(row);
    // No class wraps to a chunk that is not in the row; the comparisons above then never hold.
    let excluded = select((e.begin + class_id) / 4u, 0xffffffffu, class_id >= params.classes);
    var acc = partial_identity();
    for (var side = lane.index; side < SIDES; side += TEAM) { acc = add_side(acc, side, e, excluded, class_id, row); }
    let stride = 4u * TEAM;
    for (var strip = e.first + lane.index; strip < e.last; strip += STRIP * stride) {
        let end = min(e.last, strip + STRIP * stride);
        var sum = partial_identity();
        var chunk = strip;
        for (; chunk + 3u * TEAM < end; chunk += stride) { sum = add_block(sum, chunk, e, excluded, row); }
        for (; chunk < end; chunk += TEAM) { sum = add_chunk(sum, chunk, e, excluded, row); }
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
    team_before_stores();
    let first = e.first + lane.index;
    if is_constant(record) {
        for (var chunk = first; chunk < e.last; chunk += TEAM) { store_chunk(chunk, vec4(constant(record))); }
        return;
    }
    for (var chunk = first; chunk < e.last; chunk += TEAM) {
        let x = load_chunk(chunk);
        store_chunk(chunk, row_map(capped(x), classes_of(chunk, e), record) * cap_slope(x));
    }
    if has_special && (special - e.first) % TEAM == lane.index {
        store_chunk(special, row_map_special(capped(before), classes_of(special, e), record) * cap_slope(before));
    }
}

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

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let me = team_lane(lane);
    let first = team_of(workgroup.x + workgroup.y * grid.x, lane) * params.group_rows;
    let end = min(first + params.group_rows, params.rows);
    for (var row = first; row < end; row++) { let record = read_row(row, me); }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward_gradient(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, lane: Lane) {
    let me = team_lane(lane);
    let first = team_of(workgroup.x + workgroup.y * grid.x, lane) * params.group_rows;
    let end = min(first + params.group_rows, params.rows);
    for (var row = first; row < end; row++) {
        let record = read_row(row, me);
        if EDGES && me.index == 0u { records[row - first] = record; }
        write_interior(row, record, me);
    }
    if EDGES {
        team_sync();
        // At most four rows, with two edges each; none in a team that only fills up the grid.
        let rows = max(end, first) - first;
        for (var i = me.index; i < 2u * rows; i += TEAM) { write_edge(first, rows, i / 2u, i % 2u == 0u); }
    }
}
