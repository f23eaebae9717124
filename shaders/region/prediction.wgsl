// What the logits of four neighbouring positions predict: a softmax over the classes, or a sigmoid each.
//
// A softmax is kept as (maximum, rest), with rest = sum of e^(x_k - maximum) over the classes other than the largest:
//     p_c = e_c / (1 + rest),   1 - p_c = ((1 - e_c) + rest) / (1 + rest),   e_c = e^(x_c - maximum)
// Both keep all their digits, for the largest class of a confident position too. Pairs merge by
//     (m1, r1) . (m2, r2) = (m1, r1 + (1 + r2) e^(m2 - m1))   for m1 >= m2
// and the identity is (lowest, -1): there is no largest class yet.
//
// Needs: params, math, schedule/quads. Provides: Positions, positions_of, Prediction, predict, predict_top,
// are_nan, SIGMOID.

override SIGMOID: bool = false;

// Classes that are merged before a lane starts afresh: bounds the rounding error of a running sum.
const STRIP = 64u;
// Finite, so that -inf - lowest stays -inf and never becomes NaN.
const LOWEST = -3.4028234e38;

// The bits of an infinity, shifted left by one: above it is NaN.
const INFINITE = 0xff000000u;

fn are_nan(x: vec4<f32>) -> vec4<bool> { return (bitcast<vec4<u32>>(x) << vec4(1u)) > vec4(INFINITE); }

struct Positions {
    maximum: vec4<f32>,
    rest: vec4<f32>,
    top: vec4<u32>,        // the largest class
    magnitude: vec4<u32>,  // largest |x|, as bits shifted left by one
    finite: vec4<bool>,    // neither NaN nor +inf, and not nothing but -inf
}

fn merged(a: Positions, b: Positions) -> Positions {
    let d = b.maximum - a.maximum;
    let e = accurate_exp4(-abs(d));
    let rises = d > vec4(0.0);
    return Positions(
        max(a.maximum, b.maximum),
        select(a.rest + (1.0 + b.rest) * e, b.rest + (1.0 + a.rest) * e, rises),
        select(a.top, b.top, rises),
        max(a.magnitude, b.magnitude),
        a.finite,
    );
}

fn positions_of(q: Quad) -> Positions {
    let none = Positions(vec4(LOWEST), vec4(-1.0), vec4(0u), vec4(0u), vec4(true));
    var all = none;
    if SIGMOID { return all; }
    for (var strip = 0u; strip < params.classes; strip += STRIP) {
        var some = none;
        for (var c = strip; c < min(params.classes, strip + STRIP); c++) {
            let x = load_positions(q, c);
            some = merged(some, Positions(x, vec4(0.0), vec4(c), bitcast<vec4<u32>>(x) << vec4(1u), vec4(true)));
        }
        all = merged(all, some);
    }
    let infinite = (bitcast<vec4<u32>>(all.maximum) << vec4(1u)) == vec4(INFINITE);
    all.finite = (all.magnitude <= vec4(INFINITE)) & !infinite & (all.rest > vec4(-0.5));
    return all;
}

// p, 1 - p and their negative logarithms, for one class of four positions. NaN where there is no prediction.
struct Prediction {
    p: vec4<f32>,
    miss: vec4<f32>,
    cost: vec4<f32>,          // -log p
    cost_of_miss: vec4<f32>,  // -log(1 - p), of a sigmoid
}

fn predict(s: Positions, x: vec4<f32>) -> Prediction {
    if SIGMOID {
        let m = margin_of4(x);
        let nan = vec4(params.nan);
        let lost = are_nan(x);
        return Prediction(
            select(m.sigmoid, nan, lost),
            select(m.sigmoid_of_negative, nan, lost),
            m.softplus_of_negative,
            m.softplus,
        );
    }
    let d = s.maximum - x;
    return softmax_prediction(s, accurate_exp4(-d), d);
}

// Of the largest class of each position, in a softmax.
fn predict_top(s: Positions) -> Prediction { return softmax_prediction(s, vec4(1.0), vec4(0.0)); }

// e = e^-d, for a class that is d below the largest.
fn softmax_prediction(s: Positions, e: vec4<f32>, d: vec4<f32>) -> Prediction {
    let sum = 1.0 + s.rest;
    let log_sum = select(accurate_log4(max(sum, vec4(1.0))), log1p_unit4(s.rest), s.rest <= vec4(1.0));
    return Prediction(
        select(vec4(params.nan), e / sum, s.finite),
        select(vec4(params.nan), ((1.0 - e) + s.rest) / sum, s.finite),
        d + log_sum,
        vec4(0.0),
    );
}
