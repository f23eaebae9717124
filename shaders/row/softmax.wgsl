// The softmax of a whole row: what the statistics of all lanes come to.
// Needs: row/max_sum, math, reduce, inverse_temperature() of the loss. Provides: Softmax, softmax_of, log_prob_of, prob_of, lse_of.

struct Softmax {
    maximum: f32,
    sum: f32,      // of 2^(scale (x - maximum)), at least 1
    log_sum: f32,
    finite: bool,  // neither NaN nor +inf, and not nothing but -inf
}

fn softmax_of(mine: MaxSum, lane: Lane) -> Softmax {
    let has_nan = select(0.0, 1.0, max_sum_has_nan(mine));
    let highest = reduce_max(vec4(mine.maximum, has_nan, 0.0, 0.0), lane);
    let sums = reduce_sum(max_sum_raise(mine, highest.x).sum, lane);
    let sum = (sums.x + sums.y) + (sums.z + sums.w);
    let finite = highest.y == 0.0 && !is_infinite(highest.x) && sum > 0.5;
    return Softmax(highest.x, sum, accurate_log(max(sum, 1.0)), finite);
}

fn log_prob_of(s: Softmax, x: vec4<f32>) -> vec4<f32> { return (x - s.maximum) * inverse_temperature() - s.log_sum; }
fn prob_of(s: Softmax, x: vec4<f32>) -> vec4<f32> { return exp2(exponent_scale() * (x - s.maximum)) / s.sum; }
fn lse_of(s: Softmax) -> f32 { return s.maximum * inverse_temperature() + s.log_sum; }
