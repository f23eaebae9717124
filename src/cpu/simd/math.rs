//! Functions of vectors: exponential, logarithms, softplus, sigmoid.
//!
//! The polynomials are minimax fits of relative error (Remez); each function says what it loses. `u = 2^-24 = 6e-8`.

use super::{BLOCK, Block, Bytes, Select, Simd, SimdBase, SimdFloat, SimdInt, splat};

/// `exp(factor * d)` for many `d` and one positive `factor`, such as one over a temperature.
///
/// With `n` the integer nearest to `k d`, `k = factor * log2(e)`, and `r = k d - n` in [-1/2, 1/2]:
///
/// ```text
/// exp(factor * d) = 2^n * p(r),   p(r) = 2^r (1 + 2.6e-9)
/// ```
///
/// `r` comes from a fused multiply-add and carries no rounding but that of `k`: the result is within 1 ULP, plus `u |k d|` for
/// the rounding of `k`. That share is largest, as a part of the sum that exponentials of differences go into, at `k d = -1.44`:
/// `e^-1 u`. Without a fused instruction the product's rounding adds as much again.
///
/// Below 2^-126.5 the result is exactly 0, at -inf too. NaN stays NaN, +inf gives NaN. It is meant for `k d` below 126.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Exp<S: Simd> {
    simd: S,
    k: S::f32s,
    /// What float32 rounds off of `k`.
    k_low: S::f32s,
    lowest: S::f32s,
}

/// 1.5 * 2^23 and the exponent's bias: adding it rounds to an integer, whose biased form is in the low bits of the sum.
const ROUND: f32 = 12_582_912.0 + 127.0;

/// `(2^r - 1) / r`, degree 5, highest power first.
const EXP2: [f32; 6] = [1.559_467_7e-4, 1.340_664_4e-3, 9.617_693e-3, 5.550_310_6e-2, 2.402_265_3e-1, 6.931_472_2e-1];

impl<S: Simd> Exp<S> {
    #[inline(always)]
    pub(in crate::cpu) fn new(simd: S, factor: f32) -> Self {
        let exact = f64::from(factor) * std::f64::consts::LOG2_E;
        let k = exact as f32;
        // At -127 the biased exponent is 0, and so is the power.
        let k_low = (exact - f64::from(k)) as f32;
        Self { simd, k: splat(simd, k), k_low: splat(simd, k_low), lowest: splat(simd, -127.0 / k) }
    }

    #[inline(always)]
    pub(in crate::cpu) fn of(self, d: S::f32s) -> S::f32s {
        let mut d = [d];
        self.together::<1>(&mut d, |_| {});
        d[0]
    }

    /// A block, all its vectors at once: each is a chain of dependent operations, and a processor looks no farther than some
    /// hundred of them for others to run beside it. Measured with AVX-512: a fifth faster than one after the other.
    ///
    /// Between the steps it calls `between`, with each vector's number: what waits for memory goes there, a line at a time.
    #[inline(always)]
    pub(in crate::cpu) fn of_block(self, d: &mut Block<S>, between: impl FnMut(usize)) {
        self.together::<BLOCK>(d, between);
    }

    #[inline(always)]
    fn together<const N: usize>(self, d: &mut [S::f32s; N], mut between: impl FnMut(usize)) {
        const { assert!(N < EXP2.len(), "a step for each") };
        let Self { simd, k, lowest, .. } = self;
        let round = splat(simd, ROUND);
        let (mut biased, mut p) = ([round; N], [splat(simd, EXP2[0]); N]);
        for (d, biased) in d.iter_mut().zip(&mut biased) {
            *d = at_least(lowest, *d);
            *biased = d.mul_add(k, round);
        }
        for (d, biased) in d.iter_mut().zip(&biased) {
            *d = d.mul_sub(k, *biased - round);
        }
        for (i, c) in EXP2[1..].iter().enumerate() {
            if i < N {
                between(i);
            }
            for (p, r) in p.iter_mut().zip(&*d) {
                *p = p.mul_add(*r, splat(simd, *c));
            }
        }
        for ((r, p), biased) in d.iter_mut().zip(&p).zip(&biased) {
            *r = p.mul_add(*r, splat(simd, 1.0)) * power_of_two::<S>(*biased);
        }
    }

    /// `exp(factor * (d + low))` within 1 ULP for every `d`.
    #[inline(always)]
    pub(in crate::cpu) fn of_two(self, d: S::f32s, low: S::f32s) -> S::f32s {
        let Self { simd, k, k_low, lowest } = self;
        let d = at_least(lowest, d);
        let biased = d.mul_add(k, splat(simd, ROUND));
        let r = d.mul_sub(k, biased - splat(simd, ROUND));
        // An infinite `d` has a `low` of NaN.
        let low = low.simd_eq(low).select(low, splat(simd, 0.0));
        self.power(low.mul_add(k, d.mul_add(k_low, r)), biased)
    }

    /// `2^(n + r)`.
    #[inline(always)]
    fn power(self, r: S::f32s, biased: S::f32s) -> S::f32s {
        let simd = self.simd;
        let mut p = splat(simd, EXP2[0]);
        for c in &EXP2[1..] {
            p = p.mul_add(r, splat(simd, *c));
        }
        p.mul_add(r, splat(simd, 1.0)) * power_of_two::<S>(biased)
    }
}

