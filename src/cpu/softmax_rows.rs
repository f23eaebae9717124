//! Rows of logits against class indices: one row at a time along its classes, or as many rows as there are lanes at once.
//!
//! | rows | schedule | second read, for the gradient |
//! | --- | --- | --- |
//! | up to [`SHORT`] classes, or in planes | a row a lane, from a tile (classes, lanes) | exponentials of the tile |
//! | up to [`LONG`] classes | lanes along the classes | exponentials, stored in the second cache |
//! | more | segments of [`SEGMENT`] classes in parallel | logits, from the last cache |
//!
//! The schedule depends on the shape alone, every sum has a fixed order, and so results do not depend on the threads.

use super::cap::{Capped, cap};
use super::finish::{Bundle, Finished, MarginLoss, SoftmaxOptions, finish};
use super::partition::{Merged, Partition, STEPS};
use super::simd::math::Exp;
use super::simd::memory::prefetch;
use super::simd::{Kernel, MAX_LANES, Select, Simd, SimdBase, load, load_lanes, load_part, splat, store_part};
use super::tensor::{Part, in_parallel};
use super::{Job, Outcome, RowOutputs, RowTotals, order};
use crate::totals::Label;
use crate::{ABSENT, Details, Result};
use rayon::prelude::*;

/// Classes up to which rows lie across lanes.
const SHORT: usize = 64;

/// Classes up to which a row's exponentials stay in the second cache.
const LONG: usize = 65_536;

/// Classes of a segment of a longer row.
const SEGMENT: usize = 16_384;

/// Logits of a part, about.
const PART: usize = 1 << 16;

/// Evaluates a loss of the margin between the target and the other classes.
pub(super) fn run(loss: &impl MarginLoss, options: SoftmaxOptions, mut job: Job<'_>) -> Result<Outcome> {
    let survey = job.survey()?;
    let layout = *job.tensor.layout();
    let classes = layout.classes() as usize;
    let across = layout.inner() > 1 || classes <= SHORT;
    let outputs = job.take_outputs();
    let rows = Rows {
        loss,
        options,
        job: &job,
        weight_sum: job.class_weight_sum(),
        scale: survey.gradient_scale,
        has_extra: options.softcap.is_some() || options.label_smoothing > 0.0,
    };
    // A power of two, so that parts are subtrees of the sum over all rows.
    let length = (PART / classes.max(1)).clamp(1, 4096).next_power_of_two();
    let totals = job.for_rows(length, outputs, Scratch::default, |part, out, scratch| {
        if classes > LONG && !across {
            return rows.long(part, out, scratch);
        }
        job.instructions.run(PartKernel { rows: &rows, part, out, scratch, across })
    });
    Ok(Outcome::of_rows(survey, &totals))
}

/// What all parts share.
struct Rows<'a, M> {
    loss: &'a M,
    options: SoftmaxOptions,
    job: &'a Job<'a>,
    /// Of the class weights.
    weight_sum: f64,
    /// Of the gradient: one over the denominator, or 0.
    scale: f64,
    has_extra: bool,
}

/// Memory of a thread, reused from part to part.
#[derive(Default)]
struct Scratch {
    row: Vec<f32>,
    capped: Capped,
    /// Exponentials, then the gradient.
    stored: Vec<f32>,
    /// References of the blocks of a row.
    references: Vec<f32>,
    tile: Vec<f32>,
    staging: Vec<f32>,
}

struct PartKernel<'a, 'p, M> {
    rows: &'a Rows<'a, M>,
    part: &'a mut Part<'p>,
    out: RowOutputs<'a>,
    scratch: &'a mut Scratch,
    across: bool,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, M> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> RowTotals {
        let mut totals = RowTotals::new(self.part.rows());
        match (self.across, self.rows.has_extra) {
            (true, false) => self.across::<S, false>(simd, &mut totals),
            (true, true) => self.across::<S, true>(simd, &mut totals),
            (false, false) => self.along::<S, false>(simd, &mut totals),
            (false, true) => self.along::<S, true>(simd, &mut totals),
        }
        totals
    }
}

