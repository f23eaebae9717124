//! Functions of vectors: logarithms, softplus, sigmoid.
//!
//! The polynomials are minimax fits of relative error (Remez); each function says what it loses. `u = 2^-24 = 6e-8`.

use super::exp::Exp;
use super::{Bytes, Select, Simd, SimdBase, SimdFloat, SimdInt, splat};

/// The larger of the two, and `x` where that is NaN.
#[inline(always)]
pub(in crate::cpu) fn at_least<S: Simd, V: SimdFloat<S>>(lowest: V, x: V) -> V {
    if cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")) {
        // On x86 the second operand is the result where one is NaN; on ARM NaN is. The tests hold both to it.
        lowest.max(x)
    } else {
        x.simd_lt(lowest).select(lowest, x)
    }
}

/// The smaller of the two, and `x` where that is NaN.
#[inline(always)]
pub(super) fn at_most<S: Simd, V: SimdFloat<S>>(highest: V, x: V) -> V {
    // As in `at_least`.
    if cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")) {
        highest.min(x)
    } else {
        x.simd_gt(highest).select(highest, x)
    }
}

/// `atanh(s)/s - 1` over `s^2` for `s^2 <= 1/9`, highest power first; relative error 4.5e-9 of atanh.
const ATANH: [f32; 4] = [1.400_642e-1, 1.400_081_4e-1, 2.001_077e-1, 3.333_321e-1];

/// `2 atanh(s)` for `|s| <= 1/3`.
#[inline(always)]
fn two_atanh<S: Simd>(simd: S, s: S::f32s) -> S::f32s {
    let z = s * s;
    let mut p = splat(simd, ATANH[0]);
    for c in &ATANH[1..] {
        p = p.mul_add(z, splat(simd, *c));
    }
    let twice = s + s;
    (p * z).mul_add(twice, twice)
}

/// `(log(1 + x) - x) / x^2`, degree 8, highest power first; the logarithm is off by 5.1e-9 of itself.
const LN_1P: [f32; 9] = [
    -3.318_476e-3,
    2.020_459_8e-2,
    -5.766_446e-2,
    1.068_055_7e-1,
    -1.535_539_6e-1,
    1.969_540_1e-1,
    -2.495_858_7e-1,
    3.333_051_2e-1,
    -4.999_993e-1,
];

/// `log(1 + x)` for `x` in [0, 1], within 3 u relative, for the smallest `x` too. A division would take as long as all of it.
///
/// The polynomial is a tree (Estrin): a third of the latency of Horner's rule for one operation more.
#[inline(always)]
pub(in crate::cpu) fn ln_1p<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    polynomial_of_ln_1p(simd, &LN_1P, x)
}

/// `x + x^2 p(x)`.
#[inline(always)]
fn polynomial_of_ln_1p<S: Simd>(simd: S, p: &[f32; 9], x: S::f32s) -> S::f32s {
    let c = |power: usize| splat(simd, p[8 - power]);
    let square = x * x;
    let fourth = square * square;
    let low = x.mul_add(c(3), c(2)).mul_add(square, x.mul_add(c(1), c(0)));
    let high = x.mul_add(c(7), c(6)).mul_add(square, x.mul_add(c(5), c(4)));
    let p = c(8).mul_add(fourth, high).mul_add(fourth, low);
    square.mul_add(p, x)
}

/// `(log(1 + x) - x) / x^2` for `1 + x` in [sqrt(1/2), sqrt 2], highest power first; the logarithm is off by 4.2e-9 of itself.
const LN_1P_AROUND: [f32; 9] = [
    -7.623_17e-2,
    1.291_472_9e-1,
    -1.324_75e-1,
    1.418_059_6e-1,
    -1.660_843e-1,
    2.000_201_3e-1,
    -2.500_161e-1,
    3.333_332_5e-1,
    -4.999_998_8e-1,
];

/// `log(1 + x)` for any finite `x >= 0`, within 3 u relative, for the smallest `x` too.
#[inline(always)]
fn ln_1p_of_any<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = splat(simd, 1.0);
    let sum = one + x;
    // What the sum has rounded off. From 2^24 on it may not be, and is nothing beside the logarithm.
    let low = x - (sum - one);
    let (e, m, scale) = halves(simd, sum);
    e.mul_add(
        splat(simd, std::f32::consts::LN_2),
        polynomial_of_ln_1p(simd, &LN_1P_AROUND, low.mul_add(scale, m - one)),
    )
}

/// `log2 x` of a normal number, within 0.09.
#[inline(always)]
pub(in crate::cpu) fn log2_roughly<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let steps: S::f32s = x.bitcast::<S::i32s>().to_float();
    steps.mul_add(splat(simd, 1.0 / (1 << 23) as f32), splat(simd, -127.0))
}

/// `log x` for `x >= 0`, within 2 ULP away from 1 and 3 u relative near it; NaN stays NaN, +inf too.
#[inline(always)]
pub(in crate::cpu) fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (e, log_m) = exponent_and_log(simd, x);
    odd_logs(simd, x, e.mul_add(splat(simd, std::f32::consts::LN_2), log_m))
}

