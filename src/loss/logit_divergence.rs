//! Divergences between two rows of logits, as in distillation.

use crate::definition::{Definition, Loss, Weights, sealed};
use crate::gpu::program::{GpuLoss, Program, softmax_options};
use crate::gpu::{LossFragment, Switch, Switches};
use crate::{Reduction, Result, checks};

/// Divergence between the softmax of the logits and that of the targets, which are logits too, in nats.
///
/// For a row of logits `x` (the student's, already capped), targets `y` (the teacher's logits), row weight `r` and temperature
/// `T`, with `q = softmax(x / T)` and `p = softmax(y / T)`:
///
/// ```text
/// KL(a || b) = sum_c a_c * (log a_c - log b_c)
/// loss       = r * ( divergence  +  z_loss * logsumexp(x / T)^2 )
/// ```
///
/// The mean divides by the number of rows. The gradient is that of this loss by `x`; users of Hinton's recipe multiply it by
/// `T^2`. A class whose probability is 0 under the first distribution of a divergence contributes nothing to it.
///
/// Source: Hinton et al., Distilling the Knowledge in a Neural Network (2015); Lin, Divergence Measures Based on the Shannon
/// Entropy (1991).
#[derive(Debug, Clone, PartialEq)]
pub struct LogitDivergence {
    /// How row losses become one number.
    pub reduction: Reduction,
    /// Which divergence.
    pub divergence: Divergence,
    /// Divides the logits and the targets; greater than 0.
    pub temperature: f32,
    /// Factor of the squared log-partition of the logits; 0 or greater.
    pub z_loss: f32,
    /// Replaces every logit `x`, but no target, by `softcap * tanh(x / softcap)`, before the temperature; greater than 0.
    /// Default: none.
    pub softcap: Option<f32>,
}

/// A divergence between the targets' distribution `p` and the logits' distribution `q`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Divergence {
    /// `KL(p || q)`: the student covers what the teacher finds probable.
    #[default]
    Kl,
    /// `KL(q || p)`: the student avoids what the teacher finds improbable.
    ReverseKl,
    /// `(KL(p || m) + KL(q || m)) / 2` with `m = (p + q) / 2`: symmetric, at most ln 2.
    JensenShannon,
}

impl Default for LogitDivergence {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, divergence: Divergence::Kl, temperature: 1.0, z_loss: 0.0, softcap: None }
    }
}

impl sealed::Sealed for LogitDivergence {}

impl Loss for LogitDivergence {
    fn validate(&self) -> Result<()> {
        self.reduction.validate()?;
        checks::temperature(self.temperature)?;
        checks::not_negative("z_loss", self.z_loss)?;
        checks::softcap(self.softcap)
    }

    fn definition(&self) -> Definition<'_> {
        Definition {
            weights: Weights { class: false, positive: false, row: true },
            ..Definition::of_rows("logit_divergence", self.reduction)
        }
    }
}

impl GpuLoss for LogitDivergence {
    fn program(&self) -> Program {
        let switches = match self.divergence {
            Divergence::Kl => Switches::NONE,
            Divergence::ReverseKl => Switches::NONE.with(Switch::Reverse, true),
            Divergence::JensenShannon => Switches::NONE.with(Switch::JensenShannon, true),
        };
        Program { switches, softcap: self.softcap, ..Program::new(LossFragment::LogitDivergence) }
            .with_options(softmax_options(self.temperature, 0.0, self.z_loss))
    }
}
