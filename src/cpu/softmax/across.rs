//! A row a lane: rows of few classes, and rows whose classes are planes apart.

use super::cap::{Capped, cap};
use super::finish::{Bundle, Conclusion, MarginLoss, Statistics};
use super::tile::{load_tile, write_tile};
use super::{Fate, Rows, Standing};
use crate::cpu::simd::math::{Exp, at_least};
use crate::cpu::simd::{Kernel, MAX_LANES, Select, Simd, SimdBase, SimdMask, load, load_lanes, splat, to_lanes};
use crate::cpu::tensor::Part;
use crate::cpu::{RowOutputs, RowTotals};
use crate::totals::Label;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    tile: Vec<f32>,
    exponentials: Vec<f32>,
    capped: Capped,
    buffer: Vec<f32>,
}

pub(super) struct PartKernel<'s, 'r, 'p, M> {
    pub(super) rows: &'s Rows<'r, M>,
    pub(super) part: &'s mut Part<'p>,
    pub(super) out: RowOutputs<'s>,
    pub(super) scratch: &'s mut Scratch,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        if self.rows.has_extra {
            simd.vectorize(
                #[inline(always)]
                || self.tiles::<S, true>(simd),
            )
        } else {
            self.tiles::<S, false>(simd)
        }
    }
}

impl<M: MarginLoss> PartKernel<'_, '_, '_, M> {
    #[inline(always)]
    fn tiles<S: Simd, const EXTRA: bool>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let Scratch { tile, exponentials, capped, buffer } = scratch;
        let (lanes, all) = (S::f32s::LEN, part.rows());
        let (classes, inner) = (part.layout().classes() as usize, part.layout().inner() as usize);
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let mut writer = part.writer();
        tile.resize(classes * lanes, 0.0);
        exponentials.resize(classes * lanes, 0.0);
        // Rows that all count, with a weight of 1, are finished without a look at any of them.
        let has_weights = rows.job.class_weights.is_some() || rows.job.row_weights.is_some();
        let is_plain = inner == 1 && !has_weights && out.details.is_empty() && rows.scale != 0.0;
        let plain_targets = rows.job.plain_targets().filter(|_| is_plain);
        let mut totals = RowTotals::new(all.clone());
        let mut first = all.start;
        while first < all.end {
            // The lanes of a tile are neighbours in memory, so of one sample.
            let of_sample = if inner == 1 { all.end } else { (first / inner + 1) * inner };
            let n = lanes.min(all.end.min(of_sample) - first);
            part.fetch_ahead(part.row_start(first), n * classes);
            load_tile(simd, part, first, n, tile, buffer);
            let (mut x, mut low): (&[f32], &[f32]) = (tile, &[]);
            if let Some(softcap) = rows.options.softcap {
                cap(tile, softcap, capped);
                (x, low) = (&capped.high, &capped.low);
            }
            let slope = rows.options.softcap.map(|_| &capped.slope[..]);
            let mut of_tile =
                Tile { simd, exp, x, low, targets: S::u32s::splat(simd, 0), weights: rows.job.class_weights };
            if let Some(targets) = plain_targets.filter(|_| n == lanes) {
                of_tile.targets = S::u32s::from_slice(simd, bytemuck::cast_slice(&targets[first..first + lanes]));
                let statistics = of_tile.statistics::<EXTRA>(exponentials, [splat(simd, 1.0); 2]);
                let conclusion = rows.conclude(simd, classes, &statistics);
                if conclusion.lse.simd_eq(conclusion.lse).all_true() {
                    totals.push_rows(first, &to_lanes::<S>(conclusion.loss)[..lanes], out.losses);
                    if let Some(writer) = &mut writer {
                        of_tile.gradient::<EXTRA>(exponentials, &conclusion, slope, None);
                        write_tile(simd, part, writer, first, n, exponentials, buffer);
                    }
                    first += n;
                    continue;
                }
            }
            let mut bundle = Bundle::default();
            let mut targets = [u32::MAX; MAX_LANES];
            let mut labels = [Label::Ignored; MAX_LANES];
            for lane in 0..n {
                labels[lane] = rows.job.label(first + lane);
                targets[lane] =
                    rows.fill_weights(labels[lane], first + lane, lane, &mut bundle).map_or(u32::MAX, |t| t as u32);
            }
            of_tile.targets = S::u32s::from_slice(simd, &targets[..lanes]);
            let weights = [load_lanes(simd, &bundle.class_weight), load_lanes(simd, &bundle.row_weight)];
            let statistics = of_tile.statistics::<EXTRA>(exponentials, weights);
            let conclusion = rows.conclude(simd, classes, &statistics);
            let finished = conclusion.lanes();
            let (mut constant, mut is_alive) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
            for (lane, &label) in labels[..n].iter().enumerate() {
                let row = first + lane;
                if !out.details.is_empty() {
                    let logits: Vec<f32> = (0..classes).map(|c| tile[c * lanes + lane]).collect();
                    out.details[row - all.start] = Standing::of(&logits, label).details(label, &finished, lane);
                }
                totals.push(label, row, &finished, lane, out.losses);
                match rows.fate(label, &finished, lane) {
                    Fate::Constant(value) => constant[lane] = value,
                    Fate::Target(_) => is_alive[lane] = 1.0,
                }
            }
            if let Some(writer) = &mut writer {
                let fates = [load_lanes(simd, &is_alive), load_lanes(simd, &constant)];
                of_tile.gradient::<EXTRA>(exponentials, &conclusion, slope, Some(fates));
                write_tile(simd, part, writer, first, n, exponentials, buffer);
            }
            first += n;
        }
        totals
    }
}

