//! Focal loss over a softmax.

use crate::definition::{Definition, Loss, sealed};
use crate::gpu::LossFragment;
use crate::gpu::program::{GpuLoss, Program, softmax_options};
use crate::{Reduction, Result, checks};

/// Focal loss of logits against class indices, in nats: cross-entropy that pays less attention to what is right already.
///
/// For a row of logits `x` (already capped and divided by the temperature), target `t`, class weights `w` and row weight `r`:
///
/// ```text
/// p_t  = softmax(x)_t
/// loss = r * ( w_t * (1 - p_t)^gamma * -log p_t  +  z_loss * logsumexp(x)^2 )
/// ```
///
/// With `gamma` 0 this is [`CrossEntropy`](crate::CrossEntropy), and so is its mean: over the sum of `r * w_t` over the rows
/// that are not ignored. At `gamma` below 1 and a probability of 1 the gradient is 0.
///
/// Source: Lin et al., Focal Loss for Dense Object Detection (2017), equation 5, over a softmax.
#[derive(Debug, Clone, PartialEq)]
pub struct Focal {
    /// How row losses become one number.
    pub reduction: Reduction,
    /// Rows with one of these targets are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
    /// Exponent of `1 - p_t`; 0 or greater.
    pub gamma: f32,
    /// Divides every logit; greater than 0.
    pub temperature: f32,
    /// Factor of the squared log-partition; 0 or greater.
    pub z_loss: f32,
    /// Replaces every logit `x` by `softcap * tanh(x / softcap)`, before the temperature; greater than 0. Default: none.
    pub softcap: Option<f32>,
}

impl Default for Focal {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: Vec::new(),
            gamma: 2.0,
            temperature: 1.0,
            z_loss: 0.0,
            softcap: None,
        }
    }
}

impl sealed::Sealed for Focal {}

impl Loss for Focal {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)?;
        checks::not_negative("gamma", self.gamma)?;
        checks::temperature(self.temperature)?;
        checks::not_negative("z_loss", self.z_loss)?;
        checks::softcap(self.softcap)
    }

    fn definition(&self) -> Definition<'_> {
        Definition::of_classes("focal", self.reduction, &self.ignore_index)
    }
}

impl GpuLoss for Focal {
    fn program(&self) -> Program {
        Program { softcap: self.softcap, ..Program::new(LossFragment::Focal) }
            .with_options(softmax_options(self.temperature, 0.0, self.z_loss))
            .with_more_options([self.gamma, 0.0, 0.0, 0.0])
    }
}
