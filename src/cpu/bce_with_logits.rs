//! Binary cross-entropy from logits on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::math::{Exp, ln_1p};
use super::simd::{Bytes, Select, Simd, SimdBase, SimdFloat, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{BceWithLogits, Result};

/// With `e = exp(-|x|)`, and `near` and `far` the factors of the softplus that is large and of the other, `1 - t` and `q t` where
/// `x` is positive, `q t` and `1 - t` where it is negative:
///
/// ```text
/// q t softplus(-x) + (1 - t) softplus(x)    =  near |x|  +  (near + far) log(1 + e)
/// (1 - t) sigmoid(x) - q t sigmoid(-x)      =  (near - far e) / (1 + e),  with the sign of x
/// ```
///
/// For a target in [0, 1] no term of the loss is negative.
impl ElementLoss for BceWithLogits {
    const ODDS: bool = true;

    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, Element { x, t, q, odds }: Element<S>) -> (S::f32s, S::f32s) {
        let (zero, one) = (splat(simd, 0.0), splat(simd, 1.0));
        let (positive, negative) = (q * t, one - t);
        // By the sign of a 0 as well: what is subtracted below has it.
        let is_below = x.bitcast::<S::i32s>().simd_lt(S::i32s::splat(simd, 0));
        let (near, far) = (is_below.select(positive, negative), is_below.select(negative, positive));
        // A factor of 0 is 0 even at an infinite logit; one that is NaN makes the logarithm NaN.
        let line = near.simd_eq(zero).select(zero, near * x.abs());
        let loss = (near + far).mul_add(ln_1p(simd, odds), line);
        (loss, (near - far * odds) / (one + odds).copysign(x))
    }
}

impl CpuLoss for BceWithLogits {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        elements::run(self, job)
    }
}