impl<M: MarginLoss> PartKernel<'_, '_, M> {
    /// Lanes along the classes; rows are finished together, as many as there are lanes and the second cache has room for.
    #[inline(always)]
    fn along<S: Simd, const EXTRA: bool>(&mut self, simd: S, totals: &mut RowTotals) {
        let Self { rows, part, out, scratch, .. } = self;
        let classes = part.layout().classes() as usize;
        let together = (LONG / classes.max(1)).clamp(1, S::f32s::LEN);
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let wants_gradient = rows.job.tensor.has_gradient();
        let blocks = classes.div_ceil(STEPS * S::f32s::LEN);
        scratch.stored.resize(together * classes + MAX_LANES, 0.0);
        scratch.references.resize(together * blocks * S::f32s::LEN, 0.0);

        let all = part.rows();
        for first in all.clone().step_by(together) {
            let bundle_rows = first..all.end.min(first + together);
            let mut bundle = Bundle::default();
            for (lane, r) in bundle_rows.clone().enumerate() {
                let label = rows.job.label(r);
                if label == Label::Ignored && out.details.is_empty() {
                    continue;
                }
                let target = rows.fill(label, r, lane, &mut bundle);
                let x = part.row(r, &mut scratch.row);
                let capped = &mut scratch.capped;
                let (x, low) = match rows.options.softcap {
                    Some(softcap) => {
                        cap(x, softcap, capped);
                        (&capped.high[..], &capped.low[..])
                    }
                    None => (x, &[][..]),
                };
                if let Some(t) = target {
                    (bundle.target[lane], bundle.target_low[lane]) = (x[t], low.get(t).copied().unwrap_or(0.0));
                }
                let stored = &mut scratch.stored[lane * classes..];
                let references = &mut scratch.references[lane * blocks * S::f32s::LEN..];
                let row = AlongRow { x, low, weights: rows.job.class_weights, target };
                let merged = if wants_gradient {
                    row.statistics::<S, EXTRA, true>(simd, exp, stored, references)
                } else {
                    row.statistics::<S, EXTRA, false>(simd, exp, &mut [], &mut [])
                };
                rows.put(merged, lane, &mut bundle);
            }
            let finished = rows.finish(simd, classes, &bundle);
            for (lane, r) in bundle_rows.enumerate() {
                let label = rows.job.label(r);
                if !out.details.is_empty() {
                    let x = part.row(r, &mut scratch.row);
                    out.details[r - all.start] = details(x, label, &finished, lane);
                }
                totals.push(label, r, &finished, lane, out.losses);
                if wants_gradient {
                    let gradient = &mut scratch.stored[lane * classes..(lane + 1) * classes];
                    match rows.fate(label, &finished, lane) {
                        Fate::Constant(value) => gradient.fill(value),
                        Fate::Target(t) => {
                            let references = &scratch.references[lane * blocks * S::f32s::LEN..];
                            let weights = rows.job.class_weights;
                            let base = bundle.reference[lane];
                            scale::<S>(simd, exp, gradient, references, base, weights, &finished, lane);
                            gradient[t] = finished.at_target[lane];
                            if rows.options.softcap.is_some() {
                                // Several rows share the buffer, so the slopes are computed again.
                                let x = part.row(r, &mut scratch.row);
                                cap(x, rows.options.softcap.unwrap_or(1.0), &mut scratch.capped);
                                gradient.iter_mut().zip(&scratch.capped.slope).for_each(|(g, s)| *g *= s);
                            }
                        }
                    }
                    part.write_rows(r, gradient);
                }
            }
        }
    }

