//! What losses and reductions are called on the command line.

use std::fmt;

use clap::ValueEnum;

/// A loss by the name that the command line gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    /// Cross-entropy of logits against class indices, as `torch.nn.functional.cross_entropy`
    CrossEntropy,
    /// Cross-entropy of logits against class probabilities
    SoftCrossEntropy,
    /// Negative log-likelihood of log-probabilities against class indices, as `torch.nn.functional.nll_loss`
    Nll,
    /// Focal loss over a softmax against class indices
    Focal,
    /// Multi-class hinge loss of scores against class indices, as `torch.nn.functional.multi_margin_loss`
    MultiMargin,
    /// Binary cross-entropy of probabilities, as `torch.nn.functional.binary_cross_entropy`
    Bce,
    /// Binary cross-entropy of logits, as `torch.nn.functional.binary_cross_entropy_with_logits`
    BceWithLogits,
    /// Focal loss over sigmoids, as `torchvision.ops.sigmoid_focal_loss`
    SigmoidFocal,
    /// Squared error, as `torch.nn.functional.mse_loss`
    Mse,
    /// Binary hinge loss of scores against -1 and +1
    Hinge,
    /// Squared binary hinge loss of scores against -1 and +1
    SquaredHinge,
    /// Kullback-Leibler divergence of the logits' softmax, as `torch.nn.functional.kl_div` of `log_softmax`
    KlDiv,
    /// Divergence between the softmax of the logits and that of the targets, which are logits too
    LogitDivergence,
    /// Dice or Jaccard loss of a segmentation, as `monai.losses.DiceLoss`
    Dice,
    /// Generalised Dice loss, as `monai.losses.GeneralizedDiceLoss`
    GeneralizedDice,
    /// Tversky loss, as `monai.losses.TverskyLoss`
    Tversky,
    /// Dice loss plus cross-entropy, as `monai.losses.DiceCELoss`
    DiceCrossEntropy,
    /// Dice loss plus focal loss, as `monai.losses.DiceFocalLoss`
    DiceFocal,
}

impl LossName {
    /// What its input is where that is already what a log-softmax would be taken for.
    pub const fn finished_input(self) -> Option<&'static str> {
        match self {
            Self::Nll => Some("log-probabilities"),
            Self::Bce => Some("probabilities"),
            _ => None,
        }
    }

    /// Whether it adds two losses of different shapes, so that there is no unreduced loss.
    pub const fn is_sum_of_two(self) -> bool {
        matches!(self, Self::DiceCrossEntropy | Self::DiceFocal)
    }

    /// The unit of the loss, with a blank before it; empty for a loss that is a mere number.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::CrossEntropy
            | Self::SoftCrossEntropy
            | Self::Nll
            | Self::Focal
            | Self::Bce
            | Self::BceWithLogits
            | Self::SigmoidFocal
            | Self::KlDiv
            | Self::LogitDivergence => " nats",
            Self::MultiMargin
            | Self::Mse
            | Self::Hinge
            | Self::SquaredHinge
            | Self::Dice
            | Self::GeneralizedDice
            | Self::Tversky
            | Self::DiceCrossEntropy
            | Self::DiceFocal => "",
        }
    }
}

impl fmt::Display for LossName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// How unreduced losses become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReductionName {
    /// The mean that the loss defines: of class indices over the sum of the weights of the rows that count, else over the number
    /// of unreduced losses
    Mean,
    /// Sum of the losses
    Sum,
    /// No reduction: see --out-loss
    None,
    /// Sum of the losses over the first dimension of the logits: kl-div only
    Batchmean,
}

impl fmt::Display for ReductionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

/// The name that the command line knows a value by.
fn display(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value.to_possible_value() {
        Some(value) => f.pad(value.get_name()),
        None => Ok(()),
    }
}
