//! The portable CPU engine, in float32.
//!
//! The engine owns the rows: which of them count, the totals, the status. It knows no loss; a loss is a file here that turns one row
//! into its loss and gradient, and knows no batch. The passes over a row's logits are in `lanes.rs`.
//!
//! Loss and gradient are within 2e-6 relative, or 1e-7 absolute, of float64 truth for weights of order 1. With `u = 2^-24 = 6e-8`,
//! a sum of exponentials carries at most 12 u of its own and 2 u of each exponential; the argument `d` of an exponential adds `d u`,
//! which is seen only where `e^-d` is large; the last products add 3 u. Together below 20 u = 1.2e-6.
//!
//! ```
//! use logloss::{Batch, CrossEntropy, Gradient, Request, Shape, cpu};
//!
//! let request = Request { gradient: Gradient::Separate, ..Request::default() };
//! let batch = Batch::new(Shape::new(1, 2), &[0.0, 0.0], &[0]);
//! let got = cpu::evaluate(&CrossEntropy::default(), request, &batch)?;
//! assert_eq!(got.summary.loss, std::f32::consts::LN_2);
//! assert_eq!(got.gradient, [-0.5, 0.5]);
//! # Ok::<(), logloss::Error>(())
//! ```

mod cross_entropy;
mod lanes;
mod log_softmax;
mod nll;
mod order;
mod row;

pub use log_softmax::log_softmax;

use crate::totals::{self, Label, Labels, PairwiseSum, Survey};
use crate::{ABSENT, Batch, Details, Evaluation, Gradient, Loss, Request, Result, Summary};
use row::{ClassWeights, Outcome, Row};

/// A loss of rows of logits against one class index each, with a float32 implementation.
///
/// A new loss is a file in `src/loss/`, and one in `src/cpu/` that implements this.
pub trait CpuLoss: Loss {
    /// Loss and details of a row that counts; none if it is not finite. Writes every element of `gradient`, shape (classes).
    #[doc(hidden)]
    fn row(&self, row: &Row<'_>, gradient: Option<&mut [f32]>) -> Option<Outcome>;

    /// Log-partition of a row that does not count or is not finite.
    #[doc(hidden)]
    fn lse(&self, logits: &[f32]) -> f64;
}

/// Evaluates a batch on the calling thread.
///
/// [`Gradient::InPlace`] is as [`Gradient::Separate`]: the batch is borrowed, so the gradient is in [`Evaluation::gradient`].
/// Totals are summed in float64 in a fixed tree over the rows and rounded once.
///
/// # Errors
/// [`Error::InvalidOption`](crate::Error::InvalidOption), [`Error::LengthMismatch`](crate::Error::LengthMismatch) and
/// [`Error::BadTarget`](crate::Error::BadTarget).
pub fn evaluate(loss: &(impl CpuLoss + ?Sized), request: Request, batch: &Batch<'_>) -> Result<Evaluation> {
    loss.validate()?;
    let definition = loss.definition();
    definition.check_batch(batch)?;
    let shape = batch.shape();
    let reduction = definition.reduction;
    let labels = Labels::of(batch, definition.ignore_index);
    let mut survey = Survey::default();
    survey.push(&labels)?;
    let gradient_scale = totals::gradient_scale(reduction, survey.weight_sum());

    let rows = Rows {
        loss,
        batch,
        logits: batch.plain_rows()?,
        class_weights: ClassWeights::new(batch.class_weights, shape.classes),
        gradient_scale,
        details: request.details,
    };
    let classes = shape.classes as usize;
    let wants_gradient = request.gradient != Gradient::No;
    let mut gradient = vec![0.0; if wants_gradient { batch.logits.len() } else { 0 }];
    let mut losses = Vec::with_capacity(labels.targets.len());
    let mut details = Vec::with_capacity(if request.details { labels.targets.len() } else { 0 });
    let mut loss_sum = PairwiseSum::default();
    let (mut non_finite, mut first_non_finite) = (0, ABSENT);
    for (r, label) in labels.iter().enumerate() {
        // A denominator of 0 makes the gradient of every row 0.
        let row_gradient =
            (wants_gradient && gradient_scale != 0.0).then(|| &mut gradient[r * classes..(r + 1) * classes]);
        let result = rows.evaluate(r, label, row_gradient);
        if !result.is_finite {
            non_finite += 1;
            first_non_finite = first_non_finite.min(r as u32);
        }
        loss_sum.push(result.loss.into());
        losses.push(result.loss);
        details.extend(result.details);
    }

    let loss_sum = loss_sum.total();
    let summary = Summary {
        loss: totals::reduced_loss(reduction, loss_sum, survey.weight_sum()) as f32,
        loss_sum: loss_sum as f32,
        weight_sum: survey.weight_sum() as f32,
        gradient_scale: gradient_scale as f32,
        rows: shape.rows,
        // Row numbers fit 32 bits, as the number of rows does.
        ignored: survey.ignored() as u32,
        first_ignored: survey.first_ignored().map_or(ABSENT, |row| row as u32),
        bad_targets: 0,
        first_bad_row: ABSENT,
        first_bad_target: 0,
        non_finite,
        first_non_finite,
        reserved: [0; 4],
    };
    Ok(Evaluation { summary, losses, gradient, details })
}

/// What all rows share.
struct Rows<'a, L: ?Sized> {
    loss: &'a L,
    batch: &'a Batch<'a>,
    logits: &'a [f32],
    class_weights: ClassWeights<'a>,
    gradient_scale: f64,
    details: bool,
}

struct RowResult {
    loss: f32,
    details: Option<Details>,
    is_finite: bool,
}

impl<L: CpuLoss + ?Sized> Rows<'_, L> {
    /// Evaluates row `r`. `gradient` holds zeros.
    fn evaluate(&self, r: usize, label: Label, mut gradient: Option<&mut [f32]>) -> RowResult {
        let classes = self.batch.layout.classes() as usize;
        let logits = &self.logits[r * classes..(r + 1) * classes];
        let Label::Class(target) = label else {
            return RowResult { loss: 0.0, details: self.details_without_rank(logits, 0.0), is_finite: true };
        };
        let row = Row {
            logits,
            target,
            class_weights: self.class_weights,
            row_weight: self.batch.row_weights.map_or(1.0, |w| w[r].into()),
            gradient_scale: self.gradient_scale,
        };
        let Some(Outcome { loss, lse, log_prob }) = self.loss.row(&row, gradient.as_deref_mut()) else {
            if let Some(gradient) = gradient {
                gradient.fill(f32::NAN);
            }
            return RowResult {
                loss: f32::NAN,
                details: self.details_without_rank(logits, f32::NAN),
                is_finite: false,
            };
        };
        let details = || Details {
            lse: lse as f32,
            log_prob: log_prob as f32,
            argmax: order::argmax(logits),
            rank: order::rank(logits, target),
        };
        RowResult { loss: loss as f32, details: self.details.then(details), is_finite: true }
    }

    fn details_without_rank(&self, logits: &[f32], log_prob: f32) -> Option<Details> {
        let lse = || self.loss.lse(logits) as f32;
        self.details.then(|| Details { lse: lse(), log_prob, argmax: order::argmax(logits), rank: ABSENT })
    }
}