/// `2^n` of what rounding by [`ROUND`] gave.
#[inline(always)]
fn power_of_two<S: Simd>(biased: S::f32s) -> S::f32s {
    S::f32s::from_bits(biased.to_bits() << 23)
}

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
fn at_most<S: Simd, V: SimdFloat<S>>(highest: V, x: V) -> V {
    if cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")) {
        // As in `at_least`.
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
    let c = |power: usize| splat(simd, LN_1P[8 - power]);
    let square = x * x;
    let fourth = square * square;
    let low = x.mul_add(c(3), c(2)).mul_add(square, x.mul_add(c(1), c(0)));
    let high = x.mul_add(c(7), c(6)).mul_add(square, x.mul_add(c(5), c(4)));
    let p = c(8).mul_add(fourth, high).mul_add(fourth, low);
    square.mul_add(p, x)
}

/// As [`LN_1P`], degree 7: off by 4.5e-8.
const LN_1P_SHORT: [f32; 8] = [
    5.731_988e-3,
    -3.153_610_6e-2,
    8.158_004_3e-2,
    -1.395_090_1e-1,
    1.924_159_8e-1,
    -2.487_698_5e-1,
    3.332_306_4e-1,
    -4.999_964_8e-1,
];

/// `log(1 + x)` of a block, as [`ln_1p`], all its vectors at once: where there are four chains, Horner's rule is the faster one.
#[inline(always)]
pub(in crate::cpu) fn ln_1p_block<S: Simd>(simd: S, x: &Block<S>) -> Block<S> {
    let mut p = [splat(simd, LN_1P_SHORT[0]); BLOCK];
    for c in &LN_1P_SHORT[1..] {
        for (p, x) in p.iter_mut().zip(x) {
            *p = p.mul_add(*x, splat(simd, *c));
        }
    }
    for (p, x) in p.iter_mut().zip(x) {
        *p = (*x * *x).mul_add(*p, *x);
    }
    p
}

/// `log x` for `x >= 0`; NaN stays NaN, +inf too.
///
/// `x = 2^e m` with `m` in [sqrt(1/2), sqrt 2): `e ln 2 + 2 atanh((m - 1) / (m + 1))`, within 2 ULP away from 1 and 3 u relative
/// near it.
#[inline(always)]
pub(in crate::cpu) fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = splat(simd, 1.0);
    // Below the normal numbers 2^24 x is one.
    let is_small = x.simd_lt(splat(simd, f32::MIN_POSITIVE));
    let bits = is_small.select(x * splat(simd, 16_777_216.0), x).to_bits();
    // From sqrt(1/2) on, a mantissa belongs to the next exponent.
    let shifted = bits - 0x3f35_04f3;
    let exponent = shifted.bitcast::<S::i32s>() >> 23;
    let m = S::f32s::from_bits((shifted & 0x007f_ffff) + 0x3f35_04f3);
    let e: S::f32s = exponent.to_float();
    let e = is_small.select(e - splat(simd, 24.0), e);
    let log_m = two_atanh(simd, (m - one) / (m + one));
    let log = e.mul_add(splat(simd, std::f32::consts::LN_2), log_m);
    let is_odd = x.simd_gt(splat(simd, f32::MAX));
    let log = is_odd.select(x, log);
    let log = x.simd_eq(x).select(log, x);
    x.simd_eq(splat(simd, 0.0)).select(splat(simd, f32::NEG_INFINITY), log)
}

/// `exp(-r)` for `|r|` up to half of `ln 2`, highest power first; relative error 3.8e-9.
const EXP_NEGATED: [f32; 7] = [1.381_459_9e-3, -8.368_717e-3, 4.166_839e-2, -1.666_652_1e-1, 4.999_999_4e-1, -1.0, 1.0];

/// `exp(-|x|)` of a block, all its vectors at once, as [`Exp::of_block`]; `between` is called as there.
///
/// With `n` the integer nearest to `|x| log2(e)` and `r = |x| - n ln 2`, which carries no rounding but that of `ln 2`:
///
/// ```text
/// exp(-|x|) = 2^-n p(r),   p(r) = exp(-r) (1 + 3.8e-9)
/// ```
///
/// within 1 ULP and `u |x| / 22`. Below 2^-126.5 the result is exactly 0, at both infinities too; NaN stays NaN.
#[inline(always)]
pub(in crate::cpu) fn odds_block<S: Simd>(simd: S, x: &Block<S>, mut between: impl FnMut(usize)) -> Block<S> {
    const { assert!(BLOCK < EXP_NEGATED.len(), "a step for each") };
    let round = splat(simd, ROUND);
    // There the biased exponent is 0, and so is the power.
    let highest = splat(simd, 127.0 * std::f32::consts::LN_2);
    let (mut biased, mut r, mut p) = ([round; BLOCK], *x, [splat(simd, EXP_NEGATED[0]); BLOCK]);
    for (r, biased) in r.iter_mut().zip(&mut biased) {
        *r = at_most(highest, r.abs());
        *biased = r.mul_add(splat(simd, -std::f32::consts::LOG2_E), round);
    }
    for (r, biased) in r.iter_mut().zip(&biased) {
        *r = (*biased - round).mul_add(splat(simd, std::f32::consts::LN_2), *r);
    }
    for (i, c) in EXP_NEGATED[1..].iter().enumerate() {
        if i < BLOCK {
            between(i);
        }
        for (p, r) in p.iter_mut().zip(&r) {
            *p = p.mul_add(*r, splat(simd, *c));
        }
    }
    for (p, biased) in p.iter_mut().zip(&biased) {
        *p *= power_of_two::<S>(*biased);
    }
    p
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
