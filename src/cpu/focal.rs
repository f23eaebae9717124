//! Focal loss over a softmax on the CPU.

use super::simd::exp::Exp;
use super::simd::math::Margin;
use super::simd::{Simd, SimdBase, SimdFloat, splat};
use super::softmax::{MarginLoss, SoftmaxOptions};
use super::{CpuLoss, Job, Outcome, softmax};
use crate::{Focal, Result};

/// With `miss = sigmoid(z)` and `hit = 1 - miss`:
///
/// ```text
/// loss  = miss^gamma * softplus(z),   miss^gamma = exp(-gamma * softplus(-z))
/// slope = miss^gamma * (gamma * hit * softplus(z)  +  miss)
/// ```
///
/// which is 0 where `miss` is, for every `gamma`.
impl MarginLoss for Focal {
    #[inline(always)]
    fn margin<S: Simd>(&self, simd: S, exp: Exp<S>, margin: &Margin<S>) -> (S::f32s, S::f32s) {
        let nll = margin.softplus;
        if self.gamma == 0.0 {
            return (nll, margin.sigmoid);
        }
        let gamma = splat(simd, self.gamma);
        let modulation = exp.of(-(gamma * margin.softplus_negated));
        // A hit of 0 also removes an infinite loss.
        let bounded = nll.min(splat(simd, f32::MAX));
        let slope = modulation * (gamma * margin.sigmoid_negated).mul_add(bounded, margin.sigmoid);
        (modulation * nll, slope)
    }
}

impl CpuLoss for Focal {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        let options = SoftmaxOptions {
            temperature: self.temperature,
            softcap: self.softcap,
            z_loss: self.z_loss,
            label_smoothing: 0.0,
        };
        softmax::run(self, options, job)
    }
}