    /// A row a lane.
    #[inline(always)]
    fn across<S: Simd, const EXTRA: bool>(&mut self, simd: S, totals: &mut RowTotals) {
        let Self { rows, part, out, scratch, .. } = self;
        let lanes = S::f32s::LEN;
        let classes = part.layout().classes() as usize;
        let inner = part.layout().inner() as usize;
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let wants_gradient = rows.job.tensor.has_gradient();
        let blocks = classes.div_ceil(STEPS);
        scratch.tile.resize(classes * lanes, 0.0);
        scratch.stored.resize(classes * lanes, 0.0);
        scratch.references.resize(blocks * lanes, 0.0);
        scratch.staging.clear();
        let mut staged_from = part.rows().start;

        let all = part.rows();
        let mut first = all.start;
        while first < all.end {
            // The lanes of a tile are neighbours in memory, so of one sample.
            let of_sample = if inner == 1 { all.end } else { (first / inner + 1) * inner };
            let n = lanes.min(all.end.min(of_sample) - first);
            load_tile(part, first, n, lanes, &mut scratch.tile, &mut scratch.row);
            let capped = &mut scratch.capped;
            let (x, low) = match rows.options.softcap {
                Some(softcap) => {
                    cap(&scratch.tile, softcap, capped);
                    (&capped.high[..], &capped.low[..])
                }
                None => (&scratch.tile[..], &[][..]),
            };

            let mut bundle = Bundle::default();
            let mut targets = [u32::MAX; MAX_LANES];
            let mut labels = [Label::Ignored; MAX_LANES];
            for lane in 0..n {
                labels[lane] = rows.job.label(first + lane);
                if let Some(t) = rows.fill(labels[lane], first + lane, lane, &mut bundle) {
                    targets[lane] = t as u32;
                    bundle.target[lane] = x[t * lanes + lane];
                    bundle.target_low[lane] = low.get(t * lanes + lane).copied().unwrap_or(0.0);
                }
            }
            let target = S::u32s::from_slice(simd, &targets[..lanes]);
            let none = splat(simd, f32::NEG_INFINITY);
            let zero = splat(simd, 0.0);
            let weights = rows.job.class_weights;

            let mut partition = Partition::new(simd);
            for (b, block) in (0..classes).step_by(STEPS).enumerate() {
                let steps = STEPS.min(classes - block);
                let stored = &mut scratch.stored[block * lanes..(block + steps) * lanes];
                macro_rules! add {
                    ($store:literal) => {
                        partition.block::<EXTRA, $store>(
                            simd,
                            exp,
                            steps,
                            [usize::MAX; 2],
                            #[inline(always)]
                            |_| none,
                            #[inline(always)]
                            |i| is_class(simd, target, block + i).select(none, load(simd, x, (block + i) * lanes)),
                            #[inline(always)]
                            |_| {},
                            #[inline(always)]
                            |i| if low.is_empty() { zero } else { load(simd, low, (block + i) * lanes) },
                            #[inline(always)]
                            |i| {
                                is_class(simd, target, block + i)
                                    .select(zero, splat(simd, weight_of(weights, block + i)))
                            },
                            stored,
                        )
                    };
                }
                if wants_gradient {
                    add!(true);
                } else {
                    add!(false);
                }
                partition.reference.store_slice(&mut scratch.references[b * lanes..(b + 1) * lanes]);
            }
            let [reference, sum, deficit] = partition.lanes();
            reference.store_slice(&mut bundle.reference[..lanes]);
            sum.store_slice(&mut bundle.sum[..lanes]);
            deficit.store_slice(&mut bundle.deficit[..lanes]);
            let finished = rows.finish(simd, classes, &bundle);
            for (lane, &label) in labels[..n].iter().enumerate() {
                let r = first + lane;
                if !out.details.is_empty() {
                    scratch.row.clear();
                    scratch.row.extend((0..classes).map(|c| scratch.tile[c * lanes + lane]));
                    out.details[r - all.start] = details(&scratch.row, label, &finished, lane);
                }
                totals.push(label, r, &finished, lane, out.losses);
            }

            if wants_gradient {
                let mut constant = [0.0; MAX_LANES];
                let mut has_target = [0.0; MAX_LANES];
                for lane in 0..n {
                    match rows.fate(labels[lane], &finished, lane) {
                        Fate::Constant(value) => constant[lane] = value,
                        Fate::Target(_) => has_target[lane] = 1.0,
                    }
                }
                let constant = load_lanes(simd, &constant);
                let is_alive = load_lanes(simd, &has_target).simd_gt(zero);
                let (softmax, share) = (load_lanes(simd, &finished.softmax), load_lanes(simd, &finished.share));
                let at_target = load_lanes(simd, &finished.at_target);
                let mut factor = zero;
                for c in 0..classes {
                    if c % STEPS == 0 {
                        let of_block = load(simd, &scratch.references, c / STEPS * lanes);
                        factor = softmax * exp.of(of_block - reference);
                    }
                    let at = c * lanes..(c + 1) * lanes;
                    let mut g = load(simd, &scratch.stored, at.start) * factor;
                    if EXTRA {
                        g -= share * splat(simd, weight_of(weights, c));
                    }
                    g = is_class(simd, target, c).select(at_target, g);
                    if rows.options.softcap.is_some() {
                        g *= load(simd, &scratch.capped.slope, at.start);
                    }
                    is_alive.select(g, constant).store_slice(&mut scratch.stored[at]);
                }
                if inner > 1 {
                    for c in 0..classes {
                        part.write_strided(first, c, &scratch.stored[c * lanes..c * lanes + n]);
                    }
                } else {
                    let at = scratch.staging.len();
                    scratch.staging.resize(at + n * classes, 0.0);
                    transpose(&scratch.stored, lanes, &mut scratch.staging[at..], classes);
                    if scratch.staging.len() >= STAGED || first + n == all.end {
                        part.write_rows(staged_from, &scratch.staging);
                        scratch.staging.clear();
                        staged_from = first + n;
                    }
                }
            }
            first += n;
        }
    }
}

