//! Rows of a part, tile by tile.

use std::marker::PhantomData;

use super::tile::{Tile, ZLoss};
use super::{DenseLoss, RowScale};
use crate::Unit;
use crate::cpu::simd::{Kernel, Select, Simd, SimdBase};
use crate::cpu::softmax::cap_vector;
use crate::cpu::tensor::Part;
use crate::cpu::wide::{
    Direction, MAX_WIDE, Wide, WideMask, load, load_narrow, softmax, splat, store, store_narrow, wide_len,
};
use crate::cpu::{Job, RowTotals};

/// Memory of a thread: tiles, and a row of class weights.
#[derive(Default)]
pub(super) struct Scratch {
    x: Vec<f32>,
    targets: Vec<f32>,
    /// What goes out.
    narrow: Vec<f32>,
    buffer: Vec<f32>,
    class_weights: Vec<f64>,
    /// Scaled logits, then the derivatives by their log-probabilities.
    y: Vec<f64>,
    e: Vec<f64>,
    /// Derivatives of capped logits.
    cap: Vec<f64>,
    target_y: Vec<f64>,
    target_e: Vec<f64>,
}

impl Scratch {
    /// Makes room for tiles of `numbers`.
    fn resize<L: DenseLoss>(&mut self, numbers: usize, options: &RowScale, job: &Job<'_>) {
        for tile in [&mut self.x, &mut self.targets, &mut self.narrow] {
            tile.resize(numbers, 0.0);
        }
        for tile in [&mut self.y, &mut self.e] {
            tile.resize(numbers, 0.0);
        }
        for tile in [&mut self.target_y, &mut self.target_e] {
            tile.resize(if L::LOGIT_TARGETS { numbers } else { 0 }, 0.0);
        }
        self.cap.resize(if options.softcap.is_some() { numbers } else { 0 }, 0.0);
        let classes = job.tensor.layout().classes() as usize;
        self.class_weights.clear();
        self.class_weights.extend((0..classes).map(|c| job.class_weights.map_or(1.0, |weights| weights[c].into())));
        self.class_weights.resize(classes + MAX_WIDE, 0.0);
    }
}

pub(super) struct Tiles<'a, 'p, L, D> {
    pub(super) loss: &'a L,
    pub(super) job: &'a Job<'a>,
    /// Of the gradient.
    pub(super) scale: f64,
    pub(super) part: &'a mut Part<'p>,
    pub(super) targets: &'a mut Part<'a>,
    /// Losses of the classes, of a loss that has them.
    pub(super) losses: Option<Part<'a>>,
    /// Losses of the rows.
    pub(super) of_rows: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
    pub(super) direction: PhantomData<D>,
}

