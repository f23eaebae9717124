//! Categorical cross-entropy against class indices.

use crate::definition::{Definition, Loss, sealed};
use crate::gpu::program::{GpuLoss, Program, softmax_options};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Reduction, Result, checks};

/// Categorical cross-entropy of logits against class indices, in nats.
///
/// For a row of logits `x` (K classes, already capped and divided by the temperature), target `t`, class weights `w`, row
/// weight `r` and label smoothing `e`:
///
/// ```text
/// log p_c = x_c - logsumexp(x)
/// loss    = r * ( (1 - e) * w_t * -log p_t  +  e/K * sum_c w_c * -log p_c  +  z_loss * logsumexp(x)^2 )
/// ```
///
/// The mean divides the sum of the losses by the sum of `r * w_t` over the rows that are not ignored.
/// An ignored row has loss 0 and gradient 0, whatever its logits are.
///
/// Source: `torch.nn.functional.cross_entropy`; `z_loss` as in Chowdhery et al., PaLM (2022), section 5; `softcap` as in
/// Gemma 2 (2024), section 2.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy {
    /// How row losses become one number.
    pub reduction: Reduction,
    /// Rows with one of these targets are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
    /// Share `e` of the target distribution that is spread evenly over the classes, in [0, 1].
    pub label_smoothing: f32,
    /// Divides every logit; greater than 0.
    pub temperature: f32,
    /// Factor of the squared log-partition; 0 or greater.
    pub z_loss: f32,
    /// Replaces every logit `x` by `softcap * tanh(x / softcap)`, before the temperature; greater than 0. Default: none.
    pub softcap: Option<f32>,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: Vec::new(),
            label_smoothing: 0.0,
            temperature: 1.0,
            z_loss: 0.0,
            softcap: None,
        }
    }
}

impl sealed::Sealed for CrossEntropy {}

impl Loss for CrossEntropy {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)?;
        checks::unit_interval("label_smoothing", self.label_smoothing)?;
        checks::temperature(self.temperature)?;
        checks::not_negative("z_loss", self.z_loss)?;
        checks::softcap(self.softcap)
    }

    fn definition(&self) -> Definition<'_> {
        Definition::of_classes("cross_entropy", self.reduction, &self.ignore_index)
    }
}

impl GpuLoss for CrossEntropy {
    fn program(&self) -> Program {
        Program {
            switches: Switches::NONE.with(Switch::Smoothing, self.label_smoothing > 0.0),
            softcap: self.softcap,
            ..Program::new(LossFragment::CrossEntropy)
        }
        .with_options(softmax_options(self.temperature, self.label_smoothing, self.z_loss))
    }
}