/// Lanes whose class is `c`.
#[inline(always)]
fn is_class<S: Simd>(simd: S, classes: S::u32s, c: usize) -> <S::u32s as SimdBase<S>>::Mask {
    classes.simd_eq(S::u32s::splat(simd, c as u32))
}

/// Weight of class `c`.
#[inline(always)]
fn weight_of(weights: Option<&[f32]>, c: usize) -> f32 {
    weights.map_or(1.0, |w| w[c])
}

/// Gradients that are written at a time, so that cache lines are written whole.
const STAGED: usize = 4096;

/// A row along lanes.
pub(super) struct AlongRow<'a> {
    pub(super) x: &'a [f32],
    /// What float32 rounds off of `x`; empty without a softcap.
    pub(super) low: &'a [f32],
    pub(super) weights: Option<&'a [f32]>,
    /// The class that is left out.
    pub(super) target: Option<usize>,
}

impl AlongRow<'_> {
    /// Statistics of the classes other than the target. With `STORE` also their exponentials and each block's references.
    #[inline(always)]
    pub(super) fn statistics<S: Simd, const EXTRA: bool, const STORE: bool>(
        &self,
        simd: S,
        exp: Exp<S>,
        stored: &mut [f32],
        references: &mut [f32],
    ) -> Merged {
        let lanes = S::f32s::LEN;
        let (x, low) = (self.x, self.low);
        // The vector with the target, and the last, which may lack lanes, are patched.
        let (vectors, whole) = (x.len().div_ceil(lanes), x.len() / lanes);
        let special = self.target.map_or(usize::MAX, |t| t / lanes);
        let zero = splat(simd, 0.0);
        let none = f32::NEG_INFINITY;
        let at_special = if special < vectors { self.without_target(simd, x, special, none) } else { zero };
        let at_last = if whole < vectors { self.without_target(simd, x, whole, none) } else { zero };
        let mut partition = Partition::new(simd);
        for (b, first) in (0..vectors).step_by(STEPS).enumerate() {
            let steps = STEPS.min(vectors - first);
            let stored = if STORE { &mut stored[first * lanes..(first + steps) * lanes] } else { &mut [][..] };
            partition.block::<EXTRA, STORE>(
                simd,
                exp,
                steps,
                // The last vector is behind the target's, or is it.
                [special.wrapping_sub(first), whole.wrapping_sub(first)],
                #[inline(always)]
                |i| if first + i == whole { at_last } else { at_special },
                #[inline(always)]
                |i| load(simd, x, (first + i) * lanes),
                // The next block, while this one is computed.
                #[inline(always)]
                |i| prefetch(x, 4 * lanes * (first + i + STEPS)),
                #[inline(always)]
                |i| {
                    let i = first + i;
                    if low.is_empty() { zero } else { load_part(simd, low, i * lanes, 0.0) }
                },
                #[inline(always)]
                |i| self.weight(simd, first + i, special, whole),
                stored,
            );
            if STORE {
                partition.reference.store_slice(&mut references[b * lanes..(b + 1) * lanes]);
            }
        }
        partition.merged(simd, exp, EXTRA)
    }
}

