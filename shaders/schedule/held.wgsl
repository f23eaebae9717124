// A row is read from memory once: its lanes hold their chunks in registers, as loaded, until the gradient is written. A row is held
// that has at most HELD interior chunks a lane; others are read again. Edges, and the target's chunk for the statistics, go by
// themselves as everywhere.
//
// The chunks are spelled out: an array that a loop indexes would be in memory.
//
// Needs: schedule/row_chunks. Provides: Held, hold_row, read_held, write_held, as schedule/reread.wgsl.

override HELD: u32 = 0u;  // 0, 1, 2, 4 or 8, in whole units

struct Held {
    x: array<vec4<f32>, 8>,
}

fn held_chunk(i: u32, e: Extent, lane: Lane) -> u32 { return chunk_of_lane(e.first + UNIT * lane.index, i); }

// Behind the row's last chunk any other will do.
fn hold_chunk(i: u32, e: Extent, lane: Lane) -> vec4<f32> {
    let chunk = held_chunk(i, e, lane);
    return load_here(select(params.first_chunk, chunk, chunk < e.last));
}

// Chunks i and i + 1.
fn hold_two(i: u32, e: Extent, lane: Lane) -> mat2x4<f32> {
    let chunks = vec2(held_chunk(i, e, lane), held_chunk(i + 1u, e, lane));
    return load_two_here(select(vec2(params.first_chunk), chunks, chunks < vec2(e.last)));
}

fn hold_row(e: Extent, lane: Lane) -> Held {
    var h = Held();
    if HELD == 1u { h.x[0] = hold_chunk(0u, e, lane); }
    if HELD > 1u {
        let x = hold_two(0u, e, lane);
        h.x[0] = x[0];
        h.x[1] = x[1];
    }
    if HELD > 2u {
        let x = hold_two(2u, e, lane);
        h.x[2] = x[0];
        h.x[3] = x[1];
    }
    if HELD > 4u {
        let x = hold_two(4u, e, lane);
        let y = hold_two(6u, e, lane);
        h.x[4] = x[0];
        h.x[5] = x[1];
        h.x[6] = y[0];
        h.x[7] = y[1];
    }
    return h;
}

fn is_counted(i: u32, e: Extent, excluded: u32, lane: Lane) -> bool {
    let chunk = held_chunk(i, e, lane);
    return chunk < e.last && chunk != excluded;
}

fn held_logits(h: Held, i: u32, e: Extent, excluded: u32, lane: Lane) -> vec4<f32> {
    return select(vec4(params.minus_infinity), capped(h.x[i]), is_counted(i, e, excluded, lane));
}

fn add_held(acc: Partial, x: vec4<f32>, i: u32, e: Extent, excluded: u32, row: Row, lane: Lane) -> Partial {
    let class_id = classes_of(held_chunk(i, e, lane), e);
    return partial_add(acc, x, select(vec4(0xffffffffu), class_id, is_counted(i, e, excluded, lane)), row);
}

// One reading: what this lane finds. The maximum rises once.
fn read_held(h: Held, e: Extent, row: Row, lane: Lane) -> Partial {
    if HELD == 0u { return read_span(e, whole_row(e), row, lane); }
    let excluded = excluded_chunk(e, row);
    let x0 = held_logits(h, 0u, e, excluded, lane);
    var x1 = vec4(params.minus_infinity);
    var x2 = x1;
    var x3 = x1;
    var x4 = x1;
    var x5 = x1;
    var x6 = x1;
    var x7 = x1;
    if HELD > 1u { x1 = held_logits(h, 1u, e, excluded, lane); }
    if HELD > 2u {
        x2 = held_logits(h, 2u, e, excluded, lane);
        x3 = held_logits(h, 3u, e, excluded, lane);
    }
    if HELD > 4u {
        x4 = held_logits(h, 4u, e, excluded, lane);
        x5 = held_logits(h, 5u, e, excluded, lane);
        x6 = held_logits(h, 6u, e, excluded, lane);
        x7 = held_logits(h, 7u, e, excluded, lane);
    }
    let top = max(max(max(x0, x1), max(x2, x3)), max(max(x4, x5), max(x6, x7)));
    var sum = partial_raise(partial_identity(), largest(top));
    sum = add_held(sum, x0, 0u, e, excluded, row, lane);
    if HELD > 1u { sum = add_held(sum, x1, 1u, e, excluded, row, lane); }
    if HELD > 2u {
        sum = add_held(sum, x2, 2u, e, excluded, row, lane);
        sum = add_held(sum, x3, 3u, e, excluded, row, lane);
    }
    if HELD > 4u {
        sum = add_held(sum, x4, 4u, e, excluded, row, lane);
        sum = add_held(sum, x5, 5u, e, excluded, row, lane);
        sum = add_held(sum, x6, 6u, e, excluded, row, lane);
        sum = add_held(sum, x7, 7u, e, excluded, row, lane);
    }
    return partial_combine(add_sides(e, whole_row(e), row, lane), sum);
}

fn map_held(h: Held, i: u32, e: Extent, record: Record, lane: Lane) -> vec4<f32> {
    let chunk = held_chunk(i, e, lane);
    var g = map_chunk(h.x[i], chunk, e, record);
    // One lane has it. No class wraps to a chunk of the row.
    let special = special_class(record);
    if special < params.classes && chunk == (e.begin + special) / 4u {
        g = row_map_special(capped(h.x[i]), classes_of(chunk, e), record) * cap_slope(h.x[i]);
    }
    return select(g, vec4(constant(record)), is_constant(record));
}

fn write_chunk(h: Held, i: u32, e: Extent, record: Record, lane: Lane) {
    let chunk = held_chunk(i, e, lane);
    if chunk < e.last { store_chunk(chunk - params.first_chunk, map_held(h, i, e, record, lane)); }
}

// Chunks i and i + 1: of one unit, or of two, of which there may be but the first.
fn write_two(h: Held, i: u32, e: Extent, record: Record, lane: Lane) {
    if UNIT == 1u {
        write_chunk(h, i, e, record, lane);
        write_chunk(h, i + 1u, e, record, lane);
        return;
    }
    let chunk = held_chunk(i, e, lane);
    if chunk < e.last {
        let g = mat2x4(map_held(h, i, e, record, lane), map_held(h, i + 1u, e, record, lane));
        store_two_here(vec2(chunk, chunk + 1u), g);
    }
}

// Writes the interior chunks.
fn write_held(h: Held, e: Extent, record: Record, lane: Lane) {
    if HELD == 0u {
        write_span(e, whole_row(e), record, lane);
        return;
    }
    team_before_stores();
    if HELD == 1u { write_chunk(h, 0u, e, record, lane); }
    if HELD > 1u { write_two(h, 0u, e, record, lane); }
    if HELD > 2u { write_two(h, 2u, e, record, lane); }
    if HELD > 4u {
        write_two(h, 4u, e, record, lane);
        write_two(h, 6u, e, record, lane);
    }
}
