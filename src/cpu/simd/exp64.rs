//! The exponential in float64, of numbers up to 0.
//!
//! `x = n log 2 + r` with `|r| <= 0.35`, and `exp(r)` is its series.

use super::{Bytes, Select, Simd, SimdBase, SimdFloat};

/// Rounds to an integer by addition.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `log 2` in two parts, of which the first has 21 bits.
const LN_2: [f64; 2] = [0.693_147_182_464_599_6, -1.904_654_299_957_767_8e-9];

/// Below it the result is 0, as `2^n` would be soon.
const LOWEST: f64 = -700.0;

/// `exp(r) = sum r^k / k!` up to `r^12`, the highest first: the rest is below `0.35^13 / 13! = 2e-16` for `|r| <= 0.35`.
const SERIES: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// `exp(x)` for `x <= 0` within 1e-15 relative, 0 below -700; branches on nothing, so that loops over it vectorise.
#[inline(always)]
pub(in crate::cpu) fn exp_of_negative(x: f64) -> f64 {
    let clamped = if x < LOWEST { LOWEST } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2[0]) - n * LN_2[1];
    let p = SERIES.iter().fold(0.0, |p, c| p * r + c);
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < LOWEST { 0.0 } else { p * scale }
}

/// As [`exp_of_negative`], with fused multiply-adds where there are any.
#[inline(always)]
pub(in crate::cpu) fn exp_of_negatives<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    let lowest = S::f64s::splat(simd, LOWEST);
    let is_low = x.simd_lt(lowest);
    let clamped = is_low.select(lowest, x);
    let round = S::f64s::splat(simd, ROUND);
    let shifted = clamped.mul_add(S::f64s::splat(simd, std::f64::consts::LOG2_E), round);
    let n = shifted - round;
    let r = n.mul_add(S::f64s::splat(simd, -LN_2[0]), clamped);
    let r = n.mul_add(S::f64s::splat(simd, -LN_2[1]), r);
    let mut terms = [r; SERIES.len()];
    for (term, c) in terms.iter_mut().zip(SERIES.iter().rev()) {
        *term = S::f64s::splat(simd, *c);
    }
    // In pairs, since one term after the other would be a long chain.
    let (r_2, r_4) = (r * r, (r * r) * (r * r));
    let terms: [_; 7] = pairs(&terms, r);
    let terms: [_; 4] = pairs(&terms, r_2);
    let terms: [_; 2] = pairs(&terms, r_4);
    let [p] = pairs(&terms, r_4 * r_4);
    let exponents = shifted.bitcast::<S::u64s>() + S::u64s::splat(simd, 1023);
    is_low.select(S::f64s::splat(simd, 0.0), p * (exponents << 52).bitcast::<S::f64s>())
}

/// `exp(x)` within 2e-15 relative, 0 below -700 and +inf above 700.
#[inline(always)]
pub(in crate::cpu) fn exponentials<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    let e = exp_of_negatives(simd, -x.abs());
    x.simd_gt(S::f64s::splat(simd, 0.0)).select(S::f64s::splat(simd, 1.0) / e, e)
}

/// `a + b x` of each pair of neighbours; the last may have none.
#[inline(always)]
fn pairs<S: Simd, V: SimdFloat<S>, const N: usize, const M: usize>(terms: &[V; N], x: V) -> [V; M] {
    const { assert!(M == N.div_ceil(2)) };
    let mut pairs = [x; M];
    for (i, pair) in pairs.iter_mut().enumerate() {
        *pair = if 2 * i + 1 < N { terms[2 * i + 1].mul_add(x, terms[2 * i]) } else { terms[2 * i] };
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::exp_of_negative;

    #[test]
    fn exponentials_of_negative_numbers() {
        for i in 0..70_000 {
            let x = -0.01 * f64::from(i);
            let want = x.exp();
            let got = exp_of_negative(x);
            assert!((got - want).abs() <= 1e-15 * want, "{x}: {got}, not {want}");
        }
        assert_eq!((exp_of_negative(0.0), exp_of_negative(-701.0)), (1.0, 0.0));
        assert_eq!(exp_of_negative(f64::NEG_INFINITY), 0.0);
        assert!(exp_of_negative(f64::NAN).is_nan());
    }
}
