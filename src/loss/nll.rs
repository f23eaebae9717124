//! Negative log-likelihood from log-probabilities.

use crate::Result;
use crate::gpu::program::{Program, RowLoss};
use crate::gpu::{RowFragment, Switches};
use crate::reduction::{ClassIndexLoss, Reduction, sealed, validate_ignore_index};

/// Negative log-likelihood of class indices, from log-probabilities, in nats.
///
/// For a row of log-probabilities `x`, target `t`, class weights `w` and row weight `r`:
///
/// ```text
/// loss = r * w_t * -x_t
/// ```
///
/// The mean divides the sum of the losses by the sum of `r * w_t` over the rows that are not ignored.
///
/// Source: `torch.nn.functional.nll_loss`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Nll {
    /// How row losses become one number.
    pub reduction: Reduction,
    /// Rows with one of these targets are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
}

impl Nll {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) names the option, its value and its domain.
    pub fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        validate_ignore_index(&self.ignore_index)
    }
}

impl sealed::Sealed for Nll {}

impl ClassIndexLoss for Nll {
    fn validate(&self) -> Result<()> {
        Self::validate(self)
    }

    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn ignore_index(&self) -> &[i32] {
        &self.ignore_index
    }
}

impl RowLoss for Nll {
    fn program(&self) -> Program {
        Program { row: RowFragment::Nll, switches: Switches::default(), options: [0.0; 8] }
    }
}
