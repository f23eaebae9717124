//! Binary cross-entropy from probabilities.

use crate::definition::{Definition, Loss, sealed};
use crate::domain::{Domain, Domains};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Reduction, Result};

/// Binary cross-entropy of probabilities against targets in [0, 1], in nats, one loss an element.
///
/// For a probability `p`, target `t`, and `w` the product of the element's class and row weight:
///
/// ```text
/// loss  = w * -( t * max(log p, -100)  +  (1 - t) * max(log(1 - p), -100) )
/// dloss = w * (p - t) / max(p * (1 - p), 1e-12)
/// ```
///
/// The mean divides by the number of elements, even with weights. A probability or a target outside [0, 1] is an error.
/// From logits, [`BceWithLogits`](crate::BceWithLogits) is more accurate.
///
/// Source: `torch.nn.functional.binary_cross_entropy`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bce {
    /// How the losses become one number.
    pub reduction: Reduction,
}

impl sealed::Sealed for Bce {}

impl Loss for Bce {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()
    }

    fn definition(&self) -> Definition<'_> {
        let domains = Domains { input: Domain::UnitInterval, target: Domain::UnitInterval };
        Definition { domains, ..Definition::of_elements("bce", self.reduction) }
    }
}

impl GpuLoss for Bce {
    fn program(&self) -> Program {
        Program::new(LossFragment::Bce)
    }
}
