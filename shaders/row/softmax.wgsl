// The softmax of a whole row: what the statistics of all lanes come to.
// Needs: row/max_sum, math, inverse_temperature() of the loss. Provides: Softmax, softmax_of, is_finite, log_prob_of, prob_of,
// lse_of.

struct Softmax {
    maximum: f32,
    sum: f32,      // of 2^(scale (x - maximum)), at least 1
    log_sum: f32,
    finite: u32,   // 1: neither NaN nor +inf, and not nothing but -inf
}

fn softmax_of(all: MaxSum) -> Softmax {
    let sum = (all.sum.x + all.sum.y) + (all.sum.z + all.sum.w);
    let finite = !max_sum_has_nan(all) && !is_infinite(all.maximum) && sum > 0.5;
    return Softmax(all.maximum, sum, accurate_log(max(sum, 1.0)), select(0u, 1u, finite));
}

fn is_finite(s: Softmax) -> bool { return s.finite == 1u; }

fn log_prob_of(s: Softmax, x: vec4<f32>) -> vec4<f32> { return (x - s.maximum) * inverse_temperature() - s.log_sum; }
fn prob_of(s: Softmax, x: vec4<f32>) -> vec4<f32> { return exp2(exponent_scale() * (x - s.maximum)) / s.sum; }
fn lse_of(s: Softmax) -> f32 { return s.maximum * inverse_temperature() + s.log_sum; }
