//! Tiles: as many rows as a vector has lanes, a row a lane.

use super::finish::{Conclusion, Statistics};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::math::at_least;
use crate::cpu::simd::{Select, Simd, SimdBase, load, splat};

/// Rows of a tile of shape (classes, lanes).
pub(super) struct Tile<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) exp: Exp<S>,
    pub(super) x: &'a [f32],
    /// What float32 rounds off of `x`; empty without a softcap.
    pub(super) low: &'a [f32],
    pub(super) targets: S::u32s,
    pub(super) weights: Option<&'a [f32]>,
}

impl<S: Simd> Tile<'_, S> {
    /// Statistics of the classes other than the target, and their exponentials; with the weights of the rows' classes and of the
    /// rows.
    ///
    /// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings, 22 at most.
    #[inline(always)]
    pub(super) fn statistics<const EXTRA: bool>(
        &self,
        exponentials: &mut [f32],
        weights_of_rows: [S::f32s; 2],
    ) -> Statistics<S> {
        let Self { simd, exp, x, low, targets, weights } = *self;
        let lanes = S::f32s::LEN;
        let (zero, none) = (splat(simd, 0.0), splat(simd, f32::NEG_INFINITY));
        let (first, one) = (S::u32s::splat(simd, 0), S::u32s::splat(simd, 1));
        let mut largest = [splat(simd, f32::MIN); 4];
        let (mut target, mut target_low) = (none, zero);
        let mut class = first;
        macro_rules! mask {
            ($e:expr, $c:expr, $k:expr) => {
                let (is_target, x) = (targets.simd_eq(class), load(simd, x, $c * lanes));
                target = is_target.select(x, target);
                if EXTRA && !low.is_empty() {
                    target_low = is_target.select(load(simd, low, $c * lanes), target_low);
                }
                let x = is_target.select(none, x);
                largest[$k] = at_least(largest[$k], x);
                x.store_slice(&mut $e[$k * lanes..($k + 1) * lanes]);
                class += one;
            };
        }
        // Calls a macro with the exponentials of four classes, a class and the place of both its vector and its accumulator.
        macro_rules! for_classes {
            ($of_class:ident) => {
                for (quad, e) in exponentials.chunks_mut(4 * lanes).enumerate() {
                    let c = 4 * quad;
                    if e.len() == 4 * lanes {
                        $of_class!(e, c, 0);
                        $of_class!(e, c + 1, 1);
                        $of_class!(e, c + 2, 2);
                        $of_class!(e, c + 3, 3);
                    } else {
                        for (i, e) in e.chunks_exact_mut(lanes).enumerate() {
                            $of_class!(e, c + i, 0);
                        }
                    }
                }
            };
        }
        for_classes!(mask);
        let reference = largest[0].max(largest[1]).max(largest[2].max(largest[3]));
        let mut sums = [zero; 4];
        let mut deficits = [zero; 4];
        class = first;
        macro_rules! add {
            ($e:expr, $c:expr, $k:expr) => {
                let x = load(simd, $e, $k * lanes);
                let mut d = x - reference;
                if EXTRA {
                    if !low.is_empty() {
                        d += load(simd, low, $c * lanes);
                    }
                    let w = targets.simd_eq(class).select(zero, splat(simd, weights.map_or(1.0, |w| w[$c])));
                    deficits[$k] += w.simd_eq(zero).select(zero, w * (reference - x));
                    class += one;
                }
                let e = exp.of(d);
                sums[$k] += e;
                e.store_slice(&mut $e[$k * lanes..($k + 1) * lanes]);
            };
        }
        for_classes!(add);
        let [class_weight, row_weight] = weights_of_rows;
        Statistics {
            reference,
            sum: (sums[0] + sums[1]) + (sums[2] + sums[3]),
            deficit: (deficits[0] + deficits[1]) + (deficits[2] + deficits[3]),
            target,
            target_low,
            class_weight,
            row_weight,
        }
    }

    /// Turns the exponentials into the gradient; where a row's fate is not positive, into the number that follows.
    #[inline(always)]
    pub(super) fn gradient<const EXTRA: bool>(
        &self,
        exponentials: &mut [f32],
        conclusion: &Conclusion<S>,
        slope: Option<&[f32]>,
        [is_alive, constant]: [S::f32s; 2],
    ) {
        let Self { simd, targets, weights, .. } = *self;
        let lanes = S::f32s::LEN;
        let (mut class, one) = (S::u32s::splat(simd, 0), S::u32s::splat(simd, 1));
        let Conclusion { softmax, share, at_target, .. } = *conclusion;
        for (c, g) in exponentials.chunks_exact_mut(lanes).enumerate() {
            let mut value = load(simd, g, 0) * softmax;
            if EXTRA {
                value -= share * splat(simd, weights.map_or(1.0, |w| w[c]));
            }
            value = targets.simd_eq(class).select(at_target, value);
            class += one;
            if let Some(slope) = slope {
                value *= load(simd, slope, c * lanes);
            }
            is_alive.simd_gt(splat(simd, 0.0)).select(value, constant).store_slice(g);
        }
    }
}
