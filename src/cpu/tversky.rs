//! Tversky loss on the CPU.

use super::regions::{self, Overlap, RegionLoss};
use super::{CpuLoss, Job, Outcome};
use crate::{Activation, Result, Tversky};

/// With `wrong = alpha fp + beta fn` and `mass = tp + wrong + smooth_dr`:
///
/// ```text
/// score = (tp + smooth_nr) / mass,   loss = 1 - score = (wrong + smooth_dr - smooth_nr) / mass
/// dloss/dtp = -(1 - score) / mass,   dloss/dwrong = score / mass
/// ```
impl RegionLoss for Tversky {
    fn activation(&self) -> Activation {
        self.activation
    }

    fn region(&self, _: impl Fn(usize) -> f64, _: usize, overlaps: &mut [Overlap]) -> f64 {
        let overlap = &mut overlaps[0];
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let (smooth_nr, smooth_dr) = (f64::from(self.smooth_nr), f64::from(self.smooth_dr));
        let wrong = alpha * overlap.fp + beta * overlap.fn_;
        let mass = overlap.tp + wrong + smooth_dr;
        let score = (overlap.tp + smooth_nr) / mass;
        let loss = (wrong + (smooth_dr - smooth_nr)) / mass;
        let by_wrong = score / mass;
        *overlap = Overlap { tp: -loss / mass, fp: alpha * by_wrong, fn_: beta * by_wrong, ..Overlap::default() };
        loss
    }
}

impl CpuLoss for Tversky {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        regions::run(self, job)
    }
}
