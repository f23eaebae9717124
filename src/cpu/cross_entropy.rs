//! Categorical cross-entropy against class indices on the CPU.

use super::simd::Simd;
use super::simd::exp::Exp;
use super::simd::math::Margin;
use super::softmax::{MarginLoss, SoftmaxOptions};
use super::{CpuLoss, Job, Outcome, softmax};
use crate::{CrossEntropy, Result};

/// `-log p_t = softplus(z)`, and its derivative by `z` is `1 - p_t = sigmoid(z)`.
impl MarginLoss for CrossEntropy {
    #[inline(always)]
    fn margin<S: Simd>(&self, _: S, _: Exp<S>, margin: &Margin<S>) -> (S::f32s, S::f32s) {
        (margin.softplus, margin.sigmoid)
    }
}

impl CpuLoss for CrossEntropy {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        let options = SoftmaxOptions {
            temperature: self.temperature,
            softcap: self.softcap,
            z_loss: self.z_loss,
            label_smoothing: self.label_smoothing,
        };
        softmax::run(self, options, job)
    }
}
