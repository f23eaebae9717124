//! Negative log-likelihood from log-probabilities, in float64.

use super::class_rows::{self, RowLoss, at_target};
use super::reduce::{weight, weighted};
use super::row::Scale;
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, Nll, Result};

/// [`Nll`] of a batch, literally.
///
/// For a row of log-probabilities `x` with target `t`:
///
/// ```text
/// loss        = row_weight * w_t * -x_t
/// dloss/dx_j  = -row_weight * w_t * [j = t]
/// ```
///
/// Only `x_t` is read, as in PyTorch: the row is non-finite if `x_t` is NaN or +inf, whatever else it holds.
///
/// [`Evaluation::log_prob`] is `x_t` as given; [`Evaluation::lse`] is 0 up to rounding if the row is normalised.
impl ReferenceLoss for Nll {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        class_rows::evaluate(&self.definition(), batch, Scale::NONE, |row, target| {
            let class_weight = weight(batch.class_weights, target);
            let log_prob = row.logit(target);
            if log_prob.is_nan() || log_prob == f64::INFINITY {
                return None;
            }
            let gradient = at_target(row.classes(), target, -class_weight);
            Some(RowLoss { loss: weighted(class_weight, -log_prob), log_prob, gradient })
        })
    }
}
