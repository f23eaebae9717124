//! How row losses become one number, and the checks that every loss's options share.

use crate::{Error, Result};

/// How per-row losses become one number. The gradient is that of the reduced loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Reduction {
    /// One loss a row; the gradient is that of their sum.
    None,
    /// Sum of the row losses.
    Sum,
    /// Sum of the row losses over the sum of the weights of the rows that count, as in PyTorch. NaN when that sum is 0
    /// (every row ignored, an empty batch), with a gradient of zeros.
    #[default]
    Mean,
    /// As [`Mean`](Self::Mean), but 0 instead of NaN when nothing counts, as in Keras and Liger.
    MeanOrZero,
    /// Sum of the row losses over the caller's own denominator, for gradient accumulation and sharded batches.
    MeanOver(f32),
}

impl Reduction {
    pub(crate) fn validate(self) -> Result<()> {
        match self {
            Self::MeanOver(d) if !(d.is_finite() && d > 0.0) => Err(invalid(
                "reduction",
                format!("MeanOver({d})"),
                "over a denominator that is finite and greater than 0",
            )),
            _ => Ok(()),
        }
    }
}

/// Largest number of ignore indices: they travel in a uniform block.
pub const MAX_IGNORE_INDICES: usize = 16;

pub(crate) fn validate_ignore_index(list: &[i32]) -> Result<()> {
    if list.len() > MAX_IGNORE_INDICES {
        return Err(invalid("ignore_index", format!("a list of {}", list.len()), "a list of at most 16"));
    }
    Ok(())
}

/// A loss of rows against one class index each: the options that every engine needs, whatever the formula.
///
/// Sealed: `ARCHITECTURE.md` says how to add a loss.
pub trait ClassIndexLoss: sealed::Sealed {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the option, its value and its domain.
    fn validate(&self) -> Result<()>;

    /// How row losses become one number.
    fn reduction(&self) -> Reduction;

    /// Targets whose rows are left out.
    fn ignore_index(&self) -> &[i32];
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Fails for a temperature that logits cannot be divided by.
pub(crate) fn validate_temperature(temperature: f32) -> Result<()> {
    if temperature.is_finite() && temperature > 0.0 {
        return Ok(());
    }
    Err(invalid("temperature", temperature, "finite and greater than 0"))
}

pub(crate) fn invalid(option: &'static str, value: impl ToString, domain: &'static str) -> Error {
    Error::InvalidOption { option, value: value.to_string(), domain }
}
