//! Mean squared error on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::Simd;
use super::simd::exp::Exp;
use super::{CpuLoss, Job, Outcome};
use crate::{Mse, Result};

/// `(x - t)^2` and `2 (x - t)`.
impl ElementLoss for Mse {
    #[inline(always)]
    fn element<S: Simd>(&self, _: S, _: Exp<S>, Element { x, t, .. }: Element<S>) -> (S::f32s, S::f32s) {
        let d = x - t;
        (d * d, d + d)
    }
}

impl CpuLoss for Mse {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
