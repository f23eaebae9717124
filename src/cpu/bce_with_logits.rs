//! Binary cross-entropy from logits on the CPU.

use super::elements::{self, ElementLoss};
use super::simd::math::{Exp, Margin, weighted};
use super::simd::{Simd, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{BceWithLogits, Result};

/// `q t softplus(-x) + (1 - t) softplus(x)`, and `(1 - t) sigmoid(x) - q t sigmoid(-x)`.
impl ElementLoss for BceWithLogits {
    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, exp: Exp<S>, x: S::f32s, t: S::f32s, q: S::f32s) -> (S::f32s, S::f32s) {
        let margin = Margin::new(simd, exp, x, splat(simd, 0.0));
        let (positive, negative) = (q * t, splat(simd, 1.0) - t);
        // A term whose factor is 0 is 0 even at an infinite logit.
        let loss = weighted(simd, positive, margin.softplus_negated) + weighted(simd, negative, margin.softplus);
        (loss, negative * margin.sigmoid - positive * margin.sigmoid_negated)
    }
}

impl CpuLoss for BceWithLogits {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
