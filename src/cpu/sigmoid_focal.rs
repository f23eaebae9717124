//! Focal loss over sigmoids on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::exp::Exp;
use super::simd::math::{Margin, ln, weighted};
use super::simd::{Select, Simd, SimdBase, SimdFloat, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{Result, SigmoidFocal};

/// With `p = sigmoid(x)`, `ce = t softplus(-x) + (1 - t) softplus(x)` and `miss = p (1 - t) + (1 - p) t`:
///
/// ```text
/// loss     = alpha_t * miss^gamma * ce
/// dloss/dx = alpha_t * miss^gamma * ( (1 - t) p - t (1 - p)  +  gamma (1 - 2 t) p (1 - p) ce / miss )
/// ```
///
/// `miss` of a target of 0 or 1 is a sigmoid, whose logarithm is a softplus. Where it is 0 so is the derivative.
impl ElementLoss for SigmoidFocal {
    const ODDS: bool = true;

    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, exp: Exp<S>, Element { x, t, odds, .. }: Element<S>) -> (S::f32s, S::f32s) {
        let (zero, one) = (splat(simd, 0.0), splat(simd, 1.0));
        let margin = Margin::of_odds(simd, x, odds);
        let not_t = one - t;
        let ce = weighted(simd, t, margin.softplus_negated) + weighted(simd, not_t, margin.softplus);
        let (p, not_p) = (margin.sigmoid, margin.sigmoid_negated);
        let miss = p * not_t + not_p * t;
        let by_miss = splat(simd, self.gamma) * (not_t - t) * p * not_p;
        // `miss^gamma`, and its derivative by `miss` times `ce`.
        let (modulation, bend);
        if self.gamma == 2.0 {
            // The usual one takes neither a logarithm nor a division.
            modulation = miss * miss;
            bend = weighted(simd, by_miss, ce) * miss;
        } else {
            // Of a power of `miss` the error is that of `miss` itself, however near 1 it is.
            let log_miss = t.simd_eq(zero).select(-margin.softplus_negated, ln(simd, miss));
            let log_miss = t.simd_eq(one).select(-margin.softplus, log_miss);
            modulation = if self.gamma == 0.0 { one } else { exp.of(log_miss * splat(simd, self.gamma)) };
            let is_zero = miss.simd_eq(zero) | by_miss.simd_eq(zero);
            bend = modulation * is_zero.select(zero, by_miss * ce / miss);
        }
        let slope = modulation.mul_add(not_t * p - t * not_p, bend);
        let mut weight = one;
        if let Some(alpha) = self.alpha {
            weight = splat(simd, alpha) * t + splat(simd, 1.0 - alpha) * not_t;
        }
        let gradient = miss.simd_eq(zero).select(zero, weight * slope);
        (weighted(simd, weight, weighted(simd, modulation, ce)), gradient)
    }
}

impl CpuLoss for SigmoidFocal {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
