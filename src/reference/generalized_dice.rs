//! Generalised Dice loss, in float64.

use super::regions::{self, Overlap, RegionLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, ClassBalance, GeneralizedDice, Loss, Result};

/// [`GeneralizedDice`] of a batch, literally but for the difference from 1.
///
/// With `v_c` the weight of class `c`, `wrong_c = fp_c + fn_c`, and so `mass_c = 2 * tp_c + wrong_c`:
///
/// ```text
/// score          = (2 * sum_c v_c * tp_c + smooth_nr) / (sum_c v_c * mass_c + smooth_dr)
/// loss           = 1 - score = (sum_c v_c * wrong_c + smooth_dr - smooth_nr) / (sum_c v_c * mass_c + smooth_dr)
/// dloss/dtp_c    = -2 * v_c * (1 - score) / (sum_c v_c * mass_c + smooth_dr)
/// dloss/dwrong_c = v_c * score / (sum_c v_c * mass_c + smooth_dr)
/// ```
impl ReferenceLoss for GeneralizedDice {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        regions::evaluate(&self.definition(), self.activation, batch, |_, overlaps| region_loss(self, overlaps))
    }
}

fn region_loss(options: &GeneralizedDice, overlaps: &[Overlap]) -> RegionLoss {
    let (smooth_nr, smooth_dr) = (f64::from(options.smooth_nr), f64::from(options.smooth_dr));
    let weights = class_weights(options.balance, overlaps);
    let sum = |term: fn(&Overlap) -> f64| weights.iter().zip(overlaps).fold(0.0, |sum, (v, o)| sum + v * term(o));
    let tp = sum(|o| o.tp);
    let wrong = sum(|o| o.fp + o.fn_);
    let denominator = 2.0 * tp + wrong + smooth_dr;
    let score = (2.0 * tp + smooth_nr) / denominator;
    let loss = (wrong + (smooth_dr - smooth_nr)) / denominator;
    let by_overlap = |v: &f64| {
        let by_wrong = v * score / denominator;
        Overlap { tp: -2.0 * v * loss / denominator, fp: by_wrong, fn_: by_wrong, ..Overlap::default() }
    };
    RegionLoss { loss, gradient: weights.iter().map(by_overlap).collect() }
}

/// `v_c` by the sum of the targets of each class; of a class without any, the largest of the others, or 1.
fn class_weights(balance: ClassBalance, overlaps: &[Overlap]) -> Vec<f64> {
    let weight = |o: &Overlap| match balance {
        ClassBalance::Uniform => Some(1.0),
        _ if o.targets == 0.0 => None,
        ClassBalance::Simple => Some(o.targets.recip()),
        ClassBalance::Square => Some(o.targets.powi(-2)),
    };
    let present: Vec<Option<f64>> = overlaps.iter().map(weight).collect();
    let largest = present.iter().flatten().copied().reduce(f64::max).unwrap_or(1.0);
    present.iter().map(|weight| weight.unwrap_or(largest)).collect()
}
