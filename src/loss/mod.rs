//! The public losses, one a file: options, formula, meaning.

mod bce;
mod bce_with_logits;
mod cross_entropy;
mod dice;
mod dice_cross_entropy;
mod dice_focal;
mod focal;
mod generalized_dice;
mod hinge;
mod kl_div;
mod logit_divergence;
mod mse;
mod multi_margin;
mod nll;
mod sigmoid_focal;
mod soft_cross_entropy;
mod squared_hinge;
mod tversky;

pub use bce::Bce;
pub use bce_with_logits::BceWithLogits;
pub use cross_entropy::CrossEntropy;
pub use dice::{Activation, Dice};
pub use dice_cross_entropy::DiceCrossEntropy;
pub use dice_focal::DiceFocal;
pub use focal::Focal;
pub use generalized_dice::{ClassBalance, GeneralizedDice};
pub use hinge::Hinge;
pub use kl_div::KlDiv;
pub use logit_divergence::{Divergence, LogitDivergence};
pub use mse::Mse;
pub use multi_margin::MultiMargin;
pub use nll::Nll;
pub use sigmoid_focal::SigmoidFocal;
pub use soft_cross_entropy::SoftCrossEntropy;
pub use squared_hinge::SquaredHinge;
pub use tversky::Tversky;
