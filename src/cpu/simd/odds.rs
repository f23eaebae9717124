//! What losses of single logits are made of: odds, and their logarithms.

use super::math::at_most;
use super::native::has_table;
use super::powers::{Fit, powers, round};
use super::{BLOCK, Block, Simd, SimdBase, SimdFloat, splat};

/// `exp(-r)`, for `|r|` up to `ln 2 / 2` and to `ln 2 / 64`; relative errors 3.8e-9 and 5.3e-8.
const EXP_NEGATED: Fit = Fit {
    far: [1.381_459_9e-3, -8.368_717e-3, 4.166_839e-2, -1.666_652_1e-1, 4.999_999_4e-1, -1.0, 1.0],
    near: [4.999_999_7e-1, -1.000_014_7],
};

/// `e = exp(-|x|)` of a block: of two decisions the odds of the one that a logit `x` speaks against, at most 1. All vectors at
/// once, as [`Exp::of_block`](super::exp::Exp::of_block), and `between` is called as there.
///
/// With `n` the integer, or with AVX-512 the multiple of 1/32, nearest to `|x| log2(e)` and `r = |x| - n ln 2`, which carries no
/// rounding but that of `ln 2`:
///
/// ```text
/// exp(-|x|) = 2^-n exp(-r)
/// ```
///
/// within 1 ULP, from a table 2.9 u, and `u |x| / 22`, and another `u |x|` without a fused instruction. Below 2^-125.5 the result may be 0, below
/// 2^-126.5 it is, at both infinities too; NaN stays NaN.
#[inline(always)]
pub(in crate::cpu) fn odds_block<S: Simd>(simd: S, x: &Block<S>, between: impl FnMut(usize)) -> Block<S> {
    let round = round(simd);
    // There the biased exponent is 0, and so is the power.
    let highest = splat(simd, 127.0 * std::f32::consts::LN_2);
    let (mut sums, mut n, mut r) = (*x, *x, *x);
    for (r, sum) in r.iter_mut().zip(&mut sums) {
        *r = if has_table::<S>() { r.abs() } else { at_most(highest, r.abs()) };
        *sum = r.mul_add(splat(simd, -std::f32::consts::LOG2_E), round);
    }
    for ((r, n), sum) in r.iter_mut().zip(&mut n).zip(&sums) {
        *n = *sum - round;
        *r = n.mul_add(splat(simd, std::f32::consts::LN_2), *r);
    }
    powers(simd, &EXP_NEGATED, &sums, &r, &n, splat(simd, -126.0), between)
}

/// `(log(1 + x) - x) / x^2`, degree 7, highest power first; the logarithm is off by 4.5e-8 of itself.
const LN_1P: [f32; 8] = [
    5.731_988e-3,
    -3.153_610_6e-2,
    8.158_004e-2,
    -1.395_09e-1,
    1.924_159_8e-1,
    -2.487_698_5e-1,
    3.332_306_4e-1,
    -4.999_964_8e-1,
];

/// `log(1 + e)` of a block of odds, within 4 u relative, for the smallest `e` too.
///
/// Horner's rule, unlike [`ln_1p`](super::math::ln_1p), has the fewest operations; a block has four of its chains.
#[inline(always)]
pub(in crate::cpu) fn ln_1p_block<S: Simd>(simd: S, odds: &Block<S>) -> Block<S> {
    let mut p = [splat(simd, LN_1P[0]); BLOCK];
    for c in &LN_1P[1..] {
        for (p, e) in p.iter_mut().zip(odds) {
            *p = p.mul_add(*e, splat(simd, *c));
        }
    }
    for (p, e) in p.iter_mut().zip(odds) {
        *p = (*e * *e).mul_add(*p, *e);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::{ln_1p_block, odds_block};
    use crate::cpu::Instructions;
    use crate::cpu::simd::exp::tests::steps;
    use crate::cpu::simd::{Kernel, Simd, block_len, load_block, store_block};

    /// Odds and their logarithms of many logits.
    struct Odds<'a>(&'a [f32]);

    impl Kernel for Odds<'_> {
        type Output = [Vec<f32>; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [Vec<f32>; 2] {
            let [mut odds, mut logs] = [vec![0.0; self.0.len()], vec![0.0; self.0.len()]];
            for at in (0..self.0.len()).step_by(block_len::<S>()) {
                let of_block = odds_block(simd, &load_block(simd, &self.0[at..]), |_| {});
                store_block::<S>(&of_block, &mut odds[at..]);
                store_block::<S>(&ln_1p_block(simd, &of_block), &mut logs[at..]);
            }
            [odds, logs]
        }
    }

    #[test]
    fn odds_and_their_logarithms_are_those_of_float64() {
        const U: f64 = 1.0 / (1 << 24) as f64;
        let mut logits: Vec<f32> = (0..1 << 18).map(|i| (i - (1 << 17)) as f32 * (86.0 / (1 << 17) as f32)).collect();
        logits.extend((0..64).map(|i| 0.5_f32.powi(2 * i)));
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let is_fused = set != Instructions::Baseline;
            let [odds, logs] = set.run(Odds(&logits));
            for ((&x, &e), &log) in logits.iter().zip(&odds).zip(&logs) {
                let (x, e, log) = (f64::from(x.abs()), f64::from(e), f64::from(log));
                let want = (-x).exp();
                let tolerance = U * (steps(set) + x / 22.0 + if is_fused { 0.0 } else { x });
                assert!((e - want).abs() <= tolerance * want, "{set:?}: exp(-{x}) is {want}, not {e}");
                assert!((log - e.ln_1p()).abs() <= 4.0 * U * e.ln_1p(), "{set:?}: log(1 + {e}) is not {log}");
            }
        }
    }

    #[test]
    fn odds_end_in_0_and_nan_stays() {
        let mut logits = [f32::NAN; 64];
        let odd = [89.0, -89.0, 1e5, 3e38, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
        logits[..odd.len()].copy_from_slice(&odd);
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let [odds, logs] = set.run(Odds(&logits));
            assert_eq!(odds[..odd.len()], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], "{set:?}");
            assert_eq!(logs[..6], [0.0; 6], "{set:?}");
            assert!(odds[odd.len()..].iter().chain(&logs[odd.len()..]).all(|value| value.is_nan()), "{set:?}");
        }
    }
}
