// The chunks of a row whose class axis is last, and how the lanes of a team stride over them.
//
// What a lane loads and stores at once is a unit: a chunk, or of 16-bit logits the two of a pair, 16 bytes either way. Rows need
// start neither on a unit's boundary nor on a chunk's. A row's chunks are therefore of two kinds: interior ones, in whole units,
// which belong to the row alone, and edges in front of them and behind. Groups of rows start on a chunk boundary: an edge is the
// row's own, or shared with a neighbour of the same group, or with the gap between rows. Edges are read under a mask and written
// once, chunk by chunk, when the records of the whole group are known, so no two teams ever touch the same chunk.
//
// Needs: place, math/softcap, schedule/unit_*, TEAM, team_before_stores and record_of of the schedule, and a loss or pass fragment:
// Row, excluded_class, Partial, partial_*, Record, row_map, row_map_special, special_class, is_constant, constant.
// Provides: Extent, row_extent, Span, whole_row, excluded_chunk, add_sides, read_span, write_span, write_edge, EDGES_OF_ROW. Rows
// and chunks count from the start of the window.

override SHORT: bool = false; // true where a team is a lane, and a row has no block of four chunks
override EDGES: bool = true;  // false where every row starts and ends with a unit and the masks are dead weight
// Blocks of four chunks a lane sums before it starts afresh: bounds the length, and so the rounding error, of a running sum.
const STRIP = 64u;

fn largest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

// Chunks [first, last) are the units wholly inside the row that starts at element begin.
struct Extent {
    begin: u32,
    end: u32,
    first: u32,
    last: u32,
}

fn row_extent(row: u32) -> Extent {
    let begin = row * params.outer_stride;
    let end = begin + params.classes;
    let first = (begin + 4u * UNIT - 1u) / (4u * UNIT) * UNIT;
    return Extent(begin, end, first, max(first, end / (4u * UNIT) * UNIT));
}

// Interior chunks [first, last) of a row, with the edges that go with them.
struct Span {
    first: u32,
    last: u32,
    front: bool,
    back: bool,
}

fn whole_row(e: Extent) -> Span { return Span(e.first, e.last, true, true); }

// Of a window that begins within a row, the bound logits begin there.
fn load_here(chunk: u32) -> vec4<f32> { return load_chunk(chunk - params.first_chunk); }
fn load_two_here(chunks: vec2<u32>) -> mat2x4<f32> { return load_two(chunks - vec2(params.first_chunk)); }

// Chunk i of a lane, from its first: side by side within a unit, and from there as far apart as the team is wide.
fn chunk_of_lane(first: u32, i: u32) -> u32 { return first + i / UNIT * UNIT * TEAM + i % UNIT; }
// Two of them that are one unit, or two.
fn two_of_lane(first: u32, i: u32) -> vec2<u32> { return vec2(chunk_of_lane(first, i), chunk_of_lane(first, i + 1u)); }

// Positions before the row wrap to large class numbers, like those behind it.
fn classes_of(chunk: u32, e: Extent) -> vec4<u32> { return 4u * chunk + vec4(0u, 1u, 2u, 3u) - e.begin; }

// The logits of an interior chunk, or -inf where the target is: such a chunk is read by add_side.
fn interior(x: vec4<f32>, chunk: u32, excluded: u32) -> vec4<f32> {
    return select(vec4(params.minus_infinity), capped(x), chunk != excluded);
}

fn interior_classes(chunk: u32, e: Extent, excluded: u32) -> vec4<u32> {
    return select(vec4(0xffffffffu), classes_of(chunk, e), chunk != excluded);
}

fn add_unit(acc: Partial, chunk: u32, e: Extent, excluded: u32, row: Row) -> Partial {
    if UNIT == 1u {
        let x = interior(load_here(chunk), chunk, excluded);
        return partial_add(partial_raise(acc, largest(x)), x, interior_classes(chunk, e, excluded), row);
    }
    let c = two_of_lane(chunk, 0u);
    let x = load_two_here(c);
    let x0 = interior(x[0], c.x, excluded);
    let x1 = interior(x[1], c.y, excluded);
    let r = partial_add(partial_raise(acc, largest(max(x0, x1))), x0, interior_classes(c.x, e, excluded), row);
    return partial_add(r, x1, interior_classes(c.y, e, excluded), row);
}

