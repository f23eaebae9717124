//! Dice loss plus focal loss on the CPU.

use super::regions::{self, Overlap, PositionLoss, RegionLoss};
use super::{CpuLoss, Job, Outcome};
use crate::{Activation, DiceFocal, Result};

/// The regions are those of the Dice part.
impl RegionLoss for DiceFocal {
    fn activation(&self) -> Activation {
        self.dice.activation
    }

    fn region(&self, class_weight: impl Fn(usize) -> f64, first: usize, overlaps: &mut [Overlap]) -> f64 {
        self.dice.region(class_weight, first, overlaps)
    }

    fn position(&self) -> (f64, Option<(f64, PositionLoss)>) {
        (self.lambda_dice.into(), Some((self.lambda_focal.into(), PositionLoss::focal(self.gamma))))
    }
}

impl CpuLoss for DiceFocal {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        regions::run(self, job)
    }
}
