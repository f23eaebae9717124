//! Binary hinge loss on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::exp::Exp;
use super::simd::math::at_least;
use super::simd::{Select, Simd, SimdBase, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{Hinge, Result};

/// With `v = margin - y * x`: `v` and `-y` where it is positive, else 0 and 0.
impl ElementLoss for Hinge {
    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, Element { x, t: y, .. }: Element<S>) -> (S::f32s, S::f32s) {
        let zero = splat(simd, 0.0);
        let v = splat(simd, self.margin) - y * x;
        // NaN is neither, and stays.
        let slope = v.simd_le(zero).select(zero, -y);
        (at_least(zero, v), v.simd_eq(v).select(slope, v))
    }
}

impl CpuLoss for Hinge {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
