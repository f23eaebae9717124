// A lane owns four neighbouring positions of a sample, each a row: for class axes that are not last. Neighbouring lanes read
// neighbouring positions, so loads are coalesced, and nothing is transposed in memory: four classes of four positions are
// turned in registers.
//
// Needs: place, reduce/lane, math/softcap, and a loss or pass fragment, as schedule/workgroup_row.wgsl.
// Provides: load_logit, and the entry points forward and forward_gradient.

override ALIGNED: bool = true;  // every class of a sample starts on a chunk boundary
// 16-bit elements that share a word with another lane's: lanes are then dispatched in three rounds, none of which has two
// lanes at one word. 0 where there is no such thing.
override ROUNDS: bool = false;

// Blocks of four classes that are summed before a lane starts afresh: bounds the rounding error of a running sum.
const STRIP = 64u;

fn largest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

// The logit of a class of the row whose class 0 is at `first_element`.
fn load_logit(first_element: u32, class_id: u32) -> f32 {
    return capped(vec4(load_element(first_element + class_id * params.inner))).x;
}

// The positions of a lane.
struct Quad {
    row: u32,      // of the first position
    element: u32,  // of its class 0
    count: u32,    // positions, up to four; 0 for a lane without work
}

fn quad_of(id: u32) -> Quad {
    let quads = (params.inner + 3u) / 4u;
    let sample = id / quads;
    let position = 4u * (id % quads);
    let row = sample * params.inner + position;
    if row >= params.rows { return Quad(0u, 0u, 0u); }
    return Quad(row, sample * params.outer_stride + position, min(4u, params.inner - position));
}

// Four positions of a class; where there are fewer, the last one again.
fn load_positions(q: Quad, class_id: u32) -> vec4<f32> {
    let e = q.element + class_id * params.inner;
    if ALIGNED { return load_chunk(e / 4u); }
    let i = e + min(vec4(0u, 1u, 2u, 3u), vec4(q.count - 1u));
    return vec4(load_element(i.x), load_element(i.y), load_element(i.z), load_element(i.w));
}

fn store_positions(q: Quad, class_id: u32, x: vec4<f32>) {
    if class_id >= params.classes { return; }
    let e = q.element + class_id * params.inner;
    if ALIGNED {
        store_chunk(e / 4u, x);
        return;
    }
    for (var i = 0u; i < q.count; i++) { store_element(e + i, x[i]); }
}

// Four classes of four positions, a row of the matrix a position.
fn load_turned(q: Quad, class_id: u32) -> mat4x4<f32> {
    let c = min(class_id + vec4(0u, 1u, 2u, 3u), vec4(params.classes - 1u));
    return transpose(
        mat4x4(load_positions(q, c.x), load_positions(q, c.y), load_positions(q, c.z), load_positions(q, c.w)),
    );
}

fn add_classes(acc: Partial, raw: vec4<f32>, first_class: u32, row: Row) -> Partial {
    let class_id = first_class + vec4(0u, 1u, 2u, 3u);
    let keep = (class_id < vec4(params.classes)) & (class_id != vec4(excluded_class(row)));
    let x = select(vec4(params.minus_infinity), capped(raw), keep);
    return partial_add(partial_raise(acc, largest(x)), x, select(vec4(0xffffffffu), class_id, keep), row);
}

struct Partials {
    a: Partial,
    b: Partial,
    c: Partial,
    d: Partial,
}

struct Rows {
    a: Row,
    b: Row,
    c: Row,
    d: Row,
}

