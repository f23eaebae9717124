//! Dice loss on the CPU.

use super::regions::{self, Overlap, RegionLoss};
use super::wide::weighted;
use super::{CpuLoss, Job, Outcome};
use crate::{Activation, Dice, Result};

/// With `wrong = fp + fn`, or `sum (p - t)^2` with squared predictions, `k` = 1, or 2 with jaccard, and
/// `mass = 2 tp + k wrong + smooth_dr`:
///
/// ```text
/// score = (2 tp + smooth_nr) / mass,   loss = w (1 - score) = w (k wrong + smooth_dr - smooth_nr) / mass
/// dloss/dtp = -2 w (1 - score) / mass,   dloss/dwrong = w k score / mass
/// ```
impl RegionLoss for Dice {
    fn activation(&self) -> Activation {
        self.activation
    }

    fn region(&self, class_weight: impl Fn(usize) -> f64, first: usize, overlaps: &mut [Overlap]) -> f64 {
        let weight = class_weight(first);
        let overlap = &mut overlaps[0];
        let (smooth_nr, smooth_dr) = (f64::from(self.smooth_nr), f64::from(self.smooth_dr));
        let k = if self.jaccard { 2.0 } else { 1.0 };
        let wrong = k * if self.squared_pred { overlap.squares } else { overlap.fp + overlap.fn_ };
        let mass = 2.0 * overlap.tp + wrong + smooth_dr;
        let score = (2.0 * overlap.tp + smooth_nr) / mass;
        let loss = (wrong + (smooth_dr - smooth_nr)) / mass;
        let tp = weighted(weight, -2.0 * loss / mass);
        let by_wrong = weighted(weight, k * score / mass);
        *overlap = if self.squared_pred {
            Overlap { tp, squares: by_wrong, ..Overlap::default() }
        } else {
            Overlap { tp, fp: by_wrong, fn_: by_wrong, ..Overlap::default() }
        };
        weighted(weight, loss)
    }
}

impl CpuLoss for Dice {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        regions::run(self, job)
    }
}