impl AlongRow<'_> {
    /// Vector `i` of `values`, with `fill` at the target and behind the end.
    #[inline(always)]
    fn without_target<S: Simd>(&self, simd: S, values: &[f32], i: usize, fill: f32) -> S::f32s {
        let lanes = S::f32s::LEN;
        let mut vector = load_part(simd, values, i * lanes, fill);
        if let Some(t) = self.target.filter(|t| t / lanes == i) {
            vector.as_mut_slice()[t % lanes] = fill;
        }
        vector
    }

    /// Weights of vector `i`: 0 at the target and behind the end.
    #[inline(always)]
    fn weight<S: Simd>(&self, simd: S, i: usize, special: usize, whole: usize) -> S::f32s {
        let lanes = S::f32s::LEN;
        match self.weights {
            Some(weights) if i == special || i == whole => self.without_target(simd, weights, i, 0.0),
            Some(weights) => load(simd, weights, i * lanes),
            None if i == special || i == whole => {
                let mut ones = [0.0; MAX_LANES];
                ones[..lanes.min(self.x.len() - i * lanes)].fill(1.0);
                if let Some(t) = self.target.filter(|t| t / lanes == i) {
                    ones[t % lanes] = 0.0;
                }
                load_lanes(simd, &ones)
            }
            None => splat(simd, 1.0),
        }
    }
}

/// Turns a row's exponentials into its gradient, except at the target.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a row and its coefficients")]
fn scale<S: Simd>(
    simd: S,
    exp: Exp<S>,
    gradient: &mut [f32],
    references: &[f32],
    base: f32,
    weights: Option<&[f32]>,
    finished: &Finished,
    lane: usize,
) {
    let lanes = S::f32s::LEN;
    let (softmax, share) = (splat(simd, finished.softmax[lane]), splat(simd, finished.share[lane]));
    let has_share = finished.share[lane] != 0.0;
    for (b, block) in gradient.chunks_mut(STEPS * lanes).enumerate() {
        let factor = softmax * exp.of(load(simd, references, b * lanes) - splat(simd, base));
        let whole = block.len() / lanes * lanes;
        for at in (0..whole).step_by(lanes) {
            let mut g = load(simd, block, at) * factor;
            if has_share {
                g -= spread(simd, share, weights, b * STEPS * lanes + at);
            }
            g.store_slice(&mut block[at..at + lanes]);
        }
        if whole < block.len() {
            let mut g = load_part(simd, block, whole, 0.0) * factor;
            if has_share {
                g -= spread(simd, share, weights, b * STEPS * lanes + whole);
            }
            store_part::<S>(g, block, whole);
        }
    }
}

/// What smoothing draws each class by, from class `first` on.
#[inline(always)]
fn spread<S: Simd>(simd: S, share: S::f32s, weights: Option<&[f32]>, first: usize) -> S::f32s {
    match weights {
        Some(weights) => share * load_part(simd, weights, first, 0.0),
        None => share,
    }
}

/// What the gradient of a row is.
enum Fate {
    /// The same everywhere: 0, or NaN.
    Constant(f32),
    /// That of a row with this target.
    Target(usize),
}

