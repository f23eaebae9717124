//! From names and options to the library's losses.

use logloss::{
    AnyLoss, Bce, BceWithLogits, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Focal, GeneralizedDice, Hinge, KlDiv,
    LogitDivergence, Mse, MultiMargin, Nll, Reduction, SigmoidFocal, SoftCrossEntropy, SquaredHinge, Tversky,
};

use super::{LossName, LossOptions};

/// The loss of this name. Options that are absent have the library's defaults; options that the loss does not have are not
/// looked at.
pub(super) fn build(
    name: LossName,
    given: &LossOptions,
    ignore_index: &[i32],
    reduction: Reduction,
) -> Box<dyn AnyLoss> {
    let ignore_index = ignore_index.to_vec();
    let softcap = given.softcap;
    let temperature = given.temperature.unwrap_or(1.0);
    let z_loss = given.z_loss.unwrap_or(0.0);
    let label_smoothing = given.label_smoothing.unwrap_or(0.0);
    match name {
        LossName::CrossEntropy => {
            Box::new(CrossEntropy { reduction, ignore_index, label_smoothing, temperature, z_loss, softcap })
        }
        LossName::SoftCrossEntropy => {
            Box::new(SoftCrossEntropy { reduction, label_smoothing, temperature, z_loss, softcap })
        }
        LossName::Nll => Box::new(Nll { reduction, ignore_index }),
        LossName::Focal => {
            let gamma = given.gamma.unwrap_or(Focal::default().gamma);
            Box::new(Focal { reduction, ignore_index, gamma, temperature, z_loss, softcap })
        }
        LossName::MultiMargin => {
            let default = MultiMargin::default();
            let (margin, p) = (given.margin.unwrap_or(default.margin), given.p.unwrap_or(default.p));
            Box::new(MultiMargin { reduction, ignore_index, margin, p })
        }
        LossName::Bce => Box::new(Bce { reduction }),
        LossName::BceWithLogits => Box::new(BceWithLogits { reduction }),
        LossName::SigmoidFocal => {
            let gamma = given.gamma.unwrap_or(SigmoidFocal::default().gamma);
            Box::new(SigmoidFocal { reduction, gamma, alpha: given.alpha })
        }
        LossName::Mse => Box::new(Mse { reduction }),
        LossName::Hinge => Box::new(Hinge { reduction, margin: given.margin.unwrap_or(Hinge::default().margin) }),
        LossName::SquaredHinge => {
            Box::new(SquaredHinge { reduction, margin: given.margin.unwrap_or(SquaredHinge::default().margin) })
        }
        LossName::KlDiv => Box::new(KlDiv { reduction, log_target: given.log_target, temperature, z_loss, softcap }),
        LossName::LogitDivergence => {
            let divergence = given.divergence.map(Into::into).unwrap_or_default();
            Box::new(LogitDivergence { reduction, divergence, temperature, z_loss, softcap })
        }
        LossName::Dice => Box::new(dice(given, ignore_index, reduction)),
        LossName::GeneralizedDice => {
            let default = GeneralizedDice::default();
            Box::new(GeneralizedDice {
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
            Box::new(Tversky {
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
            Box::new(DiceCrossEntropy {
                dice: dice(given, ignore_index, reduction),
                lambda_dice: given.lambda_dice.unwrap_or(default.lambda_dice),
                lambda_cross_entropy: given.lambda_ce.unwrap_or(default.lambda_cross_entropy),
            })
        }
        LossName::DiceFocal => {
            let default = DiceFocal::default();
            Box::new(DiceFocal {
                dice: dice(given, ignore_index, reduction),
                gamma: given.gamma.unwrap_or(default.gamma),
                lambda_dice: given.lambda_dice.unwrap_or(default.lambda_dice),
                lambda_focal: given.lambda_focal.unwrap_or(default.lambda_focal),
            })
        }
    }
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
