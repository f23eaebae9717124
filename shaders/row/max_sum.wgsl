// The softmax monoid: the largest logit seen, and the sum of exponentials relative to it.
//
//     (m1, s1) . (m2, s2) = (m, s1 e^(m1-m) + s2 e^(m2-m)),  m = max(m1, m2)
//
// Needs: the reduce fragment, exponent_scale() of the loss. Provides: MaxSum, max_sum_*, LOWEST.
// A logit of -inf contributes 0; a NaN is remembered by its bits, because max drops it.

// The identity of max: finite, so that -inf - maximum stays -inf and never becomes NaN.
const LOWEST = -3.4028234e38;

struct MaxSum {
    maximum: f32,
    sum: vec4<f32>,       // four interleaved sums of 2^(scale (x - maximum))
    magnitude: vec4<u32>, // largest |x| seen, as bits shifted left by one: above INFINITE means NaN
}
const INFINITE = 0xff000000u;

fn max_sum_identity() -> MaxSum { return MaxSum(LOWEST, vec4(0.0), vec4(0u)); }

// Rebases the sum to a maximum that is at least `candidate`.
fn max_sum_raise(a: MaxSum, candidate: f32) -> MaxSum {
    let m = max(a.maximum, candidate);
    return MaxSum(m, a.sum * exp2(exponent_scale() * (a.maximum - m)), a.magnitude);
}

// Adds four logits, none above the maximum. The difference comes first: scaled logits would lose their low digits.
fn max_sum_add(a: MaxSum, x: vec4<f32>) -> MaxSum {
    return MaxSum(
        a.maximum,
        a.sum + exp2(exponent_scale() * (x - a.maximum)),
        max(a.magnitude, bitcast<vec4<u32>>(x) << vec4(1u)),
    );
}

fn max_sum_combine(a: MaxSum, b: MaxSum) -> MaxSum {
    let ra = max_sum_raise(a, b.maximum);
    let rb = max_sum_raise(b, a.maximum);
    return MaxSum(ra.maximum, ra.sum + rb.sum, max(ra.magnitude, rb.magnitude));
}

// Over all lanes. Not a number is all that is kept of the magnitudes.
fn max_sum_reduce(mine: MaxSum, lane: Lane) -> MaxSum {
    let has_nan = select(0.0, 1.0, max_sum_has_nan(mine));
    let highest = reduce_max(vec4(mine.maximum, has_nan, 0.0, 0.0), lane);
    let sum = reduce_sum(max_sum_raise(mine, highest.x).sum, lane);
    return MaxSum(highest.x, sum, magnitude_of(highest.y > 0.0));
}

// A magnitude that says so.
fn magnitude_of(has_nan: bool) -> vec4<u32> { return select(vec4(0u), vec4(0xffffffffu), has_nan); }
fn max_sum_has_nan(a: MaxSum) -> bool { return any(a.magnitude > vec4(INFINITE)); }