impl<M: MarginLoss> Rows<'_, M> {
    /// Puts what is known of a row without its logits into its lane; its target, if it counts.
    #[inline(always)]
    fn fill(&self, label: Label, row: usize, lane: usize, bundle: &mut Bundle) -> Option<usize> {
        let Label::Class(target) = label else {
            // Nothing is left out, so the log-partition is that of all classes.
            bundle.target[lane] = f32::NEG_INFINITY;
            return None;
        };
        bundle.class_weight[lane] = self.job.class_weights.map_or(1.0, |w| w[target]);
        bundle.row_weight[lane] = self.job.row_weights.map_or(1.0, |w| w[row]);
        Some(target)
    }

    #[inline(always)]
    fn put(&self, merged: Merged, lane: usize, bundle: &mut Bundle) {
        bundle.reference[lane] = merged.reference;
        bundle.sum[lane] = merged.sum as f32;
        bundle.deficit[lane] = merged.deficit as f32;
    }

    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, classes: usize, bundle: &Bundle) -> Finished {
        finish(simd, &self.options, self.loss, classes, self.weight_sum, self.scale, bundle)
    }

    #[inline(always)]
    fn fate(&self, label: Label, finished: &Finished, lane: usize) -> Fate {
        match label {
            // A denominator of 0 makes the gradient of every row 0.
            _ if self.scale == 0.0 => Fate::Constant(0.0),
            Label::Class(_) if !finished.is_finite(lane) => Fate::Constant(f32::NAN),
            Label::Class(target) => Fate::Target(target),
            Label::Ignored | Label::Bad => Fate::Constant(0.0),
        }
    }

    /// Rows of which each is shared out among the threads.
    fn long(&self, part: &mut Part<'_>, out: RowOutputs<'_>, scratch: &mut Scratch) -> RowTotals {
        let mut totals = RowTotals::new(part.rows());
        let start = part.rows().start;
        let factor = f64::from(self.options.inverse_temperature());
        for r in part.rows() {
            let label = self.job.label(r);
            let mut bundle = Bundle::default();
            let target = self.fill(label, r, 0, &mut bundle);
            if let Some(t) = target {
                let mut capped = Capped::default();
                let x = part.logit(r, t);
                (bundle.target[0], bundle.target_low[0]) = match self.options.softcap {
                    Some(softcap) => {
                        cap(&[x], softcap, &mut capped);
                        (capped.high[0], capped.low[0])
                    }
                    None => (x, 0.0),
                };
            }
            let classes = part.layout().classes() as usize;
            let mut pieces = part.pieces(r, SEGMENT);
            if target.is_some() || !out.details.is_empty() {
                let statistics: Vec<Merged> = in_parallel(pieces.len(), Scratch::default, |i, scratch| {
                    let piece = &pieces[i];
                    self.job.instructions.run(Segment { rows: self, piece, row: r, target, scratch })
                });
                let merged = statistics.into_iter().reduce(|a, b| a.and(b, factor));
                self.put(merged.unwrap_or(Merged::NONE), 0, &mut bundle);
            }
            let finished = self.job.instructions.run(FinishOne { rows: self, classes, bundle: &bundle });
            totals.push(label, r, &finished, 0, out.losses);
            if self.job.tensor.has_gradient() {
                let fate = self.fate(label, &finished, 0);
                pieces.par_iter_mut().for_each_init(Scratch::default, |scratch, piece| match fate {
                    Fate::Constant(value) => {
                        scratch.stored.clear();
                        scratch.stored.resize(piece.elements().len(), value);
                        piece.write(piece.elements().start, &scratch.stored);
                        piece.finish();
                    }
                    Fate::Target(t) => self.job.instructions.run(SegmentGradient {
                        rows: self,
                        piece,
                        row: r,
                        target: t,
                        base: bundle.reference[0],
                        finished: &finished,
                        scratch,
                    }),
                });
            }
            drop(pieces);
            if !out.details.is_empty() {
                out.details[r - start] = details(part.row(r, &mut scratch.row), label, &finished, 0);
            }
        }
        totals
    }
}

impl Merged {
    /// Of no classes.
    const NONE: Self = Self { reference: f32::MIN, sum: 0.0, deficit: 0.0, weight: 0.0 };
}

/// Statistics of a segment of a long row.
struct Segment<'a, 'p, M> {
    rows: &'a Rows<'a, M>,
    piece: &'a Part<'p>,
    row: usize,
    target: Option<usize>,
    scratch: &'a mut Scratch,
}

impl<M: MarginLoss> Kernel for Segment<'_, '_, M> {
    type Output = Merged;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Merged {
        let Self { rows, piece, row, target, scratch } = self;
        let range = piece.elements();
        let first = range.start - row * piece.layout().classes() as usize;
        let x = piece.read(range.clone(), &mut scratch.row);
        let (x, low) = match rows.options.softcap {
            Some(softcap) => {
                cap(x, softcap, &mut scratch.capped);
                (&scratch.capped.high[..], &scratch.capped.low[..])
            }
            None => (x, &[][..]),
        };
        let weights = rows.job.class_weights.map(|w| &w[first..first + range.len()]);
        let target = target.and_then(|t| t.checked_sub(first)).filter(|&t| t < range.len());
        let row = AlongRow { x, low, weights, target };
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        if rows.has_extra {
            row.statistics::<S, true, false>(simd, exp, &mut [], &mut [])
        } else {
            row.statistics::<S, false, false>(simd, exp, &mut [], &mut [])
        }
    }
}

struct FinishOne<'a, M> {
    rows: &'a Rows<'a, M>,
    classes: usize,
    bundle: &'a Bundle,
}

impl<M: MarginLoss> Kernel for FinishOne<'_, M> {
    type Output = Finished;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Finished {
        self.rows.finish(simd, self.classes, self.bundle)
    }
}

