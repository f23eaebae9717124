//! An engine with a loss: a chunk in, what the engine made of it out.

use std::time::Duration;

use logloss::gpu::Stream;
use logloss::{
    ABSENT, AnyLoss, Batch, Details, Error, Evaluation, Gradient, Reduction, Request, Summary, TargetKind, cpu,
    reference,
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

/// What a stream of chunks needed of a device.
#[derive(Debug, Clone, Copy)]
pub struct DeviceUse {
    /// Bytes of its buffers, mapped ones too.
    pub bytes: u64,
    /// The longest that it took for a submission.
    pub longest: Duration,
}

/// An engine with a loss: chunks are pushed, and their parts pulled in the same order.
pub enum Session<'e> {
    /// On a device, which computes one chunk while the next is uploaded.
    Gpu(Box<Stream<'e>>),
    /// On the host, which computes a chunk when it is pushed.
    Host {
        /// How.
        host: Host,
        /// What is to be pulled.
        part: Option<Part>,
    },
}

/// An engine of the host, with a loss.
pub enum Host {
    /// In float32.
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
                let loss = loss.reduced(single_precision(goal.reduce)?);
                Session::Gpu(Box::new(Stream::new(gpu, loss.as_ref(), request)?))
            }
            Self::Cpu => {
                let loss = loss.reduced(single_precision(goal.reduce)?);
                Session::Host { host: Host::Cpu { loss, request: request(Gradient::Separate) }, part: None }
            }
            Self::Reference => {
                let (reduction, denominator) = match goal.reduce {
                    Reduce::Sum => (Reduction::Sum, 1.0),
                    Reduce::Over(denominator) => (Reduction::Sum, denominator),
                    Reduce::Itself(reduction) => (reduction, 1.0),
                };
                let (loss, gradient) = (loss.reduced(reduction), goal.gradient);
                Session::Host { host: Host::Reference { loss, denominator, gradient }, part: None }
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
    /// Whether a part must be pulled before the next chunk is pushed.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Gpu(stream) => stream.is_full(),
            Self::Host { part, .. } => part.is_some(),
        }
    }

    /// Takes a chunk, unless [full](Self::is_full).
    ///
    /// # Errors
    /// The device fails, or as the engine.
    pub fn push(&mut self, batch: &Batch<'_>) -> logloss::Result<()> {
        match self {
            Self::Gpu(stream) => stream.push(batch)?,
            Self::Host { host, part } => *part = Some(host.evaluate(batch)?),
        }
        Ok(())
    }

    /// What came of the oldest chunk that was pushed and not pulled; there must be one.
    ///
    /// # Errors
    /// The device fails, or as the engine.
    pub fn pull(&mut self) -> logloss::Result<Part> {
        match self {
            Self::Gpu(stream) => stream.pull().map(Part::of),
            Self::Host { part, .. } => part.take().ok_or_else(|| Error::Device("nothing was computed".into())),
        }
    }

    /// What comes of a chunk by itself, where none is pending.
    ///
    /// # Errors
    /// As [`push`](Self::push) and [`pull`](Self::pull).
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> logloss::Result<Part> {
        self.push(batch)?;
        self.pull()
    }

    /// The error of a chunk that was pulled, naming the value where it only named the row.
    pub fn named_value(&self, error: Error, batch: &Batch<'_>) -> Error {
        match self {
            Self::Gpu(stream) => stream.named_value(error, batch),
            Self::Host { .. } => error,
        }
    }

    /// How many logits the next chunk should have at most.
    pub fn advised_logits(&self) -> u64 {
        match self {
            Self::Gpu(stream) => stream.advised_logits(),
            Self::Host { .. } => u64::MAX,
        }
    }

    /// What a device needed.
    pub fn device_use(&self) -> Option<DeviceUse> {
        match self {
            Self::Gpu(stream) => Some(DeviceUse { bytes: stream.bytes(), longest: stream.longest_submission() }),
            Self::Host { .. } => None,
        }
    }
}

impl Host {
    fn evaluate(&self, batch: &Batch<'_>) -> logloss::Result<Part> {
        match self {
            Self::Cpu { loss, request } => cpu::evaluate(loss.as_ref(), *request, batch).map(Part::of),
            Self::Reference { loss, denominator, gradient } => {
                let exact = reference::evaluate(loss.as_ref(), batch)?;
                Ok(rounded(exact, gradient.then_some(*denominator)))
            }
        }
    }
}

impl Part {
    /// What an engine of single precision made of a chunk.
    fn of(evaluation: Evaluation) -> Self {
        let loss = evaluation.summary.loss.into();
        Self { evaluation, exact_losses: None, loss }
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
        non_finite: exact.non_finite,
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
