//! Squared binary hinge loss.

use crate::definition::{Definition, Loss, sealed};
use crate::domain::{Domain, Domains};
use crate::gpu::program::{GpuLoss, Program};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Reduction, Result, checks};

/// Squared binary hinge loss of scores against labels of -1 or +1, one loss an element.
///
/// For a score `x`, label `y`, and `w` the product of the element's class and row weight:
///
/// ```text
/// loss  = w * max(0, margin - y * x)^2
/// dloss = w * (-2 * y * max(0, margin - y * x))
/// ```
///
/// The mean divides by the number of elements. At the corner the gradient is 0. A label other than -1 and +1 is an error.
///
/// Source: Rosasco et al., Are Loss Functions All the Same? (2004).
#[derive(Debug, Clone, PartialEq)]
pub struct SquaredHinge {
    /// How the losses become one number.
    pub reduction: Reduction,
    /// By how much a score should be on the right side of 0.
    pub margin: f32,
}

impl Default for SquaredHinge {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, margin: 1.0 }
    }
}

impl sealed::Sealed for SquaredHinge {}

impl Loss for SquaredHinge {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::finite("margin", self.margin)
    }

    fn definition(&self) -> Definition<'_> {
        let domains = Domains::of_targets(Domain::Sign);
        Definition { domains, ..Definition::of_elements("squared_hinge", self.reduction) }
    }
}

impl GpuLoss for SquaredHinge {
    fn program(&self) -> Program {
        Program { switches: Switches::NONE.with(Switch::Squared, true), ..Program::new(LossFragment::Hinge) }
            .with_options([self.margin, 0.0, 0.0, 0.0])
    }
}
