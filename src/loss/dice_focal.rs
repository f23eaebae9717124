//! Dice loss plus focal loss.

use super::dice_cross_entropy::{combined_program, validate_combined};
use crate::definition::{Definition, Loss, sealed};
use crate::gpu::Switch;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Dice, Result, checks};

/// Weighted sum of the [`Dice`] loss and of focal loss over the positions.
///
/// With `dice` reduced as it says (mean or sum over the regions), and the focal loss of every position's logits `x` against
/// its targets `t`, reduced alike (mean or sum over the positions that are not ignored):
///
/// ```text
/// p     = softmax(x), or sigmoid(x)
/// focal = sum_c w_c * t_c * (1 - p_c)^gamma * -log p_c                         softmax
/// focal = 1/K * sum_c w_c * miss_c^gamma * bce(x_c, t_c),                      sigmoid
///         miss_c = p_c * (1 - t_c) + (1 - p_c) * t_c
/// loss  = lambda_dice * dice  +  lambda_focal * focal
/// ```
///
/// Focal loss sees every class, the background too. Its mean divides by the number of positions, whatever the weights. An
/// unreduced loss does not exist: the two parts have different shapes. MONAI adds the focal loss of sigmoids to the Dice loss of
/// a softmax too.
///
/// Source: Zhu et al., AnatomyNet (2018); `monai.losses.DiceFocalLoss`.
#[derive(Debug, Clone, PartialEq)]
pub struct DiceFocal {
    /// The Dice part, and what both parts share: reduction (not none), activation, ignore index.
    pub dice: Dice,
    /// Exponent of `1 - p`; 0 or greater.
    pub gamma: f32,
    /// Factor of the Dice part; 0 or greater.
    pub lambda_dice: f32,
    /// Factor of the focal part; 0 or greater.
    pub lambda_focal: f32,
}

impl Default for DiceFocal {
    fn default() -> Self {
        Self { dice: Dice::default(), gamma: 2.0, lambda_dice: 1.0, lambda_focal: 1.0 }
    }
}

impl sealed::Sealed for DiceFocal {}

impl Loss for DiceFocal {
    fn validate(&self) -> Result<()> {
        self.dice.validate()?;
        validate_combined(self.dice.reduction)?;
        checks::not_negative("gamma", self.gamma)?;
        checks::not_negative("lambda_dice", self.lambda_dice)?;
        checks::not_negative("lambda_focal", self.lambda_focal)
    }

    fn definition(&self) -> Definition<'_> {
        Definition { name: "dice_focal", ..self.dice.definition() }
    }
}

impl GpuLoss for DiceFocal {
    fn program(&self) -> Program {
        let program = combined_program(&self.dice, self.lambda_dice, self.lambda_focal, self.gamma);
        Program { switches: program.switches.with(Switch::FocalTerm, true), ..program }
    }
}
