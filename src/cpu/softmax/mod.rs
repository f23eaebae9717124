//! Rows of logits against class indices.
//!
//! | rows | schedule | the gradient's exponentials |
//! | --- | --- | --- |
//! | in planes, or up to [`TURNED`] classes under a softcap or label smoothing | [`across`]: a row a lane, from a tile (classes, lanes) | in the tile |
//! | up to [`SHORT`] classes | [`short`]: some hundred as if they were one row | in the first cache |
//! | up to [`MEDIUM`] classes | [`medium`]: as many together as a vector has lanes, one after the other | in the second cache |
//! | longer, or with more to them than logits | [`along`]: a thread a row, its lanes along the classes | in the second cache, or over the logits |
//! | longer than [`SEGMENT`], fewer than two a thread, and more than [`MANY_LOGITS`] | [`shared`]: all threads a row, some segments each | the same |
//!
//! The last two give the same bits: segments have statistics of their own, merged in order, whoever computes them. Between the
//! others the layout and the options decide. Every sum has a fixed order, and so results depend neither on the threads nor on how many
//! rows come together.

mod across;
mod along;
mod block;
mod cap;
mod finish;
mod group;
mod lanes;
mod medium;
mod near;
mod partition;
mod row;
mod scratch;
mod shared;
mod short;
mod stretch;
mod tally;
mod tile;

pub(super) use cap::cap_vector;
pub(super) use finish::{Finished, MarginLoss, SoftmaxOptions, TILES};
pub(super) use row::row_statistics;

use super::simd::{Instructions, MAX_LANES, Mask, Select, Simd, SimdBase, splat};
use super::survey::NO_CLASS;
use super::tensor::{FEW_LOGITS, Part};
use super::{Job, Outcome, RowOutputs, order};
use crate::totals::Label;
use crate::{ABSENT, Details, Result};
use cap::cap_one;
use finish::{Bundle, Conclusion, Finish};
use partition::Merged;
use scratch::Scratch;

/// Classes up to which rows are short: a multiple of every vector's lanes.
const SHORT: usize = 448;

/// Classes up to which rows are medium.
const MEDIUM: usize = 4096;

/// Classes up to which rows are turned into tiles, if they have more to them than logits.
const TURNED: usize = 64;

/// Numbers that the rows of a tile of so many classes may reach over.
const PADDED: usize = TURNED * MAX_LANES;

/// Logits of few rows that threads share: fewer take a thread a row less time than sharing them does.
const MANY_LOGITS: usize = 1 << 17;

/// Classes of a segment of a longer row: a multiple of every block.
const SEGMENT: usize = 16_384;

/// Short rows that are worked on together, at most.
const MAX_ROWS: usize = TILES * MAX_LANES;

/// Evaluates a loss of the margin between the target and the other classes.
pub(super) fn run(loss: &impl MarginLoss, options: SoftmaxOptions, mut job: Job<'_>) -> Result<Outcome> {
    let survey = job.survey()?;
    let layout = *job.tensor.layout();
    let (rows, classes) = (layout.rows() as usize, layout.classes() as usize);
    let outputs = job.take_outputs();
    let all = Rows {
        loss,
        options,
        job: &job,
        plain_targets: job.plain_targets(&survey),
        weight_sum: job.class_weight_sum(),
        scale: survey.gradient_scale,
        has_extra: options.softcap.is_some() || options.label_smoothing > 0.0,
    };
    let threads = rayon::current_num_threads();
    let totals = if layout.inner() > 1 || classes == 0 || (all.has_extra && classes <= TURNED) {
        let length = part_rows(rows, classes, threads).max(MAX_LANES);
        job.for_rows(length, outputs, across::Scratch::default, |part, out, scratch| {
            job.instructions.run(PartKernel { rows: &all, part, out, scratch })
        })
    } else if classes <= SHORT && !all.has_plain_smoothing() {
        let length = part_rows(rows, classes, threads).max(MAX_ROWS);
        job.for_rows(length, outputs, short::Scratch::default, |part, out, scratch| {
            job.instructions.run(PartKernel { rows: &all, part, out, scratch })
        })
    } else if classes <= MEDIUM && (!all.has_extra || all.has_plain_smoothing()) {
        let length = part_rows(rows, classes, threads);
        job.for_rows(length, outputs, medium::Scratch::default, |part, out, scratch| {
            job.instructions.run(PartKernel { rows: &all, part, out, scratch })
        })
    } else if classes > SEGMENT && threads > 1 && rows < 2 * threads && rows * classes > MANY_LOGITS {
        job.for_rows(rows.next_power_of_two(), outputs, || (), |part, out, ()| shared::run(&all, part, out))
    } else {
        let length = part_rows(rows, classes, threads);
        job.for_rows(
            length,
            outputs,
            || (),
            |part, out, ()| {
                Scratch::with(|scratch| job.instructions.run(PartKernel { rows: &all, part, out, scratch }))
            },
        )
    };
    Ok(Outcome::of_rows(survey, &totals))
}

/// Rows of a part: a power of two, so that parts are subtrees of the sum over all rows.
///
/// Few parts, since the first and the last row of one have nothing to overlap with; at least two a thread, of some size, or one each
/// where that shares the rows out evenly.
fn part_rows(rows: usize, classes: usize, threads: usize) -> usize {
    const LOGITS: usize = 1 << 18;
    if rows * classes <= FEW_LOGITS {
        return rows.next_power_of_two();
    }
    let enough = (LOGITS / classes.max(1)).max(8);
    let is_even = rows.is_multiple_of(threads) && (rows / threads).is_power_of_two();
    let most = rows / if is_even { threads } else { 2 * threads };
    let even = (rows / (32 * threads)).max(enough).min(most).max(1);
    1 << even.ilog2()
}

