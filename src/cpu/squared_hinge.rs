//! Squared binary hinge loss on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::exp::Exp;
use super::simd::math::at_least;
use super::simd::{Simd, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{Result, SquaredHinge};

/// With `v = max(0, margin - y * x)`: `v^2` and `-2 y v`.
impl ElementLoss for SquaredHinge {
    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, Element { x, t: y, .. }: Element<S>) -> (S::f32s, S::f32s) {
        let v = at_least(splat(simd, 0.0), splat(simd, self.margin) - y * x);
        (v * v, -((y + y) * v))
    }
}

impl CpuLoss for SquaredHinge {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