/// Gradient of a segment of a long row.
struct SegmentGradient<'a, 'p, M> {
    rows: &'a Rows<'a, M>,
    piece: &'a mut Part<'p>,
    row: usize,
    target: usize,
    base: f32,
    finished: &'a Finished,
    scratch: &'a mut Scratch,
}

impl<M: MarginLoss> Kernel for SegmentGradient<'_, '_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const BLOCK: usize = 4096;
        let Self { rows, piece, row, target, base, finished, scratch } = self;
        let lanes = S::f32s::LEN;
        let row_start = row * piece.layout().classes() as usize;
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let base = splat(simd, base);
        let (softmax, share) = (splat(simd, finished.softmax[0]), finished.share[0]);
        let range = piece.elements();
        for first in range.clone().step_by(BLOCK) {
            let n = BLOCK.min(range.end - first);
            let x = piece.read(first..first + n, &mut scratch.row);
            let capped = rows.options.softcap.map(|softcap| cap(x, softcap, &mut scratch.capped)).is_some();
            scratch.stored.resize(n, 0.0);
            let x = if capped { &scratch.capped.high[..] } else { x };
            let whole = n / lanes * lanes;
            for at in (0..whole).step_by(lanes) {
                prefetch(x, 4 * (at + 1024));
                let mut d = load(simd, x, at) - base;
                if capped {
                    d += load(simd, &scratch.capped.low, at);
                }
                (exp.of(d) * softmax).store_slice(&mut scratch.stored[at..at + lanes]);
            }
            if whole < n {
                let mut d = load_part(simd, x, whole, 0.0) - base;
                if capped {
                    d += load_part(simd, &scratch.capped.low, whole, 0.0);
                }
                store_part::<S>(exp.of(d) * softmax, &mut scratch.stored, whole);
            }
            if share != 0.0 {
                let weight = |i: usize| rows.job.class_weights.map_or(1.0, |w| w[first - row_start + i]);
                scratch.stored.iter_mut().enumerate().for_each(|(i, g)| *g -= share * weight(i));
            }
            if let Some(t) = (row_start + target).checked_sub(first).filter(|&t| t < n) {
                scratch.stored[t] = finished.at_target[0];
            }
            if capped {
                scratch.stored.iter_mut().zip(&scratch.capped.slope).for_each(|(g, s)| *g *= s);
            }
            piece.write(first, &scratch.stored);
        }
        piece.finish();
    }
}

/// Loads rows `first..first + n` into a tile of shape (classes, lanes).
#[inline(always)]
fn load_tile(part: &Part<'_>, first: usize, n: usize, lanes: usize, tile: &mut [f32], buffer: &mut Vec<f32>) {
    if part.layout().inner() > 1 {
        for (c, tile) in tile.chunks_exact_mut(lanes).enumerate() {
            part.read_strided(first, c, &mut tile[..n]);
        }
        return;
    }
    let classes = part.layout().classes() as usize;
    if let Some(rows) = part.rows_together(first, n, buffer).filter(|rows| n == lanes && !rows.is_empty()) {
        let rows = &rows[..lanes * classes];
        for (c, tile) in tile.chunks_exact_mut(lanes).enumerate() {
            for (lane, to) in tile.iter_mut().enumerate() {
                *to = rows[lane * classes + c];
            }
        }
        return;
    }
    for lane in 0..n {
        let row = part.row(first + lane, buffer);
        for c in 0..classes {
            tile[c * lanes + lane] = row[c];
        }
    }
}

/// From (classes, lanes) to (rows, classes), as many rows as there is room for.
#[inline(always)]
fn transpose(tile: &[f32], lanes: usize, rows: &mut [f32], classes: usize) {
    for (lane, row) in rows.chunks_exact_mut(classes.max(1)).enumerate() {
        for (c, value) in row.iter_mut().enumerate() {
            *value = tile[c * lanes + lane];
        }
    }
}

fn details(logits: &[f32], label: Label, finished: &Finished, lane: usize) -> Details {
    let (log_prob, rank) = match label {
        Label::Class(target) if finished.is_finite(lane) => (finished.log_prob[lane], order::rank(logits, target)),
        Label::Class(_) => (f32::NAN, ABSENT),
        Label::Ignored | Label::Bad => (0.0, ABSENT),
    };
    Details { lse: finished.lse[lane], log_prob, argmax: order::argmax(logits), rank }
}
