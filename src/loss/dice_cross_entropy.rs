//! Dice loss plus cross-entropy.

use crate::checks::invalid;
use crate::definition::{Definition, Loss, sealed};
use crate::gpu::Switch;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Dice, Reduction, Result, checks};

/// Weighted sum of the [`Dice`] loss and of cross-entropy over the positions.
///
/// With `dice` reduced as it says (mean or sum over the regions), and cross-entropy of every position's logits `x` against
/// its targets `t`, reduced alike (mean or sum over the positions that are not ignored):
///
/// ```text
/// ce   = sum_c w_c * t_c * -log softmax(x)_c              (sigmoid activation: sum_c w_c * bce(x_c, t_c) / K)
/// loss = lambda_dice * dice  +  lambda_cross_entropy * ce
/// ```
///
/// Cross-entropy sees every class, the background too. Its mean divides by the number of positions, whatever the weights.
/// An unreduced loss does not exist: the two parts have different shapes. MONAI adds the cross-entropy of a softmax to
/// the Dice loss of sigmoids too, unless there is only one class.
///
/// Source: Isensee et al., nnU-Net (2021); `monai.losses.DiceCELoss`.
#[derive(Debug, Clone, PartialEq)]
pub struct DiceCrossEntropy {
    /// The Dice part, and what both parts share: reduction (not none), activation, ignore index.
    pub dice: Dice,
    /// Factor of the Dice part; 0 or greater.
    pub lambda_dice: f32,
    /// Factor of the cross-entropy; 0 or greater.
    pub lambda_cross_entropy: f32,
}

impl Default for DiceCrossEntropy {
    fn default() -> Self {
        Self { dice: Dice::default(), lambda_dice: 1.0, lambda_cross_entropy: 1.0 }
    }
}

impl sealed::Sealed for DiceCrossEntropy {}

impl Loss for DiceCrossEntropy {
    fn validate(&self) -> Result<()> {
        self.dice.validate()?;
        validate_combined(self.dice.reduction)?;
        checks::not_negative("lambda_dice", self.lambda_dice)?;
        checks::not_negative("lambda_cross_entropy", self.lambda_cross_entropy)
    }

    fn definition(&self) -> Definition<'_> {
        Definition { name: "dice_cross_entropy", ..self.dice.definition() }
    }
}

/// Two losses of different shapes can only be added when each is one number.
pub(super) fn validate_combined(reduction: Reduction) -> Result<()> {
    match reduction {
        Reduction::Mean | Reduction::Sum => Ok(()),
        other => Err(invalid("reduction", format!("{other:?}"), "Mean or Sum for a sum of two losses")),
    }
}

impl GpuLoss for DiceCrossEntropy {
    fn program(&self) -> Program {
        combined_program(&self.dice, self.lambda_dice, self.lambda_cross_entropy, 0.0)
    }
}

/// The program of `dice` with a loss of positions, whose mean is over the positions that count.
pub(super) fn combined_program(dice: &Dice, lambda_dice: f32, lambda: f32, gamma: f32) -> Program {
    let program = dice.program();
    let is_mean = f32::from(u8::from(dice.reduction == Reduction::Mean));
    Program { switches: program.switches.with(Switch::Pointwise, true), ..program }.with_more_options([
        lambda_dice,
        lambda,
        gamma,
        is_mean,
    ])
}
