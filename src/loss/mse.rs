//! Mean squared error.

use crate::definition::{Definition, Loss, sealed};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Reduction, Result};

/// Squared error of predictions against targets, one loss an element.
///
/// For a prediction `x`, target `t`, and `w` the product of the element's class and row weight:
///
/// ```text
/// loss  = w * (x - t)^2
/// dloss = w * 2 * (x - t)
/// ```
///
/// The mean divides by the number of elements, even with weights.
///
/// Source: `torch.nn.functional.mse_loss`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mse {
    /// How the losses become one number.
    pub reduction: Reduction,
}

impl sealed::Sealed for Mse {}

impl Loss for Mse {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()
    }

    fn definition(&self) -> Definition<'_> {
        Definition::of_elements("mse", self.reduction)
    }
}

impl GpuLoss for Mse {
    fn program(&self) -> Program {
        Program::new(LossFragment::Mse)
    }
}
