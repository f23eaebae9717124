//! Dice loss.

use crate::definition::{Definition, Loss, Regions, sealed};
use crate::gpu::program::{GpuLoss, Program};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Reduction, Result, checks};

/// Dice (or Jaccard) loss of a segmentation, one loss a region: the positions of a class in a sample.
///
/// With `p` the softmax (or sigmoid) of the logits and `t` the targets, one-hot or soft, summed over the positions of a
/// region (all samples' with `batch`):
///
/// ```text
/// tp   = sum p * t
/// fp   = sum p - tp,  fn = sum t - tp            (squared_pred: sum p^2 - tp, sum t^2 - tp)
/// loss = w * ( 1 - (2 * tp + smooth_nr) / (2 * tp + fp + fn + smooth_dr) )
/// loss = w * ( 1 - (2 * tp + smooth_nr) / (2 * (tp + fp + fn) + smooth_dr) )    with jaccard
/// ```
///
/// The mean divides by the number of regions. `w` is the class weight. Targets may be class indices too; positions with an
/// ignored index then belong to no region.
///
/// Source: `monai.losses.DiceLoss`; Milletari et al., V-Net (2016).
#[derive(Debug, Clone, PartialEq)]
pub struct Dice {
    /// How the losses of the regions become one number.
    pub reduction: Reduction,
    /// Class indices of positions that are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
    /// What turns logits into predictions.
    pub activation: Activation,
    /// Whether class 0 has a loss too.
    pub include_background: bool,
    /// Squares predictions and targets in the denominator.
    pub squared_pred: bool,
    /// Intersection over union instead of Dice.
    pub jaccard: bool,
    /// A region spans all samples.
    pub batch: bool,
    /// Added to the numerator; 0 or greater.
    pub smooth_nr: f32,
    /// Added to the denominator; 0 or greater.
    pub smooth_dr: f32,
}

/// What turns the logits of a position into predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// Classes exclude one another.
    #[default]
    Softmax,
    /// Each class is a decision of its own.
    Sigmoid,
}

impl Default for Dice {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: Vec::new(),
            activation: Activation::Softmax,
            include_background: true,
            squared_pred: false,
            jaccard: false,
            batch: false,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
        }
    }
}

impl Dice {
    pub(crate) fn regions(&self) -> Regions {
        Regions { samples_together: self.batch, classes_together: false, without_background: !self.include_background }
    }
}

impl sealed::Sealed for Dice {}

impl Loss for Dice {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)?;
        checks::not_negative("smooth_nr", self.smooth_nr)?;
        checks::not_negative("smooth_dr", self.smooth_dr)
    }

    fn definition(&self) -> Definition<'_> {
        Definition::of_regions("dice", self.reduction, self.regions(), &self.ignore_index)
    }
}

impl GpuLoss for Dice {
    fn program(&self) -> Program {
        let k = if self.jaccard { 2.0 } else { 1.0 };
        Program {
            switches: Switches::NONE
                .with(Switch::Sigmoid, self.activation == Activation::Sigmoid)
                .with(Switch::Squared, self.squared_pred),
            ..Program::new(LossFragment::Dice)
        }
        .with_options([self.smooth_nr, self.smooth_dr, k, 0.0])
        .with_more_options([1.0, 0.0, 0.0, 0.0])
    }
}