fn read_pass(q: Quad, rows: Rows) -> Partials {
    let none = partial_identity();
    var acc = Partials(none, none, none, none);
    for (var strip = 0u; strip < params.classes; strip += 4u * STRIP) {
        let end = min(params.classes, strip + 4u * STRIP);
        var sum = Partials(none, none, none, none);
        for (var class_id = strip; class_id < end; class_id += 4u) {
            let x = load_turned(q, class_id);
            sum.a = add_classes(sum.a, x[0], class_id, rows.a);
            sum.b = add_classes(sum.b, x[1], class_id, rows.b);
            sum.c = add_classes(sum.c, x[2], class_id, rows.c);
            sum.d = add_classes(sum.d, x[3], class_id, rows.d);
        }
        acc.a = partial_combine(acc.a, sum.a);
        acc.b = partial_combine(acc.b, sum.b);
        acc.c = partial_combine(acc.c, sum.c);
        acc.d = partial_combine(acc.d, sum.d);
    }
    return acc;
}

struct Records {
    a: Record,
    b: Record,
    c: Record,
    d: Record,
}

// Positions that a lane does not have are read as its last one, and all that writes is told so by the lane's index.
fn lane_of(q: Quad, position: u32) -> Lane { return Lane(select(1u, 0u, position < q.count)); }

fn read_rows(q: Quad) -> Records {
    let i = min(vec4(0u, 1u, 2u, 3u), vec4(q.count - 1u));
    var rows = Rows(
        row_begin(q.row + i.x, q.element + i.x),
        row_begin(q.row + i.y, q.element + i.y),
        row_begin(q.row + i.z, q.element + i.z),
        row_begin(q.row + i.w, q.element + i.w),
    );
    let none = partial_identity();
    var p = Partials(none, none, none, none);
    if READS_ROW { p = read_pass(q, rows); }
    if READS_ROW && ROW_PASSES == 2u {
        rows = Rows(
            row_continue(p.a, rows.a, lane_of(q, 0u)),
            row_continue(p.b, rows.b, lane_of(q, 1u)),
            row_continue(p.c, rows.c, lane_of(q, 2u)),
            row_continue(p.d, rows.d, lane_of(q, 3u)),
        );
        p = read_pass(q, rows);
    }
    return Records(
        row_finish(p.a, rows.a, lane_of(q, 0u)),
        row_finish(p.b, rows.b, lane_of(q, 1u)),
        row_finish(p.c, rows.c, lane_of(q, 2u)),
        row_finish(p.d, rows.d, lane_of(q, 3u)),
    );
}

fn map_classes(raw: vec4<f32>, first_class: u32, record: Record) -> vec4<f32> {
    let class_id = first_class + vec4(0u, 1u, 2u, 3u);
    let masked = select(vec4(0xffffffffu), class_id, class_id < vec4(params.classes));
    let g = row_map_special(capped(raw), masked, record) * cap_slope(raw);
    return select(g, vec4(constant(record)), is_constant(record));
}

fn write_rows(q: Quad, r: Records) {
    for (var class_id = 0u; class_id < params.classes; class_id += 4u) {
        let x = load_turned(q, class_id);
        let g = transpose(
            mat4x4(
                map_classes(x[0], class_id, r.a),
                map_classes(x[1], class_id, r.b),
                map_classes(x[2], class_id, r.c),
                map_classes(x[3], class_id, r.d),
            ),
        );
        store_positions(q, class_id, g[0]);
        store_positions(q, class_id + 1u, g[1]);
        store_positions(q, class_id + 2u, g[2]);
        store_positions(q, class_id + 3u, g[3]);
    }
}

// Neighbours alternate, and the last lane of a sample, which may meet the first, comes by itself.
fn round_of(id: u32) -> u32 {
    let quads = (params.inner + 3u) / 4u;
    return select(id % quads % 2u, 2u, id % quads == quads - 1u);
}

fn is_mine(q: Quad, id: u32) -> bool { return q.count > 0u && (!ROUNDS || round_of(id) == params.count); }

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (workgroup.x + workgroup.y * grid.x) * WORKGROUP_SIZE + lane;
    let q = quad_of(id);
    if is_mine(q, id) { let r = read_rows(q); }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn forward_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (workgroup.x + workgroup.y * grid.x) * WORKGROUP_SIZE + lane;
    let q = quad_of(id);
    if is_mine(q, id) { write_rows(q, read_rows(q)); }
}
