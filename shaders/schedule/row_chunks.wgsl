// The chunks of a row whose class axis is last, and how the lanes of a team stride over them.
//
// Rows need not start on a chunk boundary, but groups do. A row's chunks are therefore of two kinds: interior ones, which
// belong to the row alone, and edges, which it shares with a neighbour of the same group, or with the gap between rows.
// Edges are read under a mask and written once, when the records of the whole group are known, so no two teams ever touch the
// same chunk.
//
// Needs: place, math/softcap, TEAM, team_before_stores and record_of of the schedule, and a loss or pass fragment: Row,
// excluded_class, Partial, partial_*, Record, row_map, row_map_special, special_class, is_constant, constant.
// Provides: Extent, row_extent, Span, whole_row, excluded_chunk, add_sides, read_span, write_span, write_edge. Rows and chunks count from the start of the window.

override SHORT: bool = false; // true where a team is a lane, and a row has no block of four chunks
override EDGES: bool = true;  // false where every row starts and ends on a chunk boundary and the masks are dead weight
// Blocks of four chunks a lane sums before it starts afresh: bounds the length, and so the rounding error, of a running sum.
const STRIP = 64u;

fn largest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

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

// Positions before the row wrap to large class numbers, like those behind it.
fn classes_of(chunk: u32, e: Extent) -> vec4<u32> { return 4u * chunk + vec4(0u, 1u, 2u, 3u) - e.begin; }

// An interior chunk, or -inf where the target is: such a chunk is read by add_side.
fn load_interior(chunk: u32, excluded: u32) -> vec4<f32> {
    return select(vec4(params.minus_infinity), capped(load_here(chunk)), chunk != excluded);
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

// What a chunk has of the row, if it is `mine`, but the excluded class.
fn add_masked(acc: Partial, chunk: u32, e: Extent, mine: bool, excluded_class: u32, row: Row) -> Partial {
    let class_id = classes_of(chunk, e);
    let keep = (class_id < vec4(params.classes)) & (class_id != vec4(excluded_class)) & vec4(mine);
    let x = select(vec4(params.minus_infinity), capped(load_here(chunk)), keep);
    return partial_add(partial_raise(acc, largest(x)), x, select(vec4(0xffffffffu), class_id, keep), row);
}

// The chunks that need a mask: the target's, and the row's first and last where it shares them.
fn add_side(
    acc: Partial, side: u32, e: Extent, span: Span, excluded: u32, excluded_class: u32, row: Row,
) -> Partial {
    var chunk = excluded;
    var mine = side == 0u && excluded >= span.first && excluded < span.last;
    if EDGES {
        if side == 1u {
            chunk = e.begin / 4u;
            mine = span.front && e.begin % 4u != 0u;
        }
        if side == 2u {
            chunk = e.end / 4u;
            mine = span.back && e.end % 4u != 0u && (chunk != e.begin / 4u || e.begin % 4u == 0u);
        }
    }
    return add_masked(acc, select(params.first_chunk, chunk, mine), e, mine, excluded_class, row);
}

override SIDES: u32 = select(1u, 3u, EDGES);

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
    for (var strip = span.first + lane.index; strip < span.last; strip += STRIP * stride) {
        let end = min(span.last, strip + STRIP * stride);
        var sum = partial_identity();
        var chunk = strip;
        for (; chunk + 3u * TEAM < end; chunk += stride) { sum = add_block(sum, chunk, e, excluded, row); }
        for (; chunk < end; chunk += TEAM) { sum = add_chunk(sum, chunk, e, excluded, row); }
        acc = partial_combine(acc, sum);
    }
    return acc;
}

// Writes the interior chunks of a span. The chunk with the target is written twice by the same lane: once as if the target
// were any other class, which spares the loop a comparison a logit, and then as it should be.
fn write_span(e: Extent, span: Span, record: Record, lane: Lane) {
    let class_id = special_class(record);
    let special = (e.begin + class_id) / 4u;
    let has_special = class_id < params.classes && special >= span.first && special < span.last;
    let before = load_here(select(params.first_chunk, special, has_special));
    team_before_stores();
    let first = span.first + lane.index;
    if is_constant(record) {
        for (var chunk = first; chunk < span.last; chunk += TEAM) {
            store_chunk(chunk - params.first_chunk, vec4(constant(record)));
        }
        return;
    }
    for (var chunk = first; chunk < span.last; chunk += TEAM) {
        let x = load_here(chunk);
        let g = row_map(capped(x), classes_of(chunk, e), record) * cap_slope(x);
        store_chunk(chunk - params.first_chunk, g);
    }
    if has_special && (special - span.first) % TEAM == lane.index {
        let g = row_map_special(capped(before), classes_of(special, e), record) * cap_slope(before);
        store_chunk(special - params.first_chunk, g);
    }
}

// The chunk that row `row` of the group shares at its front, or else at its back; once, by the first row that has a part in
// it, where several have. `group` is the group's first row, of `rows`.
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
    let own = group * stride / 4u + chunk - params.first_chunk;
    let x = load_chunk(own);
    var g = vec4(0.0);
    var keep = vec4(false);
    for (var i = 0u; i < 4u; i++) {
        let r = (start + i) / stride;
        let class_id = (start + i) % stride;
        if r < rows && class_id < params.classes {
            keep[i] = true;
            let record = record_of(group, r);
            let value = row_map_special(capped(vec4(x[i])), vec4(class_id), record) * cap_slope(vec4(x[i]));
            g[i] = select(value.x, constant(record), is_constant(record));
        }
    }
    store_masked(own, g, keep);
}
