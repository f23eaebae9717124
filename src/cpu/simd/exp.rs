//! The exponential.
//!
//! The polynomials are minimax fits of relative error (Remez). `u = 2^-24 = 6e-8`.

use super::math::{at_least, at_most};
use super::native::has_table;
use super::powers::{Fit, powers, residue, round, sum_of_powers};
use super::{BLOCK, Block, Select, Simd, SimdBase, SimdFloat, splat, total};

/// `exp(factor * d)` for many `d` and one positive `factor`, such as one over a temperature.
///
/// With `n` the integer, or with AVX-512 the multiple of 1/32, nearest to `k d`, `k = factor * log2(e)`, and `r = k d - n`:
///
/// ```text
/// exp(factor * d) = 2^n 2^r
/// 2^r = p(r) (1 + 2.6e-9),                  |r| <= 1/2,    p of degree 6
/// 2^r = (1 + r (c1 + c2 r)) (1 + 5.3e-8),   |r| <= 1/64,   2^(n - floor n) from a table
/// ```
///
/// `r` comes from a fused multiply-add and carries no rounding but that of `k`: the result is within 1 ULP, from a table within
/// 2.9 u, plus `u |k d|` for the rounding of `k`. That share is largest, as a part of the sum that exponentials of differences go into, at
/// `k d = -1.44`: `e^-1 u`. Without a fused instruction the product's rounding adds as much again.
///
/// Up to 2^-126.5 the result is exactly 0, at -inf too; from 2^128 on it is +inf. NaN stays NaN, +inf gives +inf or NaN.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Exp<S: Simd> {
    simd: S,
    k: S::f32s,
    /// What float32 rounds off of `k`.
    k_low: S::f32s,
    /// Where the result becomes 0, and +inf.
    lowest: S::f32s,
    highest: S::f32s,
}

/// `2^r`, for `|r|` up to 1/2 and to 1/64.
const EXP2: Fit = Fit {
    far: [1.559_467_7e-4, 1.340_664_4e-3, 9.617_693e-3, 5.550_310_6e-2, 2.402_265_3e-1, 6.931_472_2e-1, 1.0],
    near: [2.402_264_9e-1, 6.931_573e-1],
};

impl<S: Simd> Exp<S> {
    #[inline(always)]
    pub(in crate::cpu) fn new(simd: S, factor: f32) -> Self {
        let exact = f64::from(factor) * std::f64::consts::LOG2_E;
        let k = exact as f32;
        let k_low = (exact - f64::from(k)) as f32;
        // Without a table: at -127 the biased exponent is 0, and so is the power; at 128 both are infinite.
        let lowest = if has_table::<S>() { -126.0 } else { -127.0 };
        let of = |value| splat(simd, value);
        Self { simd, k: of(k), k_low: of(k_low), lowest: of(lowest / k), highest: of(128.0 / k) }
    }

