//! Kullback-Leibler divergence of a softmax from a target distribution.

use crate::definition::{Definition, Loss, Weights, sealed};
use crate::gpu::program::{GpuLoss, Program, softmax_options};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Reduction, Result, checks};

/// Kullback-Leibler divergence of the softmax of logits from a target distribution, in nats.
///
/// For a row of logits `x` (K classes, already capped and divided by the temperature), targets `t` of the same shape and row
/// weight `r`, one loss a class:
///
/// ```text
/// log p_c = x_c - logsumexp(x)
/// loss_c  = r * ( t_c * (log t_c - log p_c)  +  z_loss / K * logsumexp(x)^2 )
/// ```
///
/// A class whose target is 0 contributes nothing, whatever its logit. The mean divides by the number of logits;
/// [`Reduction::BatchMean`] divides by the number of samples and is the divergence proper.
///
/// Source: `torch.nn.functional.kl_div` of `log_softmax(x)`.
#[derive(Debug, Clone, PartialEq)]
pub struct KlDiv {
    /// How the losses become one number.
    pub reduction: Reduction,
    /// The targets are log-probabilities, `log t_c`.
    pub log_target: bool,
    /// Divides every logit; greater than 0.
    pub temperature: f32,
    /// Factor of the squared log-partition; 0 or greater.
    pub z_loss: f32,
    /// Replaces every logit `x` by `softcap * tanh(x / softcap)`, before the temperature; greater than 0. Default: none.
    pub softcap: Option<f32>,
}

impl Default for KlDiv {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, log_target: false, temperature: 1.0, z_loss: 0.0, softcap: None }
    }
}

impl sealed::Sealed for KlDiv {}

impl Loss for KlDiv {
    fn validate(&self) -> Result<()> {
        self.reduction.validate_with_batch_mean()?;
        checks::temperature(self.temperature)?;
        checks::not_negative("z_loss", self.z_loss)?;
        checks::softcap(self.softcap)
    }

    fn definition(&self) -> Definition<'_> {
        Definition {
            weights: Weights { class: false, positive: false, row: true },
            ..Definition::of_elements("kl_div", self.reduction)
        }
    }
}

impl GpuLoss for KlDiv {
    fn program(&self) -> Program {
        Program {
            switches: Switches::NONE.with(Switch::LogTarget, self.log_target),
            softcap: self.softcap,
            ..Program::new(LossFragment::KlDiv)
        }
        .with_options(softmax_options(self.temperature, 0.0, self.z_loss))
    }
}
