//! Dice loss plus cross-entropy on the CPU.

use super::regions::{self, Overlap, PositionLoss, RegionLoss};
use super::{CpuLoss, Job, Outcome};
use crate::{Activation, DiceCrossEntropy, Result};

/// The regions are those of the Dice part.
impl RegionLoss for DiceCrossEntropy {
    fn activation(&self) -> Activation {
        self.dice.activation
    }

    fn region(&self, class_weight: impl Fn(usize) -> f64, first: usize, overlaps: &mut [Overlap]) -> f64 {
        self.dice.region(class_weight, first, overlaps)
    }

    fn position(&self) -> (f64, Option<(f64, PositionLoss)>) {
        (self.lambda_dice.into(), Some((self.lambda_cross_entropy.into(), PositionLoss::CrossEntropy)))
    }
}

impl CpuLoss for DiceCrossEntropy {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        regions::run(self, job)
    }
}
