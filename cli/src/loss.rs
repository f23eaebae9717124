//! The losses that the command line accepts.

use clap::ValueEnum;
use logloss::{CrossEntropy, Loss as _, Nll, Reduction};

/// A loss by the name that the command line gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    /// Cross-entropy of logits, as `torch.nn.functional.cross_entropy`
    CrossEntropy,
    /// Negative log-likelihood of log-probabilities, as `torch.nn.functional.nll_loss`
    Nll,
}

/// How row losses become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReductionName {
    /// Sum of the losses over the sum of the weights of the rows that count
    Mean,
    /// Sum of the losses
    Sum,
    /// No reduction: see --out-loss
    None,
}

impl ReductionName {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::None => "none",
        }
    }
}

/// A loss with its options.
#[derive(Debug, Clone)]
pub enum Loss {
    /// Cross-entropy.
    CrossEntropy(CrossEntropy),
    /// Negative log-likelihood.
    Nll(Nll),
}

impl Loss {
    /// Its name on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy(_) => "cross-entropy",
            Self::Nll(_) => "nll",
        }
    }

    /// Targets of rows that are left out.
    pub fn ignore_index(&self) -> &[i32] {
        match self {
            Self::CrossEntropy(loss) => &loss.ignore_index,
            Self::Nll(loss) => &loss.ignore_index,
        }
    }

    /// The same loss with another reduction.
    pub fn reduced(&self, reduction: Reduction) -> Self {
        match self {
            Self::CrossEntropy(loss) => Self::CrossEntropy(CrossEntropy { reduction, ..loss.clone() }),
            Self::Nll(loss) => Self::Nll(Nll { reduction, ..loss.clone() }),
        }
    }

    /// Checks every option.
    ///
    /// # Errors
    /// An option lies outside its domain.
    pub fn validate(&self) -> logloss::Result<()> {
        match self {
            Self::CrossEntropy(loss) => loss.validate(),
            Self::Nll(loss) => loss.validate(),
        }
    }
}
