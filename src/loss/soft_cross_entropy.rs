//! Categorical cross-entropy against class probabilities.

use crate::definition::{Definition, Loss, sealed};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program, softmax_options};
use crate::{Reduction, Result, checks};

/// Categorical cross-entropy of logits against class probabilities, in nats.
///
/// For a row of logits `x` (K classes, already capped and divided by the temperature), targets `t` of the same shape, class
/// weights `w`, row weight `r` and label smoothing `e`:
///
/// ```text
/// log p_c = x_c - logsumexp(x)
/// loss    = r * ( sum_c w_c * ((1 - e) * t_c + e/K) * -log p_c  +  z_loss * logsumexp(x)^2 )
/// ```
///
/// The targets need not sum to 1. The mean divides by the number of rows, even with weights. A class whose target is 0
/// contributes nothing, even at a logit of -inf.
///
/// Source: `torch.nn.functional.cross_entropy` with class probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftCrossEntropy {
    /// How row losses become one number.
    pub reduction: Reduction,
    /// Share `e` of the target distribution that is spread evenly over the classes, in [0, 1].
    pub label_smoothing: f32,
    /// Divides every logit; greater than 0.
    pub temperature: f32,
    /// Factor of the squared log-partition; 0 or greater.
    pub z_loss: f32,
    /// Replaces every logit `x` by `softcap * tanh(x / softcap)`, before the temperature; greater than 0. Default: none.
    pub softcap: Option<f32>,
}

impl Default for SoftCrossEntropy {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, label_smoothing: 0.0, temperature: 1.0, z_loss: 0.0, softcap: None }
    }
}

impl sealed::Sealed for SoftCrossEntropy {}

impl Loss for SoftCrossEntropy {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::unit_interval("label_smoothing", self.label_smoothing)?;
        checks::temperature(self.temperature)?;
        checks::not_negative("z_loss", self.z_loss)?;
        checks::softcap(self.softcap)
    }

    fn definition(&self) -> Definition<'_> {
        Definition::of_rows("soft_cross_entropy", self.reduction)
    }
}

impl GpuLoss for SoftCrossEntropy {
    fn program(&self) -> Program {
        Program { softcap: self.softcap, ..Program::new(LossFragment::SoftCrossEntropy) }.with_options(softmax_options(
            self.temperature,
            self.label_smoothing,
            self.z_loss,
        ))
    }
}
