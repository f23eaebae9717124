//! Tversky loss, in float64.

use super::regions::{self, Overlap, RegionLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, Result, Tversky};

/// [`Tversky`] of a batch, literally but for the difference from 1.
///
/// With `wrong = alpha * fp + beta * fn`:
///
/// ```text
/// score        = (tp + smooth_nr) / (tp + wrong + smooth_dr)
/// loss         = 1 - score = (wrong + smooth_dr - smooth_nr) / (tp + wrong + smooth_dr)
/// dloss/dtp    = -(1 - score) / (tp + wrong + smooth_dr)
/// dloss/dwrong = score / (tp + wrong + smooth_dr)
/// ```
impl ReferenceLoss for Tversky {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        regions::evaluate(&self.definition(), self.activation, batch, |_, overlap| region_loss(self, overlap[0]))
    }
}

fn region_loss(options: &Tversky, overlap: Overlap) -> RegionLoss {
    let (alpha, beta) = (f64::from(options.alpha), f64::from(options.beta));
    let (smooth_nr, smooth_dr) = (f64::from(options.smooth_nr), f64::from(options.smooth_dr));
    let wrong = alpha * overlap.fp + beta * overlap.fn_;
    let denominator = overlap.tp + wrong + smooth_dr;
    let score = (overlap.tp + smooth_nr) / denominator;
    let loss = (wrong + (smooth_dr - smooth_nr)) / denominator;
    let by_wrong = score / denominator;
    let by_overlap =
        Overlap { tp: -loss / denominator, fp: alpha * by_wrong, fn_: beta * by_wrong, ..Overlap::default() };
    RegionLoss { loss, gradient: vec![by_overlap] }
}
