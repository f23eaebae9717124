//! A row a lane: rows of few classes, and rows whose classes are planes apart.

use super::cap::{Capped, cap};
use super::finish::{Bundle, Finished, MarginLoss};
use super::tile::{load_tile, write_tile};
use super::{Fate, Rows, Standing};
use crate::cpu::simd::math::{Exp, at_least};
use crate::cpu::simd::{Kernel, MAX_LANES, Select, Simd, SimdBase, load, load_lanes, splat};
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
        if self.rows.has_extra { self.tiles::<S, true>(simd) } else { self.tiles::<S, false>(simd) }
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
        let mut totals = RowTotals::new(all.clone());
        let mut first = all.start;
        while first < all.end {
            // The lanes of a tile are neighbours in memory, so of one sample.
            let of_sample = if inner == 1 { all.end } else { (first / inner + 1) * inner };
            let n = lanes.min(all.end.min(of_sample) - first);
            part.fetch_ahead(part.row_start(first), n * classes);
            load_tile(simd, part, first, n, tile, buffer);
            let x = match rows.options.softcap {
                Some(softcap) => {
                    cap(tile, softcap, capped);
                    &capped.high[..]
                }
                None => &tile[..],
            };
            let mut bundle = Bundle::default();
            let mut targets = [u32::MAX; MAX_LANES];
            let mut labels = [Label::Ignored; MAX_LANES];
            for lane in 0..n {
                labels[lane] = rows.job.label(first + lane);
                if let Some(t) = rows.fill_weights(labels[lane], first + lane, lane, &mut bundle) {
                    targets[lane] = t as u32;
                    bundle.target[lane] = x[t * lanes + lane];
                    bundle.target_low[lane] = capped.low.get(t * lanes + lane).copied().unwrap_or(0.0);
                }
            }
            let targets = S::u32s::from_slice(simd, &targets[..lanes]);
            let of_tile = Tile { simd, exp, x, low: &capped.low, targets, weights: rows.job.class_weights };
            of_tile.statistics::<EXTRA>(exponentials, &mut bundle);
            let finished = rows.finish(simd, classes, &bundle);
            for (lane, &label) in labels[..n].iter().enumerate() {
                let row = first + lane;
                if !out.details.is_empty() {
                    let logits: Vec<f32> = (0..classes).map(|c| tile[c * lanes + lane]).collect();
                    out.details[row - all.start] = Standing::of(&logits, label).details(label, &finished, lane);
                }
                totals.push(label, row, &finished, lane, out.losses);
            }
            if let Some(writer) = &mut writer {
                let fates = std::array::from_fn(|lane| rows.fate(labels[lane], &finished, lane));
                let slope = rows.options.softcap.map(|_| &capped.slope[..]);
                of_tile.gradient::<EXTRA>(exponentials, &finished, &fates, slope);
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

    /// Statistics of the classes other than the target, into `bundle`, and their exponentials.
    ///
    /// A lane's sum carries at most `classes / 4 + 3` roundings, 19 at most.
    #[inline(always)]
    fn statistics<const EXTRA: bool>(&self, exponentials: &mut [f32], bundle: &mut Bundle) {
        let Self { simd, exp, x, low, weights, .. } = *self;
        let lanes = S::f32s::LEN;
        let (zero, none) = (splat(simd, 0.0), splat(simd, f32::NEG_INFINITY));
        let mut largest = [splat(simd, f32::MIN); 4];
        for (c, other) in exponentials.chunks_exact_mut(lanes).enumerate() {
            let x = self.is_target(c).select(none, load(simd, x, c * lanes));
            largest[c % 4] = at_least(largest[c % 4], x);
            x.store_slice(other);
        }
        let reference = largest[0].max(largest[1]).max(largest[2].max(largest[3]));
        let mut sums = [zero; 4];
        let mut deficits = [zero; 4];
        for (c, other) in exponentials.chunks_exact_mut(lanes).enumerate() {
            let x = load(simd, other, 0);
            let mut d = x - reference;
            if EXTRA {
                if !low.is_empty() {
                    d += load(simd, low, c * lanes);
                }
                let w = self.is_target(c).select(zero, splat(simd, weights.map_or(1.0, |w| w[c])));
                deficits[c % 4] += w.simd_eq(zero).select(zero, w * (reference - x));
            }
            let e = exp.of(d);
            sums[c % 4] += e;
            e.store_slice(other);
        }
        reference.store_slice(&mut bundle.reference[..lanes]);
        ((sums[0] + sums[1]) + (sums[2] + sums[3])).store_slice(&mut bundle.sum[..lanes]);
        ((deficits[0] + deficits[1]) + (deficits[2] + deficits[3])).store_slice(&mut bundle.deficit[..lanes]);
    }

    /// Turns the exponentials into the gradient.
    #[inline(always)]
    fn gradient<const EXTRA: bool>(
        &self,
        exponentials: &mut [f32],
        finished: &Finished,
        fates: &[Fate; MAX_LANES],
        slope: Option<&[f32]>,
    ) {
        let Self { simd, weights, .. } = *self;
        let lanes = S::f32s::LEN;
        let (mut constant, mut has_target) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
        for (lane, fate) in fates.iter().enumerate() {
            match fate {
                Fate::Constant(value) => constant[lane] = *value,
                Fate::Target(_) => has_target[lane] = 1.0,
            }
        }
        let constant = load_lanes(simd, &constant);
        let is_alive = load_lanes(simd, &has_target).simd_gt(splat(simd, 0.0));
        let (softmax, share) = (load_lanes(simd, &finished.softmax), load_lanes(simd, &finished.share));
        let at_target = load_lanes(simd, &finished.at_target);
        for (c, g) in exponentials.chunks_exact_mut(lanes).enumerate() {
            let mut value = load(simd, g, 0) * softmax;
            if EXTRA {
                value -= share * splat(simd, weights.map_or(1.0, |w| w[c]));
            }
            value = self.is_target(c).select(at_target, value);
            if let Some(slope) = slope {
                value *= load(simd, slope, c * lanes);
            }
            is_alive.select(value, constant).store_slice(g);
        }
    }
}