// Four chunks of a lane: one rise of the maximum for all of them.
fn add_block(acc: Partial, chunk: u32, e: Extent, excluded: u32, row: Row) -> Partial {
    let c = two_of_lane(chunk, 0u);
    let d = two_of_lane(chunk, 2u);
    let x = load_two_here(c);
    let y = load_two_here(d);
    let x0 = interior(x[0], c.x, excluded);
    let x1 = interior(x[1], c.y, excluded);
    let x2 = interior(y[0], d.x, excluded);
    let x3 = interior(y[1], d.y, excluded);
    var r = partial_raise(acc, largest(max(max(x0, x1), max(x2, x3))));
    r = partial_add(r, x0, interior_classes(c.x, e, excluded), row);
    r = partial_add(r, x1, interior_classes(c.y, e, excluded), row);
    r = partial_add(r, x2, interior_classes(d.x, e, excluded), row);
    return partial_add(r, x3, interior_classes(d.y, e, excluded), row);
}

// What a chunk has of the row, if it is `mine`, but the excluded class.
fn add_masked(acc: Partial, chunk: u32, e: Extent, mine: bool, excluded_class: u32, row: Row) -> Partial {
    let class_id = classes_of(chunk, e);
    let keep = (class_id < vec4(params.classes)) & (class_id != vec4(excluded_class)) & vec4(mine);
    let x = select(vec4(params.minus_infinity), capped(load_here(chunk)), keep);
    return partial_add(partial_raise(acc, largest(x)), x, select(vec4(0xffffffffu), class_id, keep), row);
}

// An edge of a row: UNIT chunks in front of the interior ones, and as many behind.
struct Edge {
    chunk: u32,
    front: bool,
    exists: bool,
}
const EDGES_OF_ROW = 2u * UNIT;

fn edge_of(i: u32, e: Extent) -> Edge {
    let front = i < UNIT;
    let chunk = select(e.last + i - UNIT, e.begin / 4u + i, front);
    return Edge(chunk, front, select(4u * chunk < e.end, chunk < e.first, front));
}

// The chunks that need a mask: the target's, and the edges.
fn add_side(
    acc: Partial, side: u32, e: Extent, span: Span, excluded: u32, excluded_class: u32, row: Row,
) -> Partial {
    var chunk = excluded;
    var mine = side == 0u && excluded >= span.first && excluded < span.last;
    if EDGES && side > 0u {
        let edge = edge_of(side - 1u, e);
        chunk = edge.chunk;
        mine = edge.exists && select(span.back, span.front, edge.front);
    }
    return add_masked(acc, select(params.first_chunk, chunk, mine), e, mine, excluded_class, row);
}

override SIDES: u32 = select(1u, 1u + EDGES_OF_ROW, EDGES);

// The chunk with the class that the statistics leave out. No class wraps to a chunk that is not in the row; comparisons with it
// then never hold.
fn excluded_chunk(e: Extent, row: Row) -> u32 {
    let class_id = excluded_class(row);
    return select((e.begin + class_id) / 4u, 0xffffffffu, class_id >= params.classes);
}

fn add_sides(e: Extent, span: Span, row: Row, lane: Lane) -> Partial {
    var acc = partial_identity();
    for (var side = lane.index; side < SIDES; side += TEAM) {
        acc = add_side(acc, side, e, span, excluded_chunk(e, row), excluded_class(row), row);
    }
    return acc;
}

// One reading of a short row, by a lane alone: masks cost less than loops over blocks that it does not have.
fn read_short(e: Extent, row: Row) -> Partial {
    var acc = partial_identity();
    for (var chunk = e.begin / 4u; 4u * chunk < e.end; chunk++) {
        acc = add_masked(acc, chunk, e, true, excluded_class(row), row);
    }
    return acc;
}

