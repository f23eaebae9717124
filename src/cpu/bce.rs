//! Binary cross-entropy from probabilities on the CPU.

use super::elements::{self, Domain, Element, ElementLoss};
use super::simd::exp::Exp;
use super::simd::math::{ln, ln_1p};
use super::simd::{Select, Simd, SimdBase, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{Bce, Result};

/// `t * -max(log p, -100) + (1 - t) * -max(log(1 - p), -100)`, and `(p - t) / max(p (1 - p), 1e-12)`.
///
/// `log(1 - p)` of a small `p` is `-log(1 + p / (1 - p))`, which keeps its digits.
impl ElementLoss for Bce {
    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, Element { x: p, t, .. }: Element<S>) -> (S::f32s, S::f32s) {
        let (one, half, least) = (splat(simd, 1.0), splat(simd, 0.5), splat(simd, -100.0));
        let miss = one - p;
        let log_p = p.simd_gt(half).select(-ln_1p(simd, miss / p), ln(simd, p));
        let log_miss = p.simd_lt(half).select(-ln_1p(simd, p / miss), ln(simd, miss));
        let loss = -(t * log_p.max(least)) - (one - t) * log_miss.max(least);
        (loss, (p - t) / (p * miss).max(splat(simd, 1e-12)))
    }
}

impl CpuLoss for Bce {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        Domain::unit_interval("input").check_logits(&job)?;
        Domain::unit_interval("target").check_targets(&job)?;
        elements::run(self, job)
    }
}
