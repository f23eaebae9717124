//! Dice loss, in float64.

use super::reduce::{weight, weighted};
use super::regions::{self, Overlap, RegionLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Dice, Loss, Result};

/// [`Dice`] of a batch, literally but for the difference from 1.
///
/// With `wrong = fp + fn`, or `sum (p - t)^2` with squared predictions, and `k` = 1, or 2 with jaccard:
///
/// ```text
/// score        = (2 * tp + smooth_nr) / (2 * tp + k * wrong + smooth_dr)
/// loss         = w * (1 - score) = w * (k * wrong + smooth_dr - smooth_nr) / (2 * tp + k * wrong + smooth_dr)
/// dloss/dtp    = -w * 2 * (1 - score) / (2 * tp + k * wrong + smooth_dr)
/// dloss/dwrong =  w * k * score / (2 * tp + k * wrong + smooth_dr)
/// ```
impl ReferenceLoss for Dice {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        regions::evaluate(&self.definition(), self.activation, batch, |class, overlap| {
            region_loss(self, weight(batch.class_weights, class), overlap[0])
        })
    }
}

fn region_loss(options: &Dice, class_weight: f64, overlap: Overlap) -> RegionLoss {
    let (smooth_nr, smooth_dr) = (f64::from(options.smooth_nr), f64::from(options.smooth_dr));
    let k = if options.jaccard { 2.0 } else { 1.0 };
    let wrong = k * if options.squared_pred { overlap.squares } else { overlap.fp + overlap.fn_ };
    let denominator = 2.0 * overlap.tp + wrong + smooth_dr;
    let score = (2.0 * overlap.tp + smooth_nr) / denominator;
    let loss = (wrong + (smooth_dr - smooth_nr)) / denominator;

    let by_tp = weighted(class_weight, -2.0 * loss / denominator);
    let by_wrong = weighted(class_weight, k * score / denominator);
    let by_overlap = if options.squared_pred {
        Overlap { tp: by_tp, squares: by_wrong, ..Overlap::default() }
    } else {
        Overlap { tp: by_tp, fp: by_wrong, fn_: by_wrong, ..Overlap::default() }
    };
    RegionLoss { loss: weighted(class_weight, loss), gradient: vec![by_overlap] }
}
