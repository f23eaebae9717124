// A lane owns four neighbouring positions of a sample, each a row: for class axes that are not last. Nothing is transposed in
// memory: four classes of four positions are turned in registers.
//
// Needs: place, reduce/lane, math/softcap, schedule/quads, and a loss or pass fragment, as schedule/rows.wgsl.
// Provides: load_logit, and the entry points forward and forward_gradient.

// Blocks of four classes that are summed before a lane starts afresh: bounds the rounding error of a running sum.
const STRIP = 64u;

fn largest(x: vec4<f32>) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

// The logit of a class of the row whose class 0 is at `first_element`.
fn load_logit(first_element: u32, class_id: u32) -> f32 {
    return capped(vec4(load_element(first_element + class_id * params.inner))).x;
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
            row_continue(p.a, rows.a),
            row_continue(p.b, rows.b),
            row_continue(p.c, rows.c),
            row_continue(p.d, rows.d),
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
