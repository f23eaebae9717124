//! Binary cross-entropy from logits.

use crate::definition::{Definition, Loss, Weights, sealed};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Reduction, Result};

/// Binary cross-entropy of logits against targets, in nats, one loss an element: multi-label classification.
///
/// For a logit `x`, target `t`, positive weight `q` of its class, and `w` the product of its class and row weight:
///
/// ```text
/// loss  = w * ( q * t * softplus(-x)  +  (1 - t) * softplus(x) )
/// dloss = w * ( (1 - t) * sigmoid(x)  -  q * t * sigmoid(-x) )
/// ```
///
/// The mean divides by the number of elements, even with weights. Targets may be any number, as in PyTorch.
///
/// Source: `torch.nn.functional.binary_cross_entropy_with_logits`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BceWithLogits {
    /// How the losses become one number.
    pub reduction: Reduction,
}

impl sealed::Sealed for BceWithLogits {}

impl Loss for BceWithLogits {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()
    }

    fn definition(&self) -> Definition<'_> {
        Definition {
            weights: Weights { class: true, positive: true, row: true },
            ..Definition::of_elements("bce_with_logits", self.reduction)
        }
    }
}

impl GpuLoss for BceWithLogits {
    fn program(&self) -> Program {
        Program::new(LossFragment::BceWithLogits)
    }
}
