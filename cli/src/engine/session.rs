//! An engine with a loss: a chunk in, what the engine made of it out.

use logloss::gpu::Evaluator;
use logloss::{
    ABSENT, AnyLoss, Batch, Details, Evaluation, Gradient, Reduction, Request, Summary, TargetKind, cpu, reference,
};

use super::Engine;
use crate::failure::{Failure, Outcome};
use crate::loss::Loss;

/// How the losses of a chunk are reduced, for the sake of the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reduce {
    /// To their sum.
    Sum,
    /// To their share of a mean over this denominator, which is greater than 0.
    Over(f64),
    /// As the loss itself does: the chunk is the whole batch.
    Itself(Reduction),
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// What the gradient is of.
    pub reduce: Reduce,
    /// Whether there is to be a gradient.
    pub gradient: bool,
    /// Whether the targets are one value a logit.
    pub dense_targets: bool,
}

/// What an engine made of a chunk.
pub struct Part {
    /// As every engine reports it.
    pub evaluation: Evaluation,
    /// The losses before they were rounded to float32, of an engine that has them.
    pub exact_losses: Option<Vec<f64>>,
    /// The losses reduced as the [`Goal`] says.
    pub loss: f64,
}

/// An engine with a loss.
pub enum Session<'e> {
    /// On a device.
    Gpu(Box<Evaluator<'e>>),
    /// On the CPU.
    Cpu {
        /// The loss.
        loss: Box<dyn AnyLoss>,
        /// What to compute.
        request: Request,
    },
    /// In float64.
    Reference {
        /// The loss, summed or as it reduces itself.
        loss: Box<dyn AnyLoss>,
        /// What divides the gradient.
        denominator: f64,
        /// Whether the gradient is wanted.
        gradient: bool,
    },
}

impl Engine {
    /// Prepares a loss.
    ///
    /// # Errors
    /// The device cannot run it, or the denominator is out of float32's range.
    pub fn session(&self, loss: &Loss, goal: Goal) -> Outcome<Session<'_>> {
        // Only these have more to say of a row than its loss.
        let details = loss.targets == TargetKind::Classes;
        let wants = |place| if goal.gradient { place } else { Gradient::No };
        let dense_targets = goal.dense_targets;
        let request = |place| Request { gradient: wants(place), details, dense_targets, ..Request::default() };
        Ok(match self {
            Self::Gpu(gpu) => {
                // Over the logits, to save a buffer of the device.
                let request = request(Gradient::InPlace);
                let loss = loss.reduced(single_precision(goal.reduce)?)?;
                Session::Gpu(Box::new(Evaluator::new(gpu, loss.as_ref(), request)?))
            }
            Self::Cpu => Session::Cpu {
                loss: loss.reduced(single_precision(goal.reduce)?)?,
                request: request(Gradient::Separate),
            },
            Self::Reference => {
                let (reduction, denominator) = match goal.reduce {
                    Reduce::Sum => (Reduction::Sum, 1.0),
                    Reduce::Over(denominator) => (Reduction::Sum, denominator),
                    Reduce::Itself(reduction) => (reduction, 1.0),
                };
                Session::Reference { loss: loss.reduced(reduction)?, denominator, gradient: goal.gradient }
            }
        })
    }
}

/// The reduction of an engine that computes in float32.
fn single_precision(reduce: Reduce) -> Outcome<Reduction> {
    let denominator = match reduce {
        Reduce::Sum => return Ok(Reduction::Sum),
        Reduce::Itself(reduction) => return Ok(reduction),
        Reduce::Over(denominator) => denominator,
    };
    #[expect(clippy::cast_possible_truncation, reason = "checked below")]
    let rounded = denominator as f32;
    if !(rounded.is_normal() && rounded > 0.0) {
        return Err(Failure::Data(anyhow::anyhow!(
            "the weights of the rows that count sum to {denominator:e}, which float32 cannot hold; scale the weights, or use \
             --engine reference"
        )));
    }
    Ok(Reduction::MeanOver(rounded))
}

impl Session<'_> {
    /// Evaluates a chunk.
    ///
    /// # Errors
    /// The device fails, or as the engine.
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> logloss::Result<Part> {
        let evaluation = match self {
            Self::Gpu(evaluator) => evaluator.evaluate(batch)?,
            Self::Cpu { loss, request } => cpu::evaluate(loss.as_ref(), *request, batch)?,
            Self::Reference { loss, denominator, gradient } => {
                let exact = reference::evaluate(loss.as_ref(), batch)?;
                return Ok(rounded(exact, gradient.then_some(*denominator)));
            }
        };
        let loss = evaluation.summary.loss.into();
        Ok(Part { evaluation, exact_losses: None, loss })
    }
}

/// The reference's numbers in the shape that the other engines give them, each rounded once.
#[expect(clippy::cast_possible_truncation, reason = "rounding to float32 is the point")]
fn rounded(exact: reference::Evaluation, denominator: Option<f64>) -> Part {
    let of_row = |r: usize| {
        Some(Details {
            lse: *exact.lse.get(r)? as f32,
            log_prob: *exact.log_prob.get(r)? as f32,
            argmax: *exact.argmax.get(r)?,
            rank: *exact.rank.get(r)?,
        })
    };
    let summary = Summary {
        non_finite: exact.non_finite_rows,
        first_non_finite: exact.first_non_finite.unwrap_or(ABSENT),
        ..bytemuck::Zeroable::zeroed()
    };
    let gradient = denominator.map_or_else(Vec::new, |d| exact.gradient.iter().map(|g| (g / d) as f32).collect());
    Part {
        evaluation: Evaluation {
            summary,
            losses: exact.losses.iter().map(|loss| *loss as f32).collect(),
            details: (0..exact.rank.len()).filter_map(of_row).collect(),
            gradient,
        },
        exact_losses: Some(exact.losses),
        loss: exact.loss,
    }
}