impl<L: DenseLoss, D: Direction> Kernel for Tiles<'_, '_, L, D> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { loss, job, scale, part, targets, mut losses, of_rows, scratch, .. } = self;
        let (classes, options) = (part.layout().classes() as usize, loss.scale());
        scratch.resize::<L>(D::numbers::<S>(classes), &options, job);
        let Scratch { x, targets: t, narrow, buffer, class_weights, y, e, cap, target_y, target_e } = scratch;
        let mut totals = RowTotals::new(part.rows());
        let mut writer = part.tile_writer();
        let mut losses_writer = losses.as_ref().and_then(Part::writer);
        let mut next = part.rows().start;
        while next < part.rows().end {
            let rows = next..part.rows().end.min(next + D::rows::<S>());
            next = rows.end;
            D::read(simd, part, rows.clone(), x, buffer);
            scale_logits(simd, &options, x, y, cap);
            D::fill_up(y, classes, f64::NEG_INFINITY);
            D::read(simd, targets, rows.clone(), t, buffer);
            D::fill_up(t, classes, loss.no_target());
            let of_logits = softmax::<S, D>(
                simd,
                y,
                e,
                #[inline(always)]
                |k| D::fetch::<S>(part, rows.start, k),
            );
            let mut tile = Tile { of_logits, of_targets: None, classes, y, e, t, target_y, target_e, class_weights };
            if L::LOGIT_TARGETS {
                scale_logits(simd, &RowScale { softcap: None, ..options }, tile.t, tile.target_y, &mut []);
                tile.of_targets = Some(softmax::<S, D>(simd, tile.target_y, tile.target_e, |_| {}));
            }

            let (finite, z) = (tile.finite(), ZLoss::new(options.z_loss.into(), &tile.of_logits));
            let mut row_weights = [1.0; MAX_WIDE];
            if let Some(weights) = job.row_weights {
                row_weights.iter_mut().zip(&weights[rows.clone()]).for_each(|(to, &weight)| *to = weight.into());
            }
            let weights = D::of_rows(simd, &row_weights);
            let has_losses = losses_writer.is_some();
            let share = z.penalties(simd, 1.0 / classes as f64);
            let sums = tile.sums::<L, D>(
                simd,
                loss,
                writer.is_some(),
                #[inline(always)]
                |k, losses| {
                    D::fetch::<S>(targets, rows.start, k);
                    if has_losses {
                        let of_chunk = weighted_losses(simd, losses, &share, &weights, &finite);
                        store_narrow::<S>(&of_chunk, &mut narrow[k * wide_len::<S>()..]);
                    }
                },
            );
            if let Some((part, writer)) = losses.as_mut().zip(losses_writer.as_mut()) {
                D::write(simd, part, writer, rows.clone(), narrow, buffer);
            }

            let (mut of_lanes, mut finite_lanes) = ([0.0; MAX_WIDE], [0.0; MAX_WIDE]);
            store::<S>(&weighted_losses(simd, &sums.loss, &z.penalties(simd, 1.0), &weights, &finite), &mut of_lanes);
            store::<S>(&where_finite(simd, &finite, &splat(simd, 1.0)), &mut finite_lanes);
            let n = rows.len();
            let are_sums = job.definition.unit == Unit::Element;
            if finite_lanes[..n] != [1.0; MAX_WIDE][..n] {
                for (row, (&sum, &finite)) in rows.clone().zip(of_lanes.iter().zip(&finite_lanes)) {
                    if are_sums {
                        totals.push_sum(row, sum, finite == 1.0);
                    } else {
                        totals.push_loss(row, sum as f32, finite == 1.0, of_rows);
                    }
                }
            } else if are_sums {
                totals.push_sums(&mut of_lanes[..n]);
            } else {
                let mut losses = [0.0; MAX_WIDE];
                losses.iter_mut().zip(&of_lanes).for_each(|(loss, &sum)| *loss = sum as f32);
                totals.push_losses::<MAX_WIDE>(rows.start, &losses[..n], of_rows);
            }

            let Some(writer) = &mut writer else { continue };
            if scale == 0.0 {
                narrow.fill(0.0);
            } else {
                let mut factors = weights;
                for factor in &mut factors {
                    *factor *= S::f64s::splat(simd, scale / f64::from(options.temperature));
                }
                let factors = where_finite(simd, &finite, &factors);
                tile.gradient::<D>(simd, &sums, &z, |at, gradient| {
                    let mut gradient = *gradient;
                    for (g, factor) in gradient.iter_mut().zip(&factors) {
                        *g *= *factor;
                    }
                    if options.softcap.is_some() {
                        for (g, cap) in gradient.iter_mut().zip(load(simd, &cap[at..])) {
                            *g *= cap;
                        }
                    }
                    store_narrow::<S>(&gradient, &mut narrow[at..]);
                });
            }
            D::write(simd, part, writer, rows, narrow, buffer);
        }
        totals
    }
}

/// `softcap * tanh(x / softcap) / T`, and the derivative `1 - tanh^2` of the cap.
#[inline(always)]
fn scale_logits<S: Simd>(simd: S, options: &RowScale, x: &[f32], y: &mut [f64], cap: &mut [f64]) {
    let n = wide_len::<S>();
    let reciprocal = S::f64s::splat(simd, 1.0 / f64::from(options.temperature));
    if let Some(softcap) = options.softcap {
        for ((x, y), cap) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(cap.chunks_exact_mut(n)) {
            let (mut scaled, mut slopes) = (load_narrow(simd, x), splat(simd, 0.0));
            for (x, slope) in scaled.iter_mut().zip(&mut slopes) {
                let (y, dy) = cap_vector(simd, *x, softcap.into());
                (*x, *slope) = (y * reciprocal, dy);
            }
            store::<S>(&scaled, y);
            store::<S>(&slopes, cap);
        }
        return;
    }
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        let mut scaled = load_narrow(simd, x);
        for x in &mut scaled {
            *x *= reciprocal;
        }
        store::<S>(&scaled, y);
    }
}

/// `weight * (loss + penalty)`, NaN of rows that are not finite. A weight of 0 also removes an infinite loss.
#[inline(always)]
fn weighted_losses<S: Simd>(
    simd: S,
    losses: &Wide<S>,
    penalties: &Wide<S>,
    weights: &Wide<S>,
    finite: &WideMask<S>,
) -> Wide<S> {
    let (zero, infinity) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, f64::INFINITY));
    let mut weighted = *losses;
    for (i, loss) in weighted.iter_mut().enumerate() {
        let sum = *loss + penalties[i];
        *loss = (weights[i].simd_eq(zero) & sum.abs().simd_eq(infinity)).select(zero, weights[i] * sum);
    }
    where_finite(simd, finite, &weighted)
}

/// NaN of rows that are not finite.
#[inline(always)]
fn where_finite<S: Simd>(simd: S, finite: &WideMask<S>, values: &Wide<S>) -> Wide<S> {
    let mut selected = *values;
    for (value, finite) in selected.iter_mut().zip(finite) {
        *value = finite.select(*value, S::f64s::splat(simd, f64::NAN));
    }
    selected
}
