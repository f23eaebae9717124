//! Generalised Dice loss.

use crate::definition::{Definition, Loss, Regions, Weights, sealed};
use crate::gpu::program::{GpuLoss, Program};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Activation, Reduction, Result, checks};

/// Generalised Dice loss of a segmentation, one loss a sample: classes are weighted by how rare they are.
///
/// With `p` the softmax (or sigmoid) of the logits, `t` the targets, and sums over the positions of a class in a sample (all
/// samples' with `batch`):
///
/// ```text
/// tp_c = sum p * t,   mass_c = sum p + sum t
/// v_c  = 1 / (sum t)^2, 1 / sum t, or 1;  where sum t is 0, the largest v of the sample's other classes, or 1 without one
/// loss = 1 - (2 * sum_c v_c * tp_c + smooth_nr) / (sum_c v_c * mass_c + smooth_dr)
/// ```
///
/// The mean divides by the number of losses.
///
/// Source: Sudre et al., Generalised Dice overlap (2017); `monai.losses.GeneralizedDiceLoss`.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneralizedDice {
    /// How the losses of the samples become one number.
    pub reduction: Reduction,
    /// Class indices of positions that are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
    /// What turns logits into predictions.
    pub activation: Activation,
    /// Whether class 0 takes part too.
    pub include_background: bool,
    /// How rare classes are weighted.
    pub balance: ClassBalance,
    /// All samples are one.
    pub batch: bool,
    /// Added to the numerator; 0 or greater.
    pub smooth_nr: f32,
    /// Added to the denominator; 0 or greater.
    pub smooth_dr: f32,
}

/// Weight of a class by the sum of its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClassBalance {
    /// One over the square of the sum.
    #[default]
    Square,
    /// One over the sum.
    Simple,
    /// One.
    Uniform,
}

impl Default for GeneralizedDice {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: Vec::new(),
            activation: Activation::Softmax,
            include_background: true,
            balance: ClassBalance::Square,
            batch: false,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
        }
    }
}

impl sealed::Sealed for GeneralizedDice {}

impl Loss for GeneralizedDice {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)?;
        checks::not_negative("smooth_nr", self.smooth_nr)?;
        checks::not_negative("smooth_dr", self.smooth_dr)
    }

    fn definition(&self) -> Definition<'_> {
        let regions = Regions {
            samples_together: self.batch,
            classes_together: true,
            without_background: !self.include_background,
        };
        Definition {
            weights: Weights { class: false, positive: false, row: false },
            ..Definition::of_regions("generalized_dice", self.reduction, regions, &self.ignore_index)
        }
    }
}

impl GpuLoss for GeneralizedDice {
    fn program(&self) -> Program {
        let exponent = match self.balance {
            ClassBalance::Square => 2.0,
            ClassBalance::Simple => 1.0,
            ClassBalance::Uniform => 0.0,
        };
        Program {
            switches: Switches::NONE.with(Switch::Sigmoid, self.activation == Activation::Sigmoid),
            ..Program::new(LossFragment::GeneralizedDice)
        }
        .with_options([self.smooth_nr, self.smooth_dr, exponent, 0.0])
        .with_more_options([1.0, 0.0, 0.0, 0.0])
    }
}
