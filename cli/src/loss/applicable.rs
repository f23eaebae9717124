//! Which loss has which options.

use clap::ValueEnum as _;

use super::LossName::{
    self, Bce, BceWithLogits, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Focal, GeneralizedDice, Hinge, KlDiv,
    LogitDivergence, Mse, MultiMargin, Nll, SigmoidFocal, SoftCrossEntropy, SquaredHinge, Tversky,
};
use super::LossOptions;
use crate::failure::{Failure, Outcome};

/// Losses that compare with class indices, always or where they are given them.
const OF_CLASSES: &[LossName] =
    &[CrossEntropy, Nll, Focal, MultiMargin, Dice, GeneralizedDice, Tversky, DiceCrossEntropy, DiceFocal];
const OF_A_SOFTMAX: &[LossName] = &[CrossEntropy, SoftCrossEntropy, Focal, KlDiv, LogitDivergence];
const OF_REGIONS: &[LossName] = &[Dice, GeneralizedDice, Tversky, DiceCrossEntropy, DiceFocal];
const WITH_DICE: &[LossName] = &[Dice, DiceCrossEntropy, DiceFocal];
const WITH_CLASS_WEIGHTS: &[LossName] = &[
    CrossEntropy,
    SoftCrossEntropy,
    Nll,
    Focal,
    MultiMargin,
    Bce,
    BceWithLogits,
    SigmoidFocal,
    Mse,
    Hinge,
    SquaredHinge,
    Dice,
    DiceCrossEntropy,
    DiceFocal,
];

/// An option, whether it is given, and the losses that have it.
struct Rule {
    option: &'static str,
    given: fn(&LossOptions) -> bool,
    losses: &'static [LossName],
}

const fn rule(option: &'static str, given: fn(&LossOptions) -> bool, losses: &'static [LossName]) -> Rule {
    Rule { option, given, losses }
}

const RULES: [Rule; 26] = [
    rule("--weight", |o| o.weight.is_some(), WITH_CLASS_WEIGHTS),
    rule("--pos-weight", |o| o.pos_weight.is_some(), &[BceWithLogits]),
    rule("--ignore-index", |o| !o.ignore_index.is_empty(), OF_CLASSES),
    rule("--no-ignore-index", |o| o.no_ignore_index, OF_CLASSES),
    rule("--label-smoothing", |o| o.label_smoothing.is_some(), &[CrossEntropy, SoftCrossEntropy]),
    rule("--z-loss", |o| o.z_loss.is_some(), OF_A_SOFTMAX),
    rule("--softcap", |o| o.softcap.is_some(), OF_A_SOFTMAX),
    rule("--temperature", |o| o.temperature.is_some(), OF_A_SOFTMAX),
    rule("--gamma", |o| o.gamma.is_some(), &[Focal, SigmoidFocal, DiceFocal]),
    rule("--alpha", |o| o.alpha.is_some(), &[SigmoidFocal, Tversky]),
    rule("--beta", |o| o.beta.is_some(), &[Tversky]),
    rule("--margin", |o| o.margin.is_some(), &[Hinge, SquaredHinge, MultiMargin]),
    rule("--p", |o| o.p.is_some(), &[MultiMargin]),
    rule("--log-target", |o| o.log_target, &[KlDiv]),
    rule("--divergence", |o| o.divergence.is_some(), &[LogitDivergence]),
    rule("--activation", |o| o.activation.is_some(), OF_REGIONS),
    rule("--include-background", |o| o.include_background.is_some(), OF_REGIONS),
    rule("--squared-pred", |o| o.squared_pred, WITH_DICE),
    rule("--jaccard", |o| o.jaccard, WITH_DICE),
    rule("--batch", |o| o.batch, OF_REGIONS),
    rule("--smooth-nr", |o| o.smooth_nr.is_some(), OF_REGIONS),
    rule("--smooth-dr", |o| o.smooth_dr.is_some(), OF_REGIONS),
    rule("--balance", |o| o.balance.is_some(), &[GeneralizedDice]),
    rule("--lambda-dice", |o| o.lambda_dice.is_some(), &[DiceCrossEntropy, DiceFocal]),
    rule("--lambda-ce", |o| o.lambda_ce.is_some(), &[DiceCrossEntropy]),
    rule("--lambda-focal", |o| o.lambda_focal.is_some(), &[DiceFocal]),
];

/// Checks that the loss has every option that is given.
///
/// # Errors
/// It has not; the message says which losses have.
pub(super) fn check(name: LossName, options: &LossOptions) -> Outcome<()> {
    match RULES.iter().find(|rule| (rule.given)(options) && !rule.losses.contains(&name)) {
        None => Ok(()),
        Some(rule) => {
            let losses: Vec<_> = rule.losses.iter().map(ToString::to_string).collect();
            Err(Failure::Usage(format!(
                "{} has no meaning for --loss {name}; the losses that have it: {}",
                rule.option,
                losses.join(", ")
            )))
        }
    }
}

/// A table of the losses with their options, for the help.
pub fn options_by_loss() -> String {
    /// Columns of a name, and of a line.
    const NAME: usize = 22;
    const LINE: usize = 98;
    let mut table = String::new();
    for name in LossName::value_variants() {
        let mut line = format!("  {name:<width$}", width = NAME - 2);
        // Who ignores an index can also ignore none.
        let rules = RULES.iter().filter(|rule| rule.losses.contains(name) && rule.option != "--no-ignore-index");
        for Rule { option, .. } in rules {
            if line.len() + option.len() + 1 > LINE {
                table += line.trim_end();
                table.push('\n');
                line = " ".repeat(NAME);
            }
            line += option;
            line.push(' ');
        }
        table += line.trim_end();
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use logloss::{Reduction, TargetKind};

    use super::*;
    use crate::loss::build::build;

    #[test]
    fn every_loss_has_a_name() {
        let names: Vec<_> = LossName::value_variants().iter().map(ToString::to_string).collect();
        for loss in logloss::every_loss() {
            let name = loss.definition().name.replace('_', "-");
            assert!(names.contains(&name), "{name}");
        }
    }

    /// The library refuses weights that a loss has no use for; here the refusal comes before any file is opened.
    #[test]
    fn weights_and_ignore_indices_are_those_of_the_library() {
        for &name in LossName::value_variants() {
            let loss = build(name, &LossOptions::default(), &[], Reduction::Sum);
            let definition = loss.definition();
            let has = |option| RULES.iter().any(|rule| rule.option == option && rule.losses.contains(&name));
            assert_eq!(has("--weight"), definition.weights.class, "{name}");
            assert_eq!(has("--pos-weight"), definition.weights.positive, "{name}");
            assert_eq!(has("--ignore-index"), definition.targets != TargetKind::Dense, "{name}");
            assert_eq!(definition.name.replace('_', "-"), name.to_string());
        }
    }
}
