//! Losses of rows against one value a logit, where a softmax couples the logits of a row.
//!
//! Their terms cancel where the two distributions nearly agree, so they are computed in float64.

mod tile;
mod tiles;

use std::marker::PhantomData;

use super::simd::Simd;
use super::tensor::Tensor;
use super::wide::{Across, Along, Direction, is_across};
use super::{Job, LogitsMut, Outcome};
use crate::{Logits, Result, Targets, Unit};
use tiles::{Scratch, Tiles};

/// Some classes of rows, a vector of them.
#[derive(Clone, Copy)]
pub(super) struct Classes<S: Simd> {
    /// Probabilities `q`, and `-log q`.
    pub(super) q: S::f64s,
    pub(super) surprisal: S::f64s,
    /// Targets. Where those are logits, their probabilities, and minus the logarithms of them.
    pub(super) t: S::f64s,
    pub(super) target_surprisal: S::f64s,
    /// Class weights; 0 of what is no class.
    pub(super) weight: S::f64s,
}

/// What each of them contributes.
#[derive(Clone, Copy)]
pub(super) struct Terms<S: Simd> {
    /// To the loss.
    pub(super) loss: S::f64s,
    /// Derivative `h` of the loss by `log q`, from which follow those by the logits, `h_j - q_j sum_c h_c`.
    pub(super) slope: S::f64s,
}

/// A loss of a row of logits and a row of targets.
pub(super) trait DenseLoss: Sync {
    /// Whether targets are logits too, of which the softmax is taken.
    const LOGIT_TARGETS: bool = false;

    fn scale(&self) -> RowScale;

    /// The target of a class that contributes nothing.
    fn no_target(&self) -> f32 {
        0.0
    }

    /// Of rows of so many classes.
    fn terms<S: Simd>(&self, simd: S, classes: usize, of: &Classes<S>) -> Terms<S>;
}

/// How logits become `y = softcap * tanh(x / softcap) / T`, and the factor of the squared log-partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowScale {
    pub(super) softcap: Option<f32>,
    pub(super) temperature: f32,
    pub(super) z_loss: f32,
}

/// Evaluates a loss of dense rows.
pub(super) fn run<L: DenseLoss>(loss: &L, job: Job<'_>) -> Result<Outcome> {
    if is_across(job.tensor.layout()) { run_tiles::<L, Across>(loss, job) } else { run_tiles::<L, Along>(loss, job) }
}

fn run_tiles<L: DenseLoss, D: Direction>(loss: &L, mut job: Job<'_>) -> Result<Outcome> {
    let survey = job.survey()?;
    let layout = *job.tensor.layout();
    let contiguous = layout.contiguous();
    let classes = layout.classes() as usize;
    let targets = if let Targets::Dense(targets) = job.targets { targets } else { &[] };
    let targets = Tensor::separate(contiguous, Logits::F32(targets), None);
    let mut outputs = job.take_outputs();
    let of_elements = job.definition.unit == Unit::Element;
    let mut element_losses = outputs.losses.take_if(|_| of_elements).map(LogitsMut::F32);
    let element_losses = element_losses.as_mut().map(|losses| Tensor::in_place(contiguous, losses));
    let length = ((1 << 14) / classes.max(1)).clamp(D::MOST_ROWS, 4096).next_power_of_two();
    let scale = survey.gradient_scale;
    let totals = job.for_rows(length, outputs, Scratch::default, |part, out, scratch| {
        let mut targets = part.twin(&targets);
        let losses = element_losses.as_ref().map(|losses| part.twin(losses));
        let (targets, direction) = (&mut targets, PhantomData::<D>);
        let tiles = Tiles { loss, job: &job, scale, part, targets, losses, of_rows: out.losses, scratch, direction };
        job.instructions.run(tiles)
    });
    let mut outcome = Outcome::of_rows(survey, &totals);
    if of_elements {
        outcome.non_finite = outcome.non_finite.saturating_mul(layout.classes());
    }
    Ok(outcome)
}
