//! From names and options to the library's losses.

use logloss::{
    AnyLoss, Bce, BceWithLogits, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Focal, GeneralizedDice, Hinge, KlDiv,
    LogitDivergence, Loss, Mse, MultiMargin, Nll, Reduction, SigmoidFocal, SoftCrossEntropy, SquaredHinge, Tversky,
};

use super::{LossName, LossOptions};
use crate::failure::{Failure, Outcome};

/// The loss of this name. Options that are absent have the library's defaults; options that the loss does not have are not
/// looked at.
pub(super) fn build(
    name: LossName,
    given: &LossOptions,
    ignore_index: &[i32],
    reduction: Reduction,
) -> Outcome<Box<dyn AnyLoss>> {
    let ignore_index = ignore_index.to_vec();
    let softcap = given.softcap;
    let temperature = given.temperature.unwrap_or(1.0);
    let z_loss = given.z_loss.unwrap_or(0.0);
    let label_smoothing = given.label_smoothing.unwrap_or(0.0);
    match name {
        LossName::CrossEntropy => {
            ready(CrossEntropy { reduction, ignore_index, label_smoothing, temperature, z_loss, softcap })
        }
        LossName::SoftCrossEntropy => {
            pending(SoftCrossEntropy { reduction, label_smoothing, temperature, z_loss, softcap })
        }
        LossName::Nll => ready(Nll { reduction, ignore_index }),
        LossName::Focal => {
            let gamma = given.gamma.unwrap_or(Focal::default().gamma);
            pending(Focal { reduction, ignore_index, gamma, temperature, z_loss, softcap })
        }
        LossName::MultiMargin => {
            let default = MultiMargin::default();
            let (margin, p) = (given.margin.unwrap_or(default.margin), given.p.unwrap_or(default.p));
            pending(MultiMargin { reduction, ignore_index, margin, p })
        }
        LossName::Bce => pending(Bce { reduction }),
        LossName::BceWithLogits => pending(BceWithLogits { reduction }),
        LossName::SigmoidFocal => {
            let gamma = given.gamma.unwrap_or(SigmoidFocal::default().gamma);
            pending(SigmoidFocal { reduction, gamma, alpha: given.alpha })
        }
        LossName::Mse => pending(Mse { reduction }),
        LossName::Hinge => pending(Hinge { reduction, margin: given.margin.unwrap_or(Hinge::default().margin) }),
        LossName::SquaredHinge => {
            pending(SquaredHinge { reduction, margin: given.margin.unwrap_or(SquaredHinge::default().margin) })
        }
        LossName::KlDiv => pending(KlDiv { reduction, log_target: given.log_target, temperature, z_loss, softcap }),
        LossName::LogitDivergence => {
            let divergence = given.divergence.map(Into::into).unwrap_or_default();
            pending(LogitDivergence { reduction, divergence, temperature, z_loss, softcap })
        }
        LossName::Dice => pending(dice(given, ignore_index, reduction)),
        LossName::GeneralizedDice => {
            let default = GeneralizedDice::default();
            pending(GeneralizedDice {
                reduction,
                ignore_index,
                activation: given.activation.map_or(default.activation, Into::into),
                include_background: given.include_background.unwrap_or(default.include_background),
                balance: given.balance.map_or(default.balance, Into::into),
                batch: given.batch,
                smooth_nr: given.smooth_nr.unwrap_or(default.smooth_nr),
                smooth_dr: given.smooth_dr.unwrap_or(default.smooth_dr),
            })
        }
        LossName::Tversky => {
            let default = Tversky::default();
            pending(Tversky {
                reduction,
                ignore_index,
                activation: given.activation.map_or(default.activation, Into::into),
                include_background: given.include_background.unwrap_or(default.include_background),
                alpha: given.alpha.unwrap_or(default.alpha),
                beta: given.beta.unwrap_or(default.beta),
                batch: given.batch,
                smooth_nr: given.smooth_nr.unwrap_or(default.smooth_nr),
                smooth_dr: given.smooth_dr.unwrap_or(default.smooth_dr),
            })
        }
        LossName::DiceCrossEntropy => {
            let default = DiceCrossEntropy::default();
            pending(DiceCrossEntropy {
                dice: dice(given, ignore_index, reduction),
                lambda_dice: given.lambda_dice.unwrap_or(default.lambda_dice),
                lambda_cross_entropy: given.lambda_ce.unwrap_or(default.lambda_cross_entropy),
            })
        }
        LossName::DiceFocal => {
            let default = DiceFocal::default();
            pending(DiceFocal {
                dice: dice(given, ignore_index, reduction),
                gamma: given.gamma.unwrap_or(default.gamma),
                lambda_dice: given.lambda_dice.unwrap_or(default.lambda_dice),
                lambda_focal: given.lambda_focal.unwrap_or(default.lambda_focal),
            })
        }
    }
}

fn ready(loss: impl AnyLoss + 'static) -> Outcome<Box<dyn AnyLoss>> {
    Ok(Box::new(loss))
}

/// Stands where a loss is not on every engine yet.
fn pending(loss: impl Loss) -> Outcome<Box<dyn AnyLoss>> {
    Err(Failure::Usage(format!("--loss {} is not available yet", loss.definition().name.replace('_', "-"))))
}

fn dice(given: &LossOptions, ignore_index: Vec<i32>, reduction: Reduction) -> Dice {
    let default = Dice::default();
    Dice {
        reduction,
        ignore_index,
        activation: given.activation.map_or(default.activation, Into::into),
        include_background: given.include_background.unwrap_or(default.include_background),
        squared_pred: given.squared_pred,
        jaccard: given.jaccard,
        batch: given.batch,
        smooth_nr: given.smooth_nr.unwrap_or(default.smooth_nr),
        smooth_dr: given.smooth_dr.unwrap_or(default.smooth_dr),
    }
}