/// Rows of a part, for a schedule to evaluate; each schedule has memory of its own kind, which the parts of a thread share.
struct PartKernel<'s, 'r, 'p, M, T> {
    rows: &'s Rows<'r, M>,
    part: &'s mut Part<'p>,
    out: RowOutputs<'s>,
    scratch: &'s mut T,
}

/// What all parts share.
struct Rows<'a, M> {
    loss: &'a M,
    options: SoftmaxOptions,
    job: &'a Job<'a>,
    /// Of all rows of the batch, if every row counts with a weight of 1.
    plain_targets: Option<&'a [i32]>,
    /// Of the class weights.
    weight_sum: f64,
    /// Of the gradient: one over the denominator, or 0.
    scale: f64,
    has_extra: bool,
}

/// What the gradient of a row is.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The same everywhere: 0, or NaN.
    Constant(f32),
    /// That of a row with this target.
    Target(usize),
}

/// A [`Fate`] a lane: whether it is that of a row with a target, and the constant if not.
struct Fates<S: Simd> {
    has_target: Mask<S>,
    constant: S::f32s,
}

impl Fate {
    const fn target(self) -> Option<usize> {
        if let Self::Target(target) = self { Some(target) } else { None }
    }
}

impl<M: MarginLoss> Rows<'_, M> {
    /// Puts the weights of a row and its target's logit into its lane; its target, if it counts.
    #[inline(always)]
    fn fill(&self, part: &Part<'_>, label: Label, row: usize, lane: usize, bundle: &mut Bundle) -> Option<usize> {
        let Label::Class(target) = label else {
            (bundle.class_weight[lane], bundle.row_weight[lane]) = (0.0, 0.0);
            // Nothing is left out, so the log-partition is that of all classes.
            bundle.target[lane] = f32::NEG_INFINITY;
            return None;
        };
        bundle.class_weight[lane] = self.job.class_weights.map_or(1.0, |w| w[target]);
        bundle.row_weight[lane] = self.job.row_weights.map_or(1.0, |w| w[row]);
        let x = part.logit(row, target);
        (bundle.target[lane], bundle.target_low[lane]) = match self.options.softcap {
            Some(softcap) => cap_one(x, softcap),
            None => (x, 0.0),
        };
        Some(target)
    }

    /// Whether what a row has to it besides logits is that its label is smoothed, over classes of one weight.
    fn has_plain_smoothing(&self) -> bool {
        self.has_extra && self.options.softcap.is_none() && self.job.class_weights.is_none()
    }

    /// Whether exponentials are kept where the logits were: a softcap's slopes need the logits once more.
    fn is_over_logits(&self, part: &Part<'_>) -> bool {
        part.is_plain_in_place() && self.options.softcap.is_none()
    }

    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, classes: usize, bundle: &Bundle) -> Finished {
        simd.vectorize(
            #[inline(always)]
            || self.finishing(classes).one(simd, &bundle.statistics(simd)).lanes(),
        )
    }

    fn finishing(&self, classes: usize) -> Finish<'_, M> {
        Finish {
            options: &self.options,
            loss: self.loss,
            classes,
            weight_sum: self.weight_sum,
            gradient_scale: self.job.tensor.has_gradient().then_some(self.scale),
        }
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

    /// As [`fate`](Self::fate), of rows by their classes, [`NO_CLASS`] where a row does not count.
    #[inline(always)]
    fn fates<S: Simd>(&self, simd: S, class: S::u32s, Conclusion { lse, .. }: &Conclusion<S>) -> Fates<S> {
        let none = if self.scale == 0.0 { 0 } else { NO_CLASS };
        let counts = class.simd_lt(S::u32s::splat(simd, none));
        let constant = counts.select(splat(simd, f32::NAN), splat(simd, 0.0));
        Fates { has_target: counts & lse.simd_eq(*lse), constant }
    }
}

impl Bundle {
    #[inline(always)]
    fn put(&mut self, merged: Merged, lane: usize) {
        self.reference[lane] = merged.reference;
        self.sum[lane] = merged.sum as f32;
        self.deficit[lane] = merged.deficit as f32;
    }
}

/// Where the classes of a row stand, before it is known what it comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    argmax: u32,
    rank: u32,
}

impl Standing {
    fn of(logits: &[f32], label: Label) -> Self {
        let rank = if let Label::Class(target) = label { order::rank(logits, target) } else { ABSENT };
        Self { argmax: order::argmax(logits), rank }
    }

    fn details(self, label: Label, finished: &Finished, lane: usize) -> Details {
        let (log_prob, rank) = match label {
            Label::Class(_) if finished.is_finite(lane) => (finished.log_prob[lane], self.rank),
            Label::Class(_) => (f32::NAN, ABSENT),
            Label::Ignored | Label::Bad => (0.0, ABSENT),
        };
        Details { lse: finished.lse[lane], log_prob, argmax: self.argmax, rank }
    }
}

impl Instructions {
    /// [`finish`] of a row by itself, in lane 0.
    fn finish_one<M: MarginLoss>(self, rows: &Rows<'_, M>, classes: usize, bundle: &Bundle) -> Finished {
        struct One<'a, M> {
            rows: &'a Rows<'a, M>,
            classes: usize,
            bundle: &'a Bundle,
        }
        impl<M: MarginLoss> super::simd::Kernel for One<'_, M> {
            type Output = Finished;

            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> Finished {
                self.rows.finish(simd, self.classes, self.bundle)
            }
        }
        self.run(One { rows, classes, bundle })
    }
}