    /// What the rounding of `k` adds to the logarithm of an exponential, or of a sum of them, as a part of that logarithm.
    #[inline(always)]
    pub(in crate::cpu) fn excess(factor: f32) -> f32 {
        let exact = f64::from(factor) * std::f64::consts::LOG2_E;
        (f64::from(exact as f32) / exact - 1.0) as f32
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

    /// The sum of a block's exponentials, which take the place of `d` if they are `KEPT`; else nobody computes
    /// them one by one, which takes longer. `between` as in [`of_block`](Self::of_block).
    #[inline(always)]
    pub(in crate::cpu) fn sum_of_block<const KEPT: bool>(
        self,
        d: &mut Block<S>,
        between: impl FnMut(usize),
    ) -> S::f32s {
        if KEPT {
            self.of_block(d, between);
            return total::<S>(d);
        }
        let (sums, r) = self.reduced(d);
        sum_of_powers(self.simd, &EXP2, &sums, &r, d, self.lowest, between)
    }

    /// As [`of`](Self::of), of up to a block.
    #[inline(always)]
    pub(in crate::cpu) fn of_some<const N: usize>(self, mut d: [S::f32s; N]) -> [S::f32s; N] {
        self.together(&mut d, |_| {});
        d
    }

    #[inline(always)]
    fn together<const N: usize>(self, d: &mut [S::f32s; N], between: impl FnMut(usize)) {
        let (sums, r) = self.reduced(d);
        *d = powers(self.simd, &EXP2, &sums, &r, d, self.lowest, between);
    }

    /// `k d + round` and `k d - n`; brings `d` to where there is an exponent for it.
    #[inline(always)]
    fn reduced<const N: usize>(self, d: &mut [S::f32s; N]) -> ([S::f32s; N], [S::f32s; N]) {
        let (mut sums, mut r) = ([self.k; N], [self.k; N]);
        for (d, sum) in d.iter_mut().zip(&mut sums) {
            *d = self.within(*d);
            *sum = d.mul_add(self.k, round(self.simd));
        }
        for ((r, d), sum) in r.iter_mut().zip(&*d).zip(&sums) {
            *r = residue::<S>(*d, self.k, *sum - round(self.simd), self.lowest);
        }
        (sums, r)
    }

    /// `exp(factor * (d + low))`, as exact for every `d`.
    #[inline(always)]
    pub(in crate::cpu) fn of_two(self, d: S::f32s, low: S::f32s) -> S::f32s {
        let Self { simd, k, k_low, lowest, .. } = self;
        let d = self.within(d);
        let sum = d.mul_add(k, round(simd));
        let r = d.mul_sub(k, sum - round(simd));
        // An infinite `d` has a `low` of NaN.
        let low = low.simd_eq(low).select(low, splat(simd, 0.0));
        let r = low.mul_add(k, d.mul_add(k_low, r));
        powers(simd, &EXP2, &[sum], &[r], &[d], lowest, |_| {})[0]
    }

    /// `d`, brought to where [`powers`] has an exponent for it. NaN stays NaN.
    #[inline(always)]
    fn within(self, d: S::f32s) -> S::f32s {
        if has_table::<S>() { d } else { at_most(self.highest, at_least(self.lowest, d)) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Exp;
    use crate::cpu::Instructions;
    use crate::cpu::simd::{BLOCK, Kernel, MAX_LANES, Simd, SimdBase, block_len, load, load_block, splat, to_lanes};

    const U: f64 = 1.0 / (1 << 24) as f64;

    /// How many u an exponential is off by itself: 1 ULP; from a table 0.93 for its entries, 0.9 for the polynomial, and a rounding.
    pub(in crate::cpu::simd) fn steps(set: Instructions) -> f64 {
        if set == Instructions::Avx512 { 2.9 } else { 2.0 }
    }

    /// `exp(factor * d)`, and the same in two parts, the second of them 0 and then `low`.
    struct Exps<'a> {
        factor: f32,
        d: &'a [f32],
        low: f32,
    }

    impl Kernel for Exps<'_> {
        type Output = [Vec<f32>; 3];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [Vec<f32>; 3] {
            let exp = Exp::new(simd, self.factor);
            let mut all = [const { Vec::new() }; 3];
            for at in (0..self.d.len()).step_by(S::f32s::LEN) {
                let d = load(simd, self.d, at);
                let of_two = |low| exp.of_two(d, splat(simd, low));
                for (all, values) in all.iter_mut().zip([exp.of(d), of_two(0.0), of_two(self.low)]) {
                    all.extend(&to_lanes::<S>(values)[..S::f32s::LEN]);
                }
            }
            all
        }
    }

    /// The sums of blocks of `exp(factor * d)`, lane by lane, and the number of lanes.
    struct Sums<'a> {
        factor: f32,
        d: &'a [f32],
    }

