//! The exponential in float64, of numbers up to 0.
//!
//! `x = n log 2 + r` with `|r| <= 0.35`, and `exp(r)` is its series. With AVX-512 `n` is a multiple of 1/16 and `|r| <= 0.022`: the
//! power of two of its fraction is looked up in two registers, and six terms less are needed.

use super::native::{has_table, looked_up_64, scaled_above_64};
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

/// `2^(i/16)`.
#[rustfmt::skip]
const TABLE: [f64; 16] = [
    1.0, 1.044_273_782_427_413_8, 1.090_507_732_665_257_7, 1.138_788_634_756_691_6,
    1.189_207_115_002_721, 1.241_857_812_073_484, 1.296_839_554_651_009_6, 1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2, 1.476_826_145_939_499_3, 1.542_210_825_407_940_7, 1.610_490_331_949_254_3,
    1.681_792_830_507_429, 1.756_252_160_373_299_5, 1.834_008_086_409_342_4, 1.915_206_561_397_147_4,
];

/// `log 2 / 16` in two parts, of which the first has 36 bits.
const LN_2_OF_16: [f64; 2] = [0.043_321_698_784_893_67, 1.029_121_848_931_067_6e-13];

/// `(exp(r) - 1) / r` for `|r| <= log 2 / 32`, the lowest power first: its series up to `r^12`, economised. The error of `exp(r)` is
/// 1.4e-17.
const NEAR: [f64; 6] = [
    1.000_000_000_000_000_7,
    0.500_000_000_000_000_3,
    0.166_666_666_642_097_03,
    0.041_666_666_661_889_24,
    0.008_333_472_975_017_074,
    0.001_388_909_253_282_775,
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
    if has_table::<S>() { by_table(simd, x) } else { by_series(simd, x) }
}

#[inline(always)]
fn by_table<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    let number = |value: f64| S::f64s::splat(simd, value);
    // The low bits count sixteenths.
    let shifted = x.mul_add(number(16.0 * std::f64::consts::LOG2_E), number(ROUND));
    let n = shifted - number(ROUND);
    let r = n.mul_add(number(-LN_2_OF_16[0]), x);
    let r = n.mul_add(number(-LN_2_OF_16[1]), r);
    let mut terms = [r; NEAR.len()];
    for (term, c) in terms.iter_mut().zip(NEAR) {
        *term = number(c);
    }
    let r_2 = r * r;
    let [a, b, c] = pairs(&terms, r);
    let p = c.mul_add(r_2, b).mul_add(r_2, a);
    let [low, high] = [&TABLE[..8], &TABLE[8..]].map(|half| S::f64s::from_slice(simd, half));
    let power = looked_up_64::<S>(low, high, shifted);
    scaled_above_64::<S>((power * r).mul_add(p, power), n * number(1.0 / 16.0), x, number(LOWEST))
}

#[inline(always)]
fn by_series<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
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
    use super::{TABLE, exp_of_negative, exp_of_negatives};
    use crate::cpu::Instructions;
    use crate::cpu::simd::{Kernel, Simd, SimdBase};

    struct Exp<'a>(&'a mut [f64]);

    impl Kernel for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for x in self.0.chunks_exact_mut(S::f64s::LEN) {
                exp_of_negatives(simd, S::f64s::from_slice(simd, x)).store_slice(x);
            }
        }
    }

    #[test]
    fn the_table_has_powers_of_two() {
        for (i, power) in TABLE.into_iter().enumerate() {
            assert!((power - (i as f64 / 16.0).exp2()).abs() <= f64::EPSILON * 0.5, "2^({i}/16)");
        }
    }

    #[test]
    fn exponentials_of_negative_numbers() {
        let numbers: Vec<f64> = (0..72_000).map(|i| -700.0 + (f64::from(i) * 0.01).min(700.0)).collect();
        let scalar = numbers.iter().copied().map(exp_of_negative).collect();
        let of_vectors = Instructions::ALL.into_iter().filter(|set| set.is_available()).map(|set| {
            let mut got = numbers.clone();
            set.run(Exp(&mut got));
            (Some(set), got)
        });
        for (set, got) in of_vectors.chain([(None::<Instructions>, scalar)]) {
            for (x, got) in numbers.iter().zip(got).skip(1) {
                let want = x.exp();
                assert!((got - want).abs() <= 1e-15 * want, "{set:?}: exp({x}) is {got:e}, not {want:e}");
            }
        }
    }

    #[test]
    fn exponentials_of_zero_and_of_what_is_no_number() {
        let numbers = [0.0, -701.0, f64::NEG_INFINITY, -1e300, f64::NAN, -0.0, 0.0, 0.0];
        let scalar = numbers.map(exp_of_negative);
        let of_vectors = Instructions::ALL.into_iter().filter(|set| set.is_available()).map(|set| {
            let mut got = numbers;
            set.run(Exp(&mut got));
            got
        });
        for got in of_vectors.chain([scalar]) {
            assert_eq!((got[0], &got[1..4], got[5]), (1.0, &[0.0; 3][..], 1.0));
            assert!(got[4].is_nan());
        }
    }
}
