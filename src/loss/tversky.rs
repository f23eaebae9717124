//! Tversky loss.

use crate::definition::{Definition, Loss, Regions, Weights, sealed};
use crate::gpu::program::{GpuLoss, Program};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Activation, Reduction, Result, checks};

/// Tversky loss of a segmentation, one loss a region: Dice with a price each for false positives and false negatives.
///
/// With `p` the softmax (or sigmoid) of the logits, `t` the targets, and sums over the positions of a class in a sample (all
/// samples' with `batch`):
///
/// ```text
/// tp   = sum p * t,   fp = sum p * (1 - t),   fn = sum (1 - p) * t
/// loss = 1 - (tp + smooth_nr) / (tp + alpha * fp + beta * fn + smooth_dr)
/// ```
///
/// The mean divides by the number of regions.
///
/// Source: Salehi et al., Tversky loss function (2017); `monai.losses.TverskyLoss`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tversky {
    /// How the losses of the regions become one number.
    pub reduction: Reduction,
    /// Class indices of positions that are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
    /// What turns logits into predictions.
    pub activation: Activation,
    /// Whether class 0 has a loss too.
    pub include_background: bool,
    /// Price of a false positive; 0 or greater.
    pub alpha: f32,
    /// Price of a false negative; 0 or greater.
    pub beta: f32,
    /// A region spans all samples.
    pub batch: bool,
    /// Added to the numerator; 0 or greater.
    pub smooth_nr: f32,
    /// Added to the denominator; 0 or greater.
    pub smooth_dr: f32,
}

impl Default for Tversky {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: Vec::new(),
            activation: Activation::Softmax,
            include_background: true,
            alpha: 0.5,
            beta: 0.5,
            batch: false,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
        }
    }
}

impl sealed::Sealed for Tversky {}

impl Loss for Tversky {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)?;
        checks::not_negative("alpha", self.alpha)?;
        checks::not_negative("beta", self.beta)?;
        checks::not_negative("smooth_nr", self.smooth_nr)?;
        checks::not_negative("smooth_dr", self.smooth_dr)
    }

    fn definition(&self) -> Definition<'_> {
        let regions = Regions {
            samples_together: self.batch,
            classes_together: false,
            without_background: !self.include_background,
        };
        Definition {
            weights: Weights { class: false, positive: false, row: false },
            ..Definition::of_regions("tversky", self.reduction, regions, &self.ignore_index)
        }
    }
}

impl GpuLoss for Tversky {
    fn program(&self) -> Program {
        Program {
            switches: Switches::NONE.with(Switch::Sigmoid, self.activation == Activation::Sigmoid),
            ..Program::new(LossFragment::Tversky)
        }
        .with_options([self.smooth_nr, self.smooth_dr, self.alpha, self.beta])
        .with_more_options([1.0, 0.0, 0.0, 0.0])
    }
}
