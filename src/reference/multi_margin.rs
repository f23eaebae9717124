//! Multi-class margin loss, in float64.

use super::class_rows::{self, RowLoss, at_target};
use super::reduce::{weight, weighted};
use super::row::{Row, Scale};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, MultiMargin, Result};

/// [`MultiMargin`] of a batch, literally.
///
/// For a row of K scores `x` with target `t`, and `v_c = max(0, margin + x_c - x_t)` for `c != t`:
///
/// ```text
/// loss        = row_weight * w_t / K * sum over c != t of v_c^p
/// dloss/dx_c  = row_weight * w_t / K * p * v_c^(p - 1) where v_c > 0, else 0       c != t
/// dloss/dx_t  = -(sum of the others)
/// ```
///
/// [`Evaluation::lse`] and [`Evaluation::log_prob`] are those of the softmax of the scores.
impl ReferenceLoss for MultiMargin {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        class_rows::evaluate(&self.definition(), batch, Scale::NONE, |row, target| {
            row.is_finite().then(|| row_loss(self, weight(batch.class_weights, target), row, target))
        })
    }
}

fn row_loss(options: &MultiMargin, class_weight: f64, row: &Row, target: usize) -> RowLoss {
    let margin = f64::from(options.margin);
    let factor = class_weight / row.classes() as f64;
    let (mut sum, mut gradient) = (0.0, at_target(row.classes(), target, 0.0));
    for c in (0..row.classes()).filter(|&c| c != target) {
        let violation = margin + row.difference(c, target);
        if violation > 0.0 {
            let (term, slope) = if options.p == 2 { (violation.powi(2), 2.0 * violation) } else { (violation, 1.0) };
            sum += term;
            gradient[c] = weighted(factor, slope);
            gradient[target] -= gradient[c];
        }
    }
    RowLoss { loss: weighted(factor, sum), log_prob: -row.surprisal(target), gradient }
}
