//! Binary cross-entropy from probabilities on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::exp::Exp;
use super::simd::math::ln;
use super::simd::{Simd, SimdBase, SimdFloat, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{Bce, Result};

/// `t * -max(log p, -100) + (1 - t) * -max(log(1 - p), -100)`, and `(p - t) / max(p (1 - p), 1e-12)`.
///
/// Below 1/2 `1 - p` is rounded, by a number that float32 holds, and `log(1 - p)` is off by that over `1 - p`, or some `1 + p` times it.
impl ElementLoss for Bce {
    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, Element { x: p, t, .. }: Element<S>) -> (S::f32s, S::f32s) {
        let (one, least) = (splat(simd, 1.0), splat(simd, -100.0));
        let miss = one - p;
        let lost = (one - miss) - p;
        let log_p = ln(simd, p).max(least);
        let log_miss = lost.mul_add(one + p, ln(simd, miss)).max(least);
        let loss = -(t * log_p) - (one - t) * log_miss;
        (loss, (p - t) / (p * miss).max(splat(simd, 1e-12)))
    }
}

impl CpuLoss for Bce {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
