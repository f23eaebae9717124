//! Tiles: as many rows as a vector has lanes, a row a lane.

use super::Fates;
use super::finish::{Conclusion, Statistics};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::math::at_least;
use crate::cpu::simd::{Mask, Select, Simd, SimdBase, load, splat, total};

/// Rows of a tile of shape (classes, lanes).
pub(super) struct Tile<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) exp: Exp<S>,
    /// From class to class.
    pub(super) stride: usize,
    pub(super) targets: S::u32s,
    pub(super) weights: Option<&'a [f32]>,
}

impl<S: Simd> Tile<'_, S> {
    /// Turns logits into exponentials, but for those of the targets, and gives statistics of the classes other than the target;
    /// without weights. `low` is what float32 rounds off of the logits; empty without a softcap. Of rows that are near 0, by what
    /// `near` gives, the statistics stay those relative to 0.
    ///
    /// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings, 22 at most.
    #[inline(always)]
    pub(super) fn statistics<const EXTRA: bool>(
        &self,
        x: &mut [f32],
        low: &[f32],
        near: Option<(Statistics<S>, Mask<S>)>,
    ) -> Statistics<S> {
        let Self { simd, exp, stride, targets, weights } = *self;
        let lanes = S::f32s::LEN;
        let (zero, none) = (splat(simd, 0.0), splat(simd, f32::NEG_INFINITY));
        let (first, one) = (S::u32s::splat(simd, 0), S::u32s::splat(simd, 1));
        let mut largest = [splat(simd, f32::MIN); 4];
        let (mut target, mut target_low) = (none, zero);
        let mut class = first;
        macro_rules! mask {
            ($x:expr, $c:expr, $k:expr) => {
                let (is_target, x) = (targets.simd_eq(class), load(simd, $x, $k * stride));
                target = is_target.select(x, target);
                if EXTRA && !low.is_empty() {
                    target_low = is_target.select(load(simd, low, $c * stride), target_low);
                }
                let x = is_target.select(none, x);
                largest[$k] = at_least(largest[$k], x);
                x.store_slice(&mut $x[$k * stride..$k * stride + lanes]);
                class += one;
            };
        }
        // Calls a macro with the logits of four classes, a class and the place of both its vector and its accumulator.
        macro_rules! for_classes {
            ($of_class:ident) => {
                for (quad, x) in x.chunks_mut(4 * stride).enumerate() {
                    let c = 4 * quad;
                    if x.len() >= 3 * stride + lanes {
                        $of_class!(x, c, 0);
                        $of_class!(x, c + 1, 1);
                        $of_class!(x, c + 2, 2);
                        $of_class!(x, c + 3, 3);
                    } else {
                        for (i, x) in x.chunks_mut(stride).enumerate() {
                            $of_class!(x, c + i, 0);
                        }
                    }
                }
            };
        }
        for_classes!(mask);
        let mut reference = largest[0].max(largest[1]).max(largest[2].max(largest[3]));
        if let Some((_, are_near)) = near {
            reference = are_near.select(zero, reference);
        }
        let mut sums = [zero; 4];
        let mut deficits = [zero; 4];
        class = first;
        macro_rules! add {
            ($x:expr, $c:expr, $k:expr) => {
                let x = load(simd, $x, $k * stride);
                let mut d = x - reference;
                if EXTRA {
                    let mut term = d;
                    if let Some(weights) = weights {
                        let w = splat(simd, weights[$c]);
                        term = w.simd_eq(zero).select(zero, w * d);
                    }
                    deficits[$k] -= targets.simd_eq(class).select(zero, term);
                    class += one;
                    if !low.is_empty() {
                        d += load(simd, low, $c * stride);
                    }
                }
                let e = exp.of(d);
                sums[$k] += e;
                e.store_slice(&mut $x[$k * stride..$k * stride + lanes]);
            };
        }
        for_classes!(add);
        let (mut sum, mut target_exp) = (total::<S>(&sums), zero);
        if let Some((near, are_near)) = near {
            (sum, target_exp) = (are_near.select(near.sum, sum), are_near.select(near.target_exp, zero));
        }
        Statistics {
            reference,
            sum,
            deficit: (deficits[0] + deficits[1]) + (deficits[2] + deficits[3]),
            target,
            target_low,
            target_exp,
            ..Statistics::none(simd)
        }
    }

    /// The gradient of class `c`, from its exponentials in the tile `e`; where a row has no target, if there may be such, the constant
    /// beside that. The slopes are those of a softcap, or none.
    #[inline(always)]
    pub(super) fn gradient<const EXTRA: bool>(
        &self,
        c: usize,
        e: &[f32],
        slopes: &[f32],
        conclusion: &Conclusion<S>,
        fates: Option<&Fates<S>>,
    ) -> S::f32s {
        let Self { simd, stride, targets, weights, .. } = *self;
        let Conclusion { softmax, share, at_target, .. } = *conclusion;
        let mut value = load(simd, e, c * stride) * softmax;
        if EXTRA {
            value -= weights.map_or(share, |weights| share * splat(simd, weights[c]));
        }
        value = targets.simd_eq(S::u32s::splat(simd, c as u32)).select(at_target, value);
        if EXTRA && !slopes.is_empty() {
            value *= load(simd, slopes, c * stride);
        }
        if let Some(Fates { has_target, constant }) = fates {
            value = has_target.select(value, *constant);
        }
        value
    }
}