// One reading of a span: what this lane finds there.
fn read_span(e: Extent, span: Span, row: Row, lane: Lane) -> Partial {
    if SHORT { return read_short(e, row); }
    let excluded = excluded_chunk(e, row);
    var acc = add_sides(e, span, row, lane);
    let stride = 4u * TEAM;
    for (var strip = span.first + UNIT * lane.index; strip < span.last; strip += STRIP * stride) {
        let end = min(span.last, strip + STRIP * stride);
        var sum = partial_identity();
        var chunk = strip;
        for (; chunk_of_lane(chunk, 3u) < end; chunk += stride) { sum = add_block(sum, chunk, e, excluded, row); }
        for (; chunk < end; chunk += UNIT * TEAM) { sum = add_unit(sum, chunk, e, excluded, row); }
        acc = partial_combine(acc, sum);
    }
    return acc;
}

// The gradient of a chunk whose classes are not special.
fn map_chunk(x: vec4<f32>, chunk: u32, e: Extent, record: Record) -> vec4<f32> {
    return row_map(capped(x), classes_of(chunk, e), record) * cap_slope(x);
}

fn store_two_here(chunks: vec2<u32>, x: mat2x4<f32>) { store_two(chunks - vec2(params.first_chunk), x); }

// Writes the interior chunks of a span. The chunk with the target is written twice by the same lane: once as if the target
// were any other class, which spares the loop a comparison a logit, and then as it should be.
fn write_span(e: Extent, span: Span, record: Record, lane: Lane) {
    let class_id = special_class(record);
    let special = (e.begin + class_id) / 4u;
    let has_special = class_id < params.classes && special >= span.first && special < span.last;
    let before = load_here(select(params.first_chunk, special, has_special));
    team_before_stores();
    let first = span.first + UNIT * lane.index;
    if is_constant(record) {
        let x = vec4(constant(record));
        for (var chunk = first; chunk < span.last; chunk += UNIT * TEAM) {
            if UNIT == 1u {
                store_chunk(chunk - params.first_chunk, x);
            } else {
                store_two_here(two_of_lane(chunk, 0u), mat2x4(x, x));
            }
        }
        return;
    }
    for (var chunk = first; chunk < span.last; chunk += UNIT * TEAM) {
        if UNIT == 1u {
            store_chunk(chunk - params.first_chunk, map_chunk(load_here(chunk), chunk, e, record));
        } else {
            let c = two_of_lane(chunk, 0u);
            let x = load_two_here(c);
            store_two_here(c, mat2x4(map_chunk(x[0], c.x, e, record), map_chunk(x[1], c.y, e, record)));
        }
    }
    if has_special && (special - span.first) / UNIT % TEAM == lane.index {
        let g = row_map_special(capped(before), classes_of(special, e), record) * cap_slope(before);
        store_chunk(special - params.first_chunk, g);
    }
}

// Writes edge `i` of row `row` of the group, if there is one; once, by the first row that has a part in it, where several have.
// `group` is the group's first row, of `rows`.
fn write_edge(group: u32, rows: u32, row: u32, i: u32) {
    let edge = edge_of(i, row_extent(group + row));
    if !edge.exists { return; }
    let stride = params.outer_stride;
    // From the start of the group. The first row is that which ends behind the chunk's start.
    let start = 4u * edge.chunk - group * stride;
    let first = select((start - min(start, params.classes)) / stride + 1u, 0u, start < params.classes);
    if row != first { return; }
    let own = edge.chunk - params.first_chunk;
    let x = load_chunk(own);
    var g = vec4(0.0);
    var keep = vec4(false);
    for (var k = 0u; k < 4u; k++) {
        let r = (start + k) / stride;
        let class_id = (start + k) % stride;
        if r < rows && class_id < params.classes {
            keep[k] = true;
            let record = record_of(group, r);
            let value = row_map_special(capped(vec4(x[k])), vec4(class_id), record) * cap_slope(vec4(x[k]));
            g[k] = select(value.x, constant(record), is_constant(record));
        }
    }
    store_masked(own, g, keep);
}
