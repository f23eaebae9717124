//! Categorical cross-entropy against class indices.

use crate::Result;
use crate::gpu::program::{Program, RowLoss};
use crate::gpu::{RowFragment, Switch, Switches};
use crate::reduction::{ClassIndexLoss, Reduction, invalid, sealed, validate_ignore_index, validate_temperature};

/// Categorical cross-entropy of logits against class indices, in nats.
///
/// For a row of logits `x` (K classes, already divided by the temperature), target `t`, class weights `w`, row weight `r`
/// and label smoothing `e`:
///
/// ```text
/// log p_c = x_c - logsumexp(x)
/// loss    = r * ( (1 - e) * w_t * -log p_t  +  e/K * sum_c w_c * -log p_c  +  z_loss * logsumexp(x)^2 )
/// ```
///
/// The mean divides the sum of the losses by the sum of `r * w_t` over the rows that are not ignored.
/// An ignored row has loss 0 and gradient 0, whatever its logits are.
///
/// Source: `torch.nn.functional.cross_entropy`; `z_loss` as in Chowdhery et al., PaLM (2022), section 5.
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
}

impl Default for CrossEntropy {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
            ignore_index: Vec::new(),
            label_smoothing: 0.0,
            temperature: 1.0,
            z_loss: 0.0,
        }
    }
}

impl CrossEntropy {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) names the option, its value and its domain.
    pub fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        validate_ignore_index(&self.ignore_index)?;
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return Err(invalid("label_smoothing", self.label_smoothing, "in [0, 1]"));
        }
        validate_temperature(self.temperature)?;
        if !(self.z_loss.is_finite() && self.z_loss >= 0.0) {
            return Err(invalid("z_loss", self.z_loss, "finite and at least 0"));
        }
        Ok(())
    }
}

impl sealed::Sealed for CrossEntropy {}

impl ClassIndexLoss for CrossEntropy {
    fn validate(&self) -> Result<()> {
        Self::validate(self)
    }

    fn reduction(&self) -> Reduction {
        self.reduction
    }

    fn ignore_index(&self) -> &[i32] {
        &self.ignore_index
    }
}

impl RowLoss for CrossEntropy {
    fn program(&self) -> Program {
        let inverse_temperature = 1.0 / self.temperature;
        Program {
            row: RowFragment::CrossEntropy,
            switches: Switches::default().with(Switch::Smoothing, self.label_smoothing > 0.0),
            options: [
                std::f32::consts::LOG2_E * inverse_temperature,
                inverse_temperature,
                self.label_smoothing,
                self.z_loss,
                0.0,
                0.0,
                0.0,
                0.0,
            ],
        }
    }
}
