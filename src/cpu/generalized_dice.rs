//! Generalised Dice loss on the CPU.

use super::regions::{self, Overlap, RegionLoss};
use super::{CpuLoss, Job, Outcome};
use crate::{Activation, ClassBalance, GeneralizedDice, Result};

/// With `v_c` the weight of class `c`, `wrong_c = fp_c + fn_c` and `mass = sum_c v_c (2 tp_c + wrong_c) + smooth_dr`:
///
/// ```text
/// score = (2 sum_c v_c tp_c + smooth_nr) / mass,   loss = 1 - score = (sum_c v_c wrong_c + smooth_dr - smooth_nr) / mass
/// dloss/dtp_c = -2 v_c (1 - score) / mass,         dloss/dwrong_c = v_c score / mass
/// ```
impl RegionLoss for GeneralizedDice {
    fn activation(&self) -> Activation {
        self.activation
    }

    fn region(&self, _: impl Fn(usize) -> f64, _: usize, overlaps: &mut [Overlap]) -> f64 {
        let (smooth_nr, smooth_dr) = (f64::from(self.smooth_nr), f64::from(self.smooth_dr));
        let largest = overlaps.iter().filter_map(|o| self.weight(o)).reduce(f64::max).unwrap_or(1.0);
        // A class without targets weighs as much as the rarest of the others.
        let weight = |o: &Overlap| self.weight(o).unwrap_or(largest);
        let sum = |term: fn(&Overlap) -> f64| overlaps.iter().fold(0.0, |sum, o| sum + weight(o) * term(o));
        let tp = sum(|o| o.tp);
        let wrong = sum(|o| o.fp + o.fn_);
        let mass = 2.0 * tp + wrong + smooth_dr;
        let score = (2.0 * tp + smooth_nr) / mass;
        let loss = (wrong + (smooth_dr - smooth_nr)) / mass;
        for overlap in overlaps.iter_mut() {
            let v = weight(overlap);
            let by_wrong = v * score / mass;
            *overlap = Overlap { tp: -2.0 * v * loss / mass, fp: by_wrong, fn_: by_wrong, ..Overlap::default() };
        }
        loss
    }
}

impl GeneralizedDice {
    /// Weight of a class by the sum of its targets; none without any.
    fn weight(&self, overlap: &Overlap) -> Option<f64> {
        match self.balance {
            ClassBalance::Uniform => Some(1.0),
            _ if overlap.targets == 0.0 => None,
            ClassBalance::Simple => Some(overlap.targets.recip()),
            ClassBalance::Square => Some(overlap.targets.powi(-2)),
        }
    }
}

impl CpuLoss for GeneralizedDice {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        regions::run(self, job)
    }
}
