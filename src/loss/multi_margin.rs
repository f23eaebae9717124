//! Multi-class margin loss.

use crate::checks::invalid;
use crate::definition::{Definition, Loss, Mean, sealed};
use crate::gpu::program::{GpuLoss, Program};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Reduction, Result, checks};

/// Multi-class hinge loss of scores against class indices.
///
/// For a row of K scores `x`, target `t`, class weights `w` and row weight `r`:
///
/// ```text
/// loss = r * w_t / K * sum over c != t of max(0, margin - x_t + x_c)^p
/// ```
///
/// The mean divides the sum of the losses by the sum of `r` over the rows that are not ignored, without class weights. The
/// gradient at the corner is 0.
///
/// Source: `torch.nn.functional.multi_margin_loss`, which has neither row weights nor an ignore index.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiMargin {
    /// How row losses become one number.
    pub reduction: Reduction,
    /// Rows with one of these targets are left out; at most [`MAX_IGNORE_INDICES`](crate::MAX_IGNORE_INDICES). Default: none.
    pub ignore_index: Vec<i32>,
    /// By how much the target's score should exceed every other.
    pub margin: f32,
    /// Exponent of a violation: 1 or 2.
    pub p: u32,
}

impl Default for MultiMargin {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, ignore_index: Vec::new(), margin: 1.0, p: 1 }
    }
}

impl sealed::Sealed for MultiMargin {}

impl Loss for MultiMargin {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::ignore_index(&self.ignore_index)?;
        checks::finite("margin", self.margin)?;
        if !matches!(self.p, 1 | 2) {
            return Err(invalid("p", self.p, "1 or 2"));
        }
        Ok(())
    }

    fn definition(&self) -> Definition<'_> {
        Definition { mean: Mean::Rows, ..Definition::of_classes("multi_margin", self.reduction, &self.ignore_index) }
    }
}

impl GpuLoss for MultiMargin {
    fn program(&self) -> Program {
        Program {
            switches: Switches::NONE.with(Switch::Squared, self.p == 2),
            ..Program::new(LossFragment::MultiMargin)
        }
        .with_options([std::f32::consts::LOG2_E, self.margin, 0.0, 0.0])
    }
}
