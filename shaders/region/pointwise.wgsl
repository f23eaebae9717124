// A loss of every position besides that of the regions: cross-entropy, or focal loss with its exponent gamma. With
// miss = p (1 - t) + (1 - p) t, the probability of being wrong:
//     softmax: sum_c t_c (1 - p_c)^gamma * -log p_c
//     sigmoid: 1/K sum_c miss_c^gamma (t_c * -log p_c + (1 - t_c) * -log(1 - p_c))
//
// Needs: params, math, region/prediction. Provides: POINTWISE, pointwise_loss, pointwise_slope, pointwise_gradient. Class weights
// and factors are the caller's.

override POINTWISE: bool = false;
override FOCAL: bool = false;

fn gamma() -> f32 { return params.options[1].z; }

// What is as good as 0: below it a quotient has no digits.
const TINY = 1e-37;

fn modulation(miss: vec4<f32>) -> vec4<f32> {
    if !FOCAL { return vec4(1.0); }
    return accurate_exp4(gamma() * accurate_log4(max(miss, vec4(1.1754944e-38))));
}

// The term of one class. What has no target costs nothing, whatever its logit.
fn pointwise_loss(p: Prediction, t: vec4<f32>) -> vec4<f32> {
    if SIGMOID {
        let miss = p.p * (1.0 - t) + p.miss * t;
        let cost = weighted4(t, p.cost) + weighted4(1.0 - t, p.cost_of_miss);
        return weighted4(modulation(miss), cost) / f32(params.classes);
    }
    return weighted4(t, weighted4(modulation(p.miss), p.cost));
}

// Softmax: a_c, of which the derivative by x_k is p_k sum_c a_c - a_k:
//     a = t (1 - p)^gamma (1 + gamma p * -log p / (1 - p)),  where the quotient goes to 1 with 1 - p to 0.
fn pointwise_slope(p: Prediction, t: vec4<f32>) -> vec4<f32> {
    if !FOCAL { return t; }
    let bend = select(weighted4(p.p, p.cost) / p.miss, vec4(1.0), p.miss < vec4(TINY));
    return t * modulation(p.miss) * (1.0 + gamma() * bend);
}

// Sigmoid: the derivative by the logit of the class,
//     miss^gamma / K (p - t + gamma (1 - 2t) p (1 - p) / miss * cost),
// with p - t as p (1 - t) - (1 - p) t.
fn pointwise_gradient(p: Prediction, t: vec4<f32>) -> vec4<f32> {
    let excess = p.p * (1.0 - t) - p.miss * t;
    if !FOCAL { return excess / f32(params.classes); }
    let miss = p.p * (1.0 - t) + p.miss * t;
    let cost = weighted4(t, p.cost) + weighted4(1.0 - t, p.cost_of_miss);
    let bend = weighted4((1.0 - 2.0 * t) * p.p * p.miss / miss, cost);
    let g = modulation(miss) * (excess + gamma() * bend) / f32(params.classes);
    return select(g, vec4(0.0), miss < vec4(TINY));
}
