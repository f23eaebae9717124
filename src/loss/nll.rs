//! Negative log-likelihood from log-probabilities.

use crate::definition::{Definition, Loss, sealed};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Reduction, Result, checks};

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

impl sealed::Sealed for Nll {}

impl Loss for Nll {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)
    }

    fn definition(&self) -> Definition<'_> {
        Definition::of_classes("nll", self.reduction, &self.ignore_index)
    }
}

impl GpuLoss for Nll {
    fn program(&self) -> Program {
        Program::new(LossFragment::Nll)
    }
}
