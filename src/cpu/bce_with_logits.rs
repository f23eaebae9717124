//! Binary cross-entropy from logits on the CPU.

use super::elements::{self, ElementLoss};
use super::simd::math::{Exp, Margin, weighted};
use super::simd::{Select, Simd, SimdBase, SimdFloat, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{BceWithLogits, Result};

/// With `l = log(1 + e^-|x|)`:
///
/// ```text
/// q t softplus(-x) + (1 - t) softplus(x)  =  (q t + 1 - t) l  +  |x| (1 - t  if x > 0,  else q t)
/// ```
///
/// where no term is negative; and `(1 - t) sigmoid(x) - q t sigmoid(-x)`.
impl ElementLoss for BceWithLogits {
    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, exp: Exp<S>, x: S::f32s, t: S::f32s, q: S::f32s) -> (S::f32s, S::f32s) {
        let margin = Margin::of(simd, exp, x);
        let (positive, negative) = (q * t, splat(simd, 1.0) - t);
        // A term whose factor is 0 is 0 even at an infinite logit.
        let factor = x.simd_gt(splat(simd, 0.0)).select(negative, positive);
        let loss = (positive + negative).mul_add(margin.log, weighted(simd, factor, x.abs()));
        (loss, negative * margin.sigmoid - positive * margin.sigmoid_negated)
    }
}

impl CpuLoss for BceWithLogits {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