/// Rows of a tile of shape (classes, lanes).
struct Tile<'a, S: Simd> {
    simd: S,
    exp: Exp<S>,
    x: &'a [f32],
    /// What float32 rounds off of `x`; empty without a softcap.
    low: &'a [f32],
    targets: S::u32s,
    weights: Option<&'a [f32]>,
}

impl<S: Simd> Tile<'_, S> {
    /// Lanes whose target is class `c`.
    #[inline(always)]
    fn is_target(&self, c: usize) -> <S::u32s as SimdBase<S>>::Mask {
        self.targets.simd_eq(S::u32s::splat(self.simd, c as u32))
    }

    /// Statistics of the classes other than the target, and their exponentials; with the weights of the rows' classes and of the
    /// rows.
    ///
    /// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings, 22 at most.
    #[inline(always)]
    fn statistics<const EXTRA: bool>(&self, exponentials: &mut [f32], weights_of_rows: [S::f32s; 2]) -> Statistics<S> {
        let Self { simd, exp, x, low, weights, .. } = *self;
        let (lanes, classes) = (S::f32s::LEN, exponentials.len() / S::f32s::LEN);
        let (zero, none) = (splat(simd, 0.0), splat(simd, f32::NEG_INFINITY));
        let mut largest = [splat(simd, f32::MIN); 4];
        let (mut target, mut target_low) = (none, zero);
        macro_rules! mask {
            ($c:expr, $k:expr) => {
                let (c, at) = ($c, $c * lanes..($c + 1) * lanes);
                let (is_target, x) = (self.is_target(c), load(simd, x, at.start));
                target = is_target.select(x, target);
                if EXTRA && !low.is_empty() {
                    target_low = is_target.select(load(simd, low, at.start), target_low);
                }
                let x = is_target.select(none, x);
                largest[$k] = at_least(largest[$k], x);
                x.store_slice(&mut exponentials[at]);
            };
        }
        let quads = classes / 4 * 4;
        for c in (0..quads).step_by(4) {
            mask!(c, 0);
            mask!(c + 1, 1);
            mask!(c + 2, 2);
            mask!(c + 3, 3);
        }
        for c in quads..classes {
            mask!(c, 0);
        }
        let reference = largest[0].max(largest[1]).max(largest[2].max(largest[3]));
        let mut sums = [zero; 4];
        let mut deficits = [zero; 4];
        macro_rules! add {
            ($c:expr, $k:expr) => {
                let (c, at) = ($c, $c * lanes..($c + 1) * lanes);
                let x = load(simd, exponentials, at.start);
                let mut d = x - reference;
                if EXTRA {
                    if !low.is_empty() {
                        d += load(simd, low, at.start);
                    }
                    let w = self.is_target(c).select(zero, splat(simd, weights.map_or(1.0, |w| w[c])));
                    deficits[$k] += w.simd_eq(zero).select(zero, w * (reference - x));
                }
                let e = exp.of(d);
                sums[$k] += e;
                e.store_slice(&mut exponentials[at]);
            };
        }
        for c in (0..quads).step_by(4) {
            add!(c, 0);
            add!(c + 1, 1);
            add!(c + 2, 2);
            add!(c + 3, 3);
        }
        for c in quads..classes {
            add!(c, 0);
        }
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
    fn gradient<const EXTRA: bool>(
        &self,
        exponentials: &mut [f32],
        conclusion: &Conclusion<S>,
        slope: Option<&[f32]>,
        fates: Option<[S::f32s; 2]>,
    ) {
        let Self { simd, weights, .. } = *self;
        let lanes = S::f32s::LEN;
        let Conclusion { softmax, share, at_target, .. } = *conclusion;
        for (c, g) in exponentials.chunks_exact_mut(lanes).enumerate() {
            let mut value = load(simd, g, 0) * softmax;
            if EXTRA {
                value -= share * splat(simd, weights.map_or(1.0, |w| w[c]));
            }
            value = self.is_target(c).select(at_target, value);
            if let Some(slope) = slope {
                value *= load(simd, slope, c * lanes);
            }
            if let Some([is_alive, constant]) = fates {
                value = is_alive.simd_gt(splat(simd, 0.0)).select(value, constant);
            }
            value.store_slice(g);
        }
    }
}
