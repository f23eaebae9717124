//! Totals of a stream: the same bits however the rows were cut into chunks.
//!
//! A mean over a file that is read in chunks takes two passes over the targets and one over the logits:
//!
//! 1. [`Survey`] sums the weights, so the denominator is known before the first gradient.
//! 2. Each chunk is evaluated with [`Reduction::MeanOver`] that denominator, or [`Reduction::Sum`] without gradients.
//! 3. [`Totals`] merges the row losses and reports the loss of any reduction, and the metrics.

mod labels;
mod pairwise;

pub use labels::{Label, Labels, Survey, weight_sum};
pub use pairwise::PairwiseSum;

use crate::{ABSENT, Error, Evaluation, Reduction, Result};

/// The reduced loss in nats, of the sum of the row losses and the sum of the weights of the rows that count.
///
/// A NaN in `loss_sum`, which a row that is not finite leaves there, is NaN for every reduction.
#[must_use]
pub fn reduced_loss(reduction: Reduction, loss_sum: f64, weight_sum: f64) -> f64 {
    over(reduction, loss_sum, denominator(reduction, weight_sum))
}

/// The reduced loss, given what the reduction divides by.
pub(crate) fn over(reduction: Reduction, loss_sum: f64, denominator: f64) -> f64 {
    match reduction {
        _ if denominator != 0.0 || loss_sum.is_nan() => loss_sum / denominator,
        Reduction::MeanOrZero => 0.0,
        _ => f64::NAN,
    }
}

/// What every row's gradient is multiplied by: one over the denominator, or 0 where that is 0.
#[must_use]
pub fn gradient_scale(reduction: Reduction, weight_sum: f64) -> f64 {
    let denominator = denominator(reduction, weight_sum);
    if denominator == 0.0 { 0.0 } else { 1.0 / denominator }
}

fn denominator(reduction: Reduction, weight_sum: f64) -> f64 {
    match reduction {
        Reduction::None | Reduction::Sum | Reduction::BatchMean => 1.0,
        Reduction::Mean | Reduction::MeanOrZero => weight_sum,
        Reduction::MeanOver(denominator) => f64::from(denominator),
    }
}

/// Totals of a stream of evaluated chunks.
///
/// The metrics need [`Details`](crate::Details) of every row: without them they are `None`. They weigh the rows that count alike,
/// whatever the loss's weights and smoothing, and are NaN where no row counts.
///
/// ```
/// use logloss::totals::{Labels, Totals};
/// use logloss::{Batch, CrossEntropy, Reduction, Request, Shape, cpu};
///
/// let (logits, targets) = ([2.0, 0.0, 0.0, 2.0, 1.0, 1.0], [0, 0, 1]);
/// let loss = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
/// let mut totals = Totals::default();
/// for (logits, targets) in logits.chunks(4).zip(targets.chunks(2)) {
///     let batch = Batch::new(Shape::new(targets.len() as u32, 2), logits, targets);
///     let chunk = cpu::evaluate(&loss, Request { details: true, ..Request::default() }, &batch)?;
///     totals.push_chunk(&Labels::of(&batch, &loss.ignore_index), &chunk)?;
/// }
/// assert_eq!(totals.rows(), 3);
/// assert_eq!(totals.loss(Reduction::Mean), totals.loss(Reduction::Sum) / 3.0);
/// assert_eq!(totals.top1_accuracy(), Some(1.0 / 3.0));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    survey: Survey,
    losses: PairwiseSum,
    /// Of the rows that count: minus the log-probability of the target.
    surprisals: PairwiseSum,
    detailed: u64,
    non_finite: u64,
    first_non_finite: Option<u64>,
    top1: u64,
    top5: u64,
}

impl Totals {
    /// Adds the next rows: their labels, and what any engine made of them. A chunk with an error adds nothing.
    ///
    /// # Errors
    /// As [`Survey::push`], and [`Error::LengthMismatch`] if losses or details are not one a row.
    pub fn push_chunk(&mut self, labels: &Labels<'_>, evaluation: &Evaluation) -> Result<()> {
        let rows = labels.targets.len();
        let lengths = [("losses", evaluation.losses.len(), false), ("details", evaluation.details.len(), true)];
        for (name, got, may_be_absent) in lengths {
            if got != rows && !(may_be_absent && got == 0) {
                return Err(Error::LengthMismatch { name, expected: rows as u64, got: got as u64 });
            }
        }
        let first_row = self.survey.rows();
        self.survey.push(labels)?;

        if evaluation.summary.non_finite > 0 {
            self.non_finite += u64::from(evaluation.summary.non_finite);
            self.first_non_finite.get_or_insert(first_row + u64::from(evaluation.summary.first_non_finite));
        }
        for &loss in &evaluation.losses {
            self.losses.push(loss.into());
        }
        for (label, details) in labels.iter().zip(&evaluation.details) {
            self.detailed += 1;
            let counts = matches!(label, Label::Class(_));
            self.surprisals.push(if counts { -f64::from(details.log_prob) } else { 0.0 });
            if counts && details.rank != ABSENT {
                self.top1 += u64::from(details.rank < 1);
                self.top5 += u64::from(details.rank < 5);
            }
        }
        Ok(())
    }

    /// What the labels came to: rows, ignored rows, the sum of weights.
    #[must_use]
    pub const fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Rows so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.survey.rows()
    }

    /// Sum of `row_weight * class_weight[target]` over the rows that count.
    #[must_use]
    pub fn weight_sum(&self) -> f64 {
        self.survey.weight_sum()
    }

    /// The loss in nats, as `reduction` makes it of all rows so far, whatever the chunks were evaluated with.
    /// [`Reduction::None`] gives the sum.
    #[must_use]
    pub fn loss(&self, reduction: Reduction) -> f64 {
        reduced_loss(reduction, self.losses.total(), self.weight_sum())
    }

    /// Rows that count and are not finite.
    #[must_use]
    pub const fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// The first of them.
    #[must_use]
    pub const fn first_non_finite(&self) -> Option<u64> {
        self.first_non_finite
    }

    /// Mean cross-entropy in nats, `-1/n sum log p_t` over the n rows that count; not weighted, not smoothed.
    #[must_use]
    pub fn mean_nats(&self) -> Option<f64> {
        self.over_counted(self.surprisals.total())
    }

    /// Mean cross-entropy in bits: nats over ln 2.
    #[must_use]
    pub fn mean_bits(&self) -> Option<f64> {
        self.mean_nats().map(|nats| nats / std::f64::consts::LN_2)
    }

    /// `exp` of [`mean_nats`](Self::mean_nats).
    #[must_use]
    pub fn perplexity(&self) -> Option<f64> {
        self.mean_nats().map(f64::exp)
    }

    /// Share of the rows that count whose target has the largest logit; of equal logits the lower class is the larger.
    #[must_use]
    pub fn top1_accuracy(&self) -> Option<f64> {
        self.over_counted(self.top1 as f64)
    }

    /// Share of the rows that count whose target is among the five largest logits.
    #[must_use]
    pub fn top5_accuracy(&self) -> Option<f64> {
        self.over_counted(self.top5 as f64)
    }

    fn over_counted(&self, sum: f64) -> Option<f64> {
        (self.detailed == self.rows()).then(|| sum / self.survey.counted() as f64)
    }
}