    impl Kernel for Sums<'_> {
        type Output = (Vec<f32>, usize);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> (Vec<f32>, usize) {
            let exp = Exp::new(simd, self.factor);
            let mut sums = Vec::new();
            for d in self.d.chunks_exact(block_len::<S>()) {
                let sum = exp.sum_of_block::<false>(&mut load_block(simd, d), |_| {});
                sums.extend(&to_lanes::<S>(sum)[..S::f32s::LEN]);
            }
            (sums, S::f32s::LEN)
        }
    }

    #[test]
    fn sums_are_those_of_float64() {
        let factor = 1.3;
        let mut d: Vec<f32> = (0..1_u32 << 16)
            .map(|i| (i.wrapping_mul(40_503) % (1 << 16)) as f32 / (1 << 16) as f32 * 60.0 - 50.0)
            .collect();
        // What comes to 0, among others and by itself; and what is not a number.
        d.iter_mut().skip(256).step_by(5).for_each(|d| *d = -1e30);
        d[64..192].fill(f32::NEG_INFINITY);
        d[500] = f32::NAN;
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let (sums, lanes) = set.run(Sums { factor, d: &d });
            for (at, &sum) in sums.iter().enumerate() {
                let terms = (0..BLOCK).map(|i| d[at / lanes * BLOCK * lanes + i * lanes + at % lanes]);
                let (mut want, mut tolerance) = (0.0, 0.0);
                for d in terms.map(f64::from) {
                    let e = (f64::from(factor) * d).exp();
                    want += e;
                    if e > 0.0 {
                        // What an exponential is off by, the rounding of k d, twice if it is not fused, and that of the sum.
                        let of_k = (f64::from(factor) * d).abs() * std::f64::consts::LOG2_E;
                        let times = if set == Instructions::Baseline { 2.0 } else { 1.0 };
                        tolerance += U * (steps(set) + times * of_k + 3.0) * e;
                    }
                }
                assert_eq!(want.is_nan(), sum.is_nan(), "{set:?}: sum {at}");
                assert!(want.is_nan() || (f64::from(sum) - want).abs() <= tolerance, "{set:?}: {want}, not {sum}");
            }
        }
    }

    fn on_every_set(factor: f32, d: &[f32], low: f32, check: impl Fn(Instructions, [Vec<f32>; 3])) {
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            check(set, set.run(Exps { factor, d, low }));
        }
    }

    #[test]
    fn exponentials_are_those_of_float64() {
        for factor in [1.0, 0.3, 7.0] {
            let d: Vec<f32> =
                (0..1 << 18).map(|i| (i - (1 << 17)) as f32 * (85.0 / (1 << 17) as f32) / factor).collect();
            let low = 1e-7;
            on_every_set(factor, &d, low, |set, [one, two, lower]| {
                let is_fused = set != Instructions::Baseline;
                for (i, &d) in d.iter().enumerate() {
                    let want = |low: f32| (f64::from(factor) * (f64::from(d) + f64::from(low))).exp();
                    // What the rounding of k, and of a product that is not fused, adds.
                    let of_k = f64::from(d * factor).abs() * std::f64::consts::LOG2_E;
                    let unfused = if is_fused { 0.0 } else { of_k };
                    let close = |got: f32, want: f64, of_k: f64| {
                        let tolerance = U * (steps(set) + of_k + unfused) * want;
                        assert!((f64::from(got) - want).abs() <= tolerance, "{set:?} {factor}: exp({d}) {want} {got}");
                    };
                    close(one[i], want(0.0), of_k);
                    close(two[i], want(0.0), 0.0);
                    close(lower[i], want(low), 0.0);
                }
            });
        }
    }

    #[test]
    fn both_ends_and_nan() {
        let mut d = [f32::NAN; MAX_LANES];
        let ends = [-88.0, -1e5, f32::MIN, f32::NEG_INFINITY, 89.0, 1e5, f32::MAX];
        d[..ends.len()].copy_from_slice(&ends);
        on_every_set(1.0, &d, 0.0, |set, values| {
            for values in &values[..2] {
                assert_eq!(values[..4], [0.0; 4], "{set:?}");
                assert!(values[4..ends.len()].iter().all(|&value| value == f32::INFINITY), "{set:?} {values:?}");
                assert!(values[ends.len()..].iter().all(|value| value.is_nan()), "{set:?} {values:?}");
            }
        });
    }
}
