//! Binary cross-entropy from logits on the CPU.

use super::elements::{self, Element, ElementLoss};
use super::simd::exp::Exp;
use super::simd::{Bytes, Mask, Select, Simd, SimdBase, SimdFloat, splat};
use super::{CpuLoss, Job, Outcome};
use crate::{BceWithLogits, Result};

/// With `e = exp(-|x|)`, and `near` and `far` the factors of the softplus that is large and of the other, `1 - t` and `q t` where
/// `x` is positive, `q t` and `1 - t` where it is negative:
///
/// ```text
/// q t softplus(-x) + (1 - t) softplus(x)    =  near |x|  +  (near + far) log(1 + e)
/// (1 - t) sigmoid(x) - q t sigmoid(-x)      =  near  -  (near + far) e / (1 + e),  with the sign of x
/// ```
///
/// For a target in [0, 1] no term of the loss is negative. Without positive weights `near + far` is 1.
#[inline(always)]
fn element<S: Simd>(
    simd: S,
    Element { x, odds, log, .. }: Element<S>,
    near: S::f32s,
    both: S::f32s,
) -> (S::f32s, S::f32s) {
    // A factor of 0 is 0 even at an infinite logit; one that is NaN makes the line NaN.
    let is_flat = near.simd_eq(splat(simd, 0.0));
    let log = both * log;
    let loss = is_flat.select(log, near.mul_add(x.abs(), log));
    let slope = near - both * (odds / (splat(simd, 1.0) + odds));
    let sign = x.bitcast::<S::u32s>() & S::u32s::splat(simd, 1 << 31);
    (loss, (slope.bitcast::<S::u32s>() ^ sign).bitcast())
}

/// Where a logit is negative, by the sign of a 0 as well: the slope has it.
#[inline(always)]
fn is_negative<S: Simd>(simd: S, x: S::f32s) -> Mask<S> {
    x.bitcast::<S::i32s>().simd_lt(S::i32s::splat(simd, 0))
}

impl ElementLoss for BceWithLogits {
    const ODDS: bool = true;

    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, of: Element<S>) -> (S::f32s, S::f32s) {
        let one = splat(simd, 1.0);
        element(simd, of, is_negative(simd, of.x).select(of.t, one - of.t), one)
    }
}

/// The loss where there are positive weights: without them `near + far` need not be computed.
struct WithPosWeights;

impl ElementLoss for WithPosWeights {
    const ODDS: bool = true;
    const POS_WEIGHTS: bool = true;

    #[inline(always)]
    fn element<S: Simd>(&self, simd: S, _: Exp<S>, of: Element<S>) -> (S::f32s, S::f32s) {
        let (positive, negative) = (of.q * of.t, splat(simd, 1.0) - of.t);
        element(simd, of, is_negative(simd, of.x).select(positive, negative), positive + negative)
    }
}

impl CpuLoss for BceWithLogits {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        if job.pos_weights.is_some() { elements::run(&WithPosWeights, job) } else { elements::run(self, job) }
    }
}
