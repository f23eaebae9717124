//! Focal loss over sigmoids.

use crate::definition::{Definition, Loss, sealed};
use crate::domain::{Domain, Domains};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program};
use crate::{Reduction, Result, checks};

/// Focal loss of logits against targets in [0, 1], in nats, one loss an element: multi-label detection.
///
/// For a logit `x`, target `t`, `p = sigmoid(x)`, and `w` the product of the element's class and row weight:
///
/// ```text
/// ce      = t * softplus(-x)  +  (1 - t) * softplus(x)
/// miss    = p * (1 - t)  +  (1 - p) * t
/// alpha_t = alpha * t  +  (1 - alpha) * (1 - t), or 1 without alpha
/// loss    = w * alpha_t * miss^gamma * ce
/// ```
///
/// The mean divides by the number of elements. A target outside [0, 1] is an error. At `gamma` below 1 and `miss` 0 the gradient is 0.
///
/// Source: `torchvision.ops.sigmoid_focal_loss`; Lin et al., Focal Loss for Dense Object Detection (2017).
#[derive(Debug, Clone, PartialEq)]
pub struct SigmoidFocal {
    /// How the losses become one number.
    pub reduction: Reduction,
    /// Exponent of `miss`; 0 or greater.
    pub gamma: f32,
    /// Weight of a positive, in [0, 1]; a negative has `1 - alpha`. Default: none.
    pub alpha: Option<f32>,
}

impl Default for SigmoidFocal {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, gamma: 2.0, alpha: None }
    }
}

impl sealed::Sealed for SigmoidFocal {}

impl Loss for SigmoidFocal {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::not_negative("gamma", self.gamma)?;
        self.alpha.map_or(Ok(()), |alpha| checks::unit_interval("alpha", alpha))
    }

    fn definition(&self) -> Definition<'_> {
        let domains = Domains::of_targets(Domain::UnitInterval);
        Definition { domains, ..Definition::of_elements("sigmoid_focal", self.reduction) }
    }
}

impl GpuLoss for SigmoidFocal {
    fn program(&self) -> Program {
        let (present, absent) = self.alpha.map_or((1.0, 1.0), |alpha| (alpha, 1.0 - alpha));
        Program::new(LossFragment::SigmoidFocal).with_options([self.gamma, present, absent, 0.0])
    }
}
