//! Tiles: as many rows as a vector has lanes, a row a lane.

use super::Fates;
use super::finish::{Conclusion, Statistics};
use super::partition::near_sums;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::math::at_least;
use crate::cpu::simd::{BLOCK, Mask, Select, Simd, SimdBase, load, splat};

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
    /// Turns logits into exponentials relative to 0, but for those of the targets, and gives the sums of the others, and which of the
    /// rows are near 0. Of a row that is not, the exponentials are of no use.
    #[inline(always)]
    pub(super) fn near(&self, x: &mut [f32]) -> (Statistics<S>, Mask<S>) {
        let Self { simd, exp, stride, targets, .. } = *self;
        let (lanes, zero, one) = (S::f32s::LEN, splat(simd, 0.0), S::u32s::splat(simd, 1));
        let mut class = S::u32s::splat(simd, 0);
        let (mut target, mut sums) = (splat(simd, f32::NEG_INFINITY), [zero; 4]);
        macro_rules! add {
            ($x:expr, $value:expr, $e:expr, $k:expr) => {
                let is_target = targets.simd_eq(class);
                target = is_target.select($value, target);
                let e = is_target.select(zero, $e);
                sums[$k] += e;
                e.store_slice(&mut $x[$k * stride..$k * stride + lanes]);
                class += one;
            };
        }
        for x in x.chunks_mut(4 * stride) {
            if x.len() >= 3 * stride + lanes {
                let mut values = [zero; BLOCK];
                for (k, value) in values.iter_mut().enumerate() {
                    *value = load(simd, x, k * stride);
                }
                let mut e = values;
                exp.of_block(&mut e, |_| {});
                add!(x, values[0], e[0], 0);
                add!(x, values[1], e[1], 1);
                add!(x, values[2], e[2], 2);
                add!(x, values[3], e[3], 3);
            } else {
                for x in x.chunks_mut(stride) {
                    let value = load(simd, x, 0);
                    add!(x, value, exp.of(value), 0);
                }
            }
        }
        let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        (Statistics { sum, target, ..Statistics::none(simd) }, near_sums(simd, sum))
    }

    /// Turns logits into exponentials, but for those of the targets, and gives statistics of the classes other than the target;
    /// without weights. `low` is what float32 rounds off of the logits; empty without a softcap. Rows that are near stay relative to
    /// 0.
    ///
    /// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings, 22 at most.
    #[inline(always)]
    pub(super) fn statistics<const EXTRA: bool>(
        &self,
        x: &mut [f32],
        low: &[f32],
        are_near: Option<Mask<S>>,
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
        if let Some(are_near) = are_near {
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
        Statistics {
            reference,
            sum: (sums[0] + sums[1]) + (sums[2] + sums[3]),
            deficit: (deficits[0] + deficits[1]) + (deficits[2] + deficits[3]),
            target,
            target_low,
            ..Statistics::none(simd)
        }
    }

    /// Turns the exponentials into the gradient; where a row has no target, if there may be such, into the constant beside that. The
    /// slopes are those of a softcap, or none.
    #[inline(always)]
    pub(super) fn gradient<const EXTRA: bool>(
        &self,
        e: &mut [f32],
        slopes: &[f32],
        conclusion: &Conclusion<S>,
        fates: Option<Fates<S>>,
    ) {
        let Self { simd, stride, targets, weights, .. } = *self;
        let lanes = S::f32s::LEN;
        let (mut class, one) = (S::u32s::splat(simd, 0), S::u32s::splat(simd, 1));
        let Conclusion { softmax, share, at_target, .. } = *conclusion;
        for (c, g) in e.chunks_mut(stride).enumerate() {
            let mut value = load(simd, g, 0) * softmax;
            if EXTRA {
                value -= weights.map_or(share, |weights| share * splat(simd, weights[c]));
            }
            value = targets.simd_eq(class).select(at_target, value);
            class += one;
            if EXTRA && !slopes.is_empty() {
                value *= load(simd, slopes, c * stride);
            }
            if let Some(Fates { has_target, constant }) = &fates {
                value = has_target.select(value, *constant);
            }
            value.store_slice(&mut g[..lanes]);
        }
    }
}
