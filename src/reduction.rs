//! How losses become one number.

use crate::checks::invalid;
use crate::{Error, Result};

/// How unreduced losses, one a row, an element or a region, become one number. The gradient is that of the reduced loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Reduction {
    /// No reduction; the gradient is that of the sum.
    None,
    /// Sum of the losses.
    Sum,
    /// The mean that the loss defines, as in PyTorch: see [`Mean`](crate::Mean). NaN when nothing counts (every row ignored, an
    /// empty batch), with a gradient of zeros.
    #[default]
    Mean,
    /// As [`Mean`](Self::Mean), but 0 instead of NaN when nothing counts, as in Keras and Liger.
    MeanOrZero,
    /// Sum of the losses over the number of samples, the first dimension: [`KlDiv`](crate::KlDiv) only.
    BatchMean,
    /// Sum of the losses over the caller's own denominator, for gradient accumulation and sharded batches.
    MeanOver(f32),
}

impl Reduction {
    /// Fails for a denominator that cannot divide, and for the mean over samples.
    pub(crate) fn validate(self) -> Result<()> {
        match self {
            Self::BatchMean => {
                Err(invalid("reduction", "BatchMean", "another one: only kl_div has a mean over samples"))
            }
            _ => self.validate_with_batch_mean(),
        }
    }

    /// Fails for a denominator that cannot divide.
    pub(crate) fn validate_with_batch_mean(self) -> Result<()> {
        match self {
            Self::MeanOver(d) if !(d.is_finite() && d > 0.0) => Err(Error::InvalidOption {
                option: "reduction",
                value: format!("MeanOver({d})"),
                domain: "over a denominator that is finite and greater than 0",
            }),
            _ => Ok(()),
        }
    }
}
