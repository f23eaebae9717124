// The gradient of a loss of regions, a lane four positions. With g_c the derivative of the loss by p_c,
//     g = A t + F (1 - t) - G t,   or with SQUARED   g = A t + 2 F (p - t),
// of the derivatives A, F, G by the sums tp, fp, fn, the derivative by the logit is
//     softmax: p_j (g_j - sum_k p_k g_k)          sigmoid: p_j (1 - p_j) g_j
// and that of the pointwise loss is added. Of a softmax every g_c is taken relative to that of the largest class, which then
// adds nothing to the sum: where one p is nearly 1, every term is small and none cancels.
//
// Needs: place, math, schedule/quads, region/*. Provides: the entry point region_gradient.

override SQUARED: bool = false;

// (groups, classes): A, F, G, and the factor of the pointwise loss.
@group(0) @binding(6) var<storage, read> slopes: array<vec4<f32>>;

// Group of the window's first sample, and of all others where a region spans all samples.
fn slope_base(q: Quad) -> u32 {
    let sample = select(q.row / params.inner, 0u, (params.flags & SAMPLES_TOGETHER) != 0u);
    return (params.partial_base + sample) * params.classes;
}

fn by_prediction(a: vec4<f32>, f: vec4<f32>, g: vec4<f32>, t: vec4<f32>, p: Prediction) -> vec4<f32> {
    if SQUARED { return a * t + 2.0 * f * (p.p * (1.0 - t) - p.miss * t); }
    return a * t + f * (1.0 - t) - g * t;
}

fn by_prediction_of(k: vec4<f32>, t: vec4<f32>, p: Prediction) -> vec4<f32> {
    return by_prediction(vec4(k.x), vec4(k.y), vec4(k.z), t, p);
}

// Of the largest class of each position.
fn by_top(q: Quad, labels: Labels, s: Positions) -> vec4<f32> {
    let k = transpose(
        mat4x4(
            slopes[slope_base(q) + s.top.x],
            slopes[slope_base(q) + s.top.y],
            slopes[slope_base(q) + s.top.z],
            slopes[slope_base(q) + s.top.w],
        ),
    );
    return by_prediction(k[0], k[1], k[2], targets_at(labels, q, s.top), predict_top(s));
}

// g - top: exactly 0 for the largest class, however the compiler has fused the operations of the two.
fn above(g: vec4<f32>, top: vec4<f32>, s: Positions, class_id: u32) -> vec4<f32> {
    return select(g - top, vec4(0.0), s.top == vec4(class_id));
}

fn write_softmax(q: Quad, labels: Labels) {
    let s = positions_of(q);
    let base = slope_base(q);
    let top = by_top(q, labels, s);
    var drift = select(vec4(0.0), vec4(params.nan), are_nan(top));  // sum of p_k (g_k - g_top)
    var drawn = vec4(0.0);  // sum of a_k of the pointwise loss
    for (var c = 0u; c < params.classes; c++) {
        let k = slopes[base + c];
        let t = targets_of(labels, q, c);
        let p = predict(s, load_positions(q, c));
        drift += p.p * above(by_prediction_of(k, t, p), top, s, c);
        if POINTWISE { drawn += weighted4(vec4(k.w), pointwise_slope(p, t)); }
    }
    for (var c = 0u; c < params.classes; c++) {
        let k = slopes[base + c];
        let t = targets_of(labels, q, c);
        let p = predict(s, load_positions(q, c));
        var g = p.p * (above(by_prediction_of(k, t, p), top, s, c) - drift);
        if POINTWISE {
            let own = weighted4(vec4(k.w), pointwise_slope(p, t));
            g += p.p * (drawn - own) - p.miss * own;
        }
        store_counted(q, labels, c, g);
    }
}

fn write_sigmoid(q: Quad, labels: Labels) {
    let base = slope_base(q);
    let s = positions_of(q);
    var lost = vec4(false);
    if POINTWISE {
        // One NaN is enough for the loss of a position, which is a sum over the classes.
        for (var c = 0u; c < params.classes; c++) { lost |= are_nan(load_positions(q, c)); }
    }
    for (var c = 0u; c < params.classes; c++) {
        let k = slopes[base + c];
        let t = targets_of(labels, q, c);
        let p = predict(s, load_positions(q, c));
        var g = p.p * p.miss * by_prediction_of(k, t, p);
        if POINTWISE { g = select(g + weighted4(vec4(k.w), pointwise_gradient(p, t)), vec4(params.nan), lost); }
        store_counted(q, labels, c, select(vec4(0.0), g, vec4(is_used(c))));
    }
}

// An ignored position has gradient 0, whatever its logits are.
fn store_counted(q: Quad, labels: Labels, class_id: u32, g: vec4<f32>) {
    let spoilt = select(g, vec4(params.nan), labels.bad);
    store_positions(q, class_id, select(vec4(0.0), spoilt, labels.counts));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn region_gradient(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = (workgroup.x + workgroup.y * grid.x) * WORKGROUP_SIZE + lane;
    let q = quad_of(id);
    if !is_mine(q, id) { return; }
    let labels = labels_of(q);
    if SIGMOID { write_sigmoid(q, labels); } else { write_softmax(q, labels); }
}