/// `log x` in two parts, `high + low`, of which the first is rounded without an error that the second does not have: within 1.2 u
/// together, whatever the size of the logarithm. Where it is not finite the second part is, or NaN.
#[inline(always)]
pub(in crate::cpu) fn ln_parts<S: Simd>(simd: S, x: S::f32s) -> [S::f32s; 2] {
    /// Nine bits of `log 2`, a multiple of which by an exponent is exact, and the rest.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let (e, log_m) = exponent_and_log(simd, x);
    let (of_exponent, rest) = (e * splat(simd, LN_2[0]), e.mul_add(splat(simd, LN_2[1]), log_m));
    let high = odd_logs(simd, x, of_exponent + rest);
    [high, rest - (high - of_exponent)]
}

/// `e` and `log m` of `x = 2^e m`, with `m` in [sqrt(1/2), sqrt 2): `log m = 2 atanh((m - 1) / (m + 1))`.
#[inline(always)]
fn exponent_and_log<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let one = splat(simd, 1.0);
    // Below the normal numbers 2^24 x is one.
    let is_small = x.simd_lt(splat(simd, f32::MIN_POSITIVE));
    let (e, m, _) = halves(simd, is_small.select(x * splat(simd, 16_777_216.0), x));
    let e = is_small.select(e - splat(simd, 24.0), e);
    (e, two_atanh(simd, (m - one) / (m + one)))
}

/// Of a normal number `2^e m`, with `m` in [sqrt(1/2), sqrt 2): `e`, `m` and `2^-e`.
#[inline(always)]
fn halves<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s, S::f32s) {
    // From sqrt(1/2) on, a mantissa belongs to the next exponent.
    let shifted = x.bitcast::<S::u32s>() - 0x3f35_04f3;
    let exponent = shifted.bitcast::<S::i32s>() >> 23;
    let m = ((shifted & 0x007f_ffff) + 0x3f35_04f3).bitcast();
    let scale = (S::u32s::splat(simd, 0x3f80_0000) - (shifted & 0xff80_0000)).bitcast();
    (exponent.to_float(), m, scale)
}

/// `log`, but for an `x` that is NaN, infinite or 0.
#[inline(always)]
fn odd_logs<S: Simd>(simd: S, x: S::f32s, log: S::f32s) -> S::f32s {
    let is_odd = x.simd_gt(splat(simd, f32::MAX));
    let log = is_odd.select(x, log);
    let log = x.simd_eq(x).select(log, x);
    x.simd_eq(splat(simd, 0.0)).select(splat(simd, f32::NEG_INFINITY), log)
}

/// What a margin `z` says of a decision between two, each to a few u relative at both ends.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Margin<S: Simd> {
    /// `log(1 + e^z)`.
    pub(in crate::cpu) softplus: S::f32s,
    /// `log(1 + e^-z)`.
    pub(in crate::cpu) softplus_negated: S::f32s,
    /// `1 / (1 + e^-z)`.
    pub(in crate::cpu) sigmoid: S::f32s,
    /// `1 / (1 + e^z)`.
    pub(in crate::cpu) sigmoid_negated: S::f32s,
}

impl<S: Simd> Margin<S> {
    /// `exp(-|z + low|)`: the smaller of the two odds, at most 1.
    #[inline(always)]
    pub(in crate::cpu) fn odds(simd: S, exp: Exp<S>, z: S::f32s, low: S::f32s) -> S::f32s {
        let is_positive = z.simd_gt(splat(simd, 0.0));
        exp.of_two(-z.abs(), is_positive.select(-low, low))
    }

    /// Of `e^z`, a normal number whose inverse is one too.
    #[inline(always)]
    pub(in crate::cpu) fn of_any_odds(simd: S, odds: S::f32s) -> Self {
        let one = splat(simd, 1.0);
        let sigmoid_negated = one / (one + odds);
        Self {
            softplus: ln_1p_of_any(simd, odds),
            softplus_negated: ln_1p_of_any(simd, one / odds),
            sigmoid: odds * sigmoid_negated,
            sigmoid_negated,
        }
    }

    /// Of a margin and `e = exp(-|z|)`. NaN makes everything NaN.
    #[inline(always)]
    pub(in crate::cpu) fn of_odds(simd: S, z: S::f32s, e: S::f32s) -> Self {
        let (zero, one) = (splat(simd, 0.0), splat(simd, 1.0));
        let is_positive = z.simd_gt(zero);
        let log = ln_1p(simd, e);
        let likely = one / (one + e);
        let unlikely = e * likely;
        Self {
            softplus: at_least(zero, z) + log,
            softplus_negated: at_least(zero, -z) + log,
            sigmoid: is_positive.select(likely, unlikely),
            sigmoid_negated: is_positive.select(unlikely, likely),
        }
    }
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
#[inline(always)]
pub(in crate::cpu) fn weighted<S: Simd>(simd: S, weight: S::f32s, term: S::f32s) -> S::f32s {
    let zero = splat(simd, 0.0);
    // NaN stays NaN.
    let is_removed = weight.simd_eq(zero) & term.abs().simd_eq(splat(simd, f32::INFINITY));
    is_removed.select(zero, weight * term)
}
