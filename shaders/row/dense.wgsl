// A row with one target value a class.
// Needs: params, row/weights. Provides: Dense, dense_begin, dense_at, dense_elements, and the kinds of a gradient row: GRADIENT,
// NOT_A_NUMBER.

@group(0) @binding(3) var<storage, read> dense_targets: array<f32>;
@group(0) @binding(5) var<storage, read> row_weights: array<f32>;

struct Dense {
    index: u32,
    first: u32,   // element of class 0, from the start of the window
    weight: f32,  // of the row
}

fn dense_begin(index: u32) -> Dense {
    let first = index / params.inner * (params.classes * params.inner) + index % params.inner;
    var weight = 1.0;
    if (params.flags & HAS_ROW_WEIGHTS) != 0u { weight = row_weights[params.rows_base + index]; }
    return Dense(index, first, weight);
}

// Elements of four classes; of a masked position that of a class that is bound.
fn dense_elements(d: Dense, class_id: vec4<u32>) -> vec4<u32> {
    let c = select(vec4(params.some_class), class_id, class_id < vec4(params.classes));
    return params.dense_base + d.first + c * params.inner;
}

fn dense_at(d: Dense, class_id: vec4<u32>) -> vec4<f32> {
    let e = dense_elements(d, class_id);
    let t = vec4(dense_targets[e.x], dense_targets[e.y], dense_targets[e.z], dense_targets[e.w]);
    return select(vec4(0.0), t, class_id < vec4(params.classes));
}

const GRADIENT = 0u;
const NOT_A_NUMBER = 1u;  // the whole row is NaN
