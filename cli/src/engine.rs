//! The three engines behind one face: a chunk of rows in, what is known of its rows out.

use clap::ValueEnum;
use logloss::gpu::{AdapterChoice, Evaluator, Gpu};
use logloss::totals::{Label, Labels};
use logloss::{ABSENT, Batch, Details, Error, Evaluation, Gradient, Reduction, Request, Summary, cpu, reference};

use crate::failure::{Failure, Outcome};
use crate::loss::Loss;
use crate::output;

/// Which engine the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// A hardware adapter if there is one, else the CPU engine; says which on standard error
    Auto,
    /// Any adapter, a software one too
    Gpu,
    /// The CPU, in float32
    Cpu,
    /// The CPU, in float64 by textbook formulas: slow, and right to the last digit of float32
    Reference,
}

/// An engine, ready to be given a loss.
pub enum Engine {
    /// A device.
    Gpu(Box<Gpu>),
    /// The library's float32 CPU engine.
    Cpu,
    /// The library's float64 reference.
    Reference,
}

impl Engine {
    /// Opens the engine that the user asks for.
    ///
    /// # Errors
    /// There is no such adapter, or its device cannot be opened.
    pub fn open(name: EngineName, adapter: Option<&AdapterChoice>) -> Outcome<Self> {
        let open = |choice: &AdapterChoice| Gpu::open(choice).map(|gpu| Self::Gpu(Box::new(gpu)));
        match (name, adapter) {
            (EngineName::Cpu | EngineName::Reference, Some(_)) => {
                Err(Failure::Usage("--adapter chooses a GPU; leave it out, or use --engine gpu".into()))
            }
            (EngineName::Cpu, None) => Ok(Self::Cpu),
            (EngineName::Reference, None) => Ok(Self::Reference),
            (EngineName::Gpu | EngineName::Auto, Some(choice)) => Ok(open(choice)?),
            (EngineName::Gpu, None) => Ok(open(&AdapterChoice::Best)?),
            (EngineName::Auto, None) => match open(&AdapterChoice::Hardware) {
                Ok(engine) => {
                    output::note(format_args!("engine: gpu ({})", engine.adapter().unwrap_or_default()));
                    Ok(engine)
                }
                Err(Error::NoAdapter { .. }) => {
                    output::note("engine: cpu (there is no hardware adapter)");
                    Ok(Self::Cpu)
                }
                Err(error) => {
                    output::note(format_args!("engine: cpu ({error})"));
                    Ok(Self::Cpu)
                }
            },
        }
    }

    /// Its name on the command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gpu(_) => "gpu",
            Self::Cpu => "cpu",
            Self::Reference => "reference",
        }
    }

    /// Name of the adapter of a GPU engine.
    pub fn adapter(&self) -> Option<String> {
        match self {
            Self::Gpu(gpu) => Some(gpu.info.name.clone()),
            Self::Cpu | Self::Reference => None,
        }
    }

    /// Most bytes of logits that it takes at once.
    pub fn max_bytes(&self) -> u64 {
        match self {
            Self::Gpu(gpu) => gpu.device.limits().max_buffer_size,
            Self::Cpu | Self::Reference => u64::MAX,
        }
    }

    /// Bytes of memory, on the host and on the device, that it takes for each logit of a chunk.
    pub const fn bytes_per_logit(&self, gradient: bool) -> u64 {
        let floats = match (self, gradient) {
            // Gathered rows, staging for the upload, the device's buffer.
            (Self::Gpu(_), false) => 3,
            // And staging, bytes and floats of the gradient on its way back.
            (Self::Gpu(_), true) => 6,
            // Gathered rows, and the gradient.
            (Self::Cpu, false) => 1,
            (Self::Cpu, true) => 2,
            // Gathered rows, a gradient in float64, and its rounding.
            (Self::Reference, _) => 4,
        };
        4 * floats
    }

    /// Prepares a loss. The gradient is that of the sum of the losses over `denominator`, if there is one.
    ///
    /// # Errors
    /// The device cannot run it, or the denominator is out of float32's range.
    pub fn session(&self, loss: &Loss, denominator: Option<f64>, gradient: bool) -> Outcome<Session<'_>> {
        // Over the logits, to save a buffer of the device.
        let gpu_gradient = if gradient { Gradient::InPlace } else { Gradient::No };
        let cpu_gradient = if gradient { Gradient::Separate } else { Gradient::No };
        Ok(match self {
            Self::Gpu(gpu) => {
                let request = Request { gradient: gpu_gradient, details: true, ..Request::default() };
                Session::Gpu(Box::new(match &over(loss, denominator)? {
                    Loss::CrossEntropy(loss) => Evaluator::new(gpu, loss, request)?,
                    Loss::Nll(loss) => Evaluator::new(gpu, loss, request)?,
                }))
            }
            Self::Cpu => {
                let request = Request { gradient: cpu_gradient, details: true, ..Request::default() };
                Session::Cpu { loss: over(loss, denominator)?, request }
            }
            Self::Reference => Session::Reference {
                loss: loss.reduced(Reduction::Sum),
                denominator: denominator.unwrap_or(1.0),
                gradient,
            },
        })
    }
}

/// The loss reduced as the gradient needs it.
fn over(loss: &Loss, denominator: Option<f64>) -> Outcome<Loss> {
    let Some(denominator) = denominator else { return Ok(loss.reduced(Reduction::Sum)) };
    #[expect(clippy::cast_possible_truncation, reason = "checked below")]
    let rounded = denominator as f32;
    if !(rounded.is_normal() && rounded > 0.0) {
        return Err(Failure::Data(anyhow::anyhow!(
            "the weights of the rows that count sum to {denominator:e}, which float32 cannot hold; scale the weights, or use \
             --engine reference"
        )));
    }
    Ok(loss.reduced(Reduction::MeanOver(rounded)))
}

/// An engine with a loss.
pub enum Session<'e> {
    /// On a device.
    Gpu(Box<Evaluator<'e>>),
    /// On the CPU.
    Cpu {
        /// The loss.
        loss: Loss,
        /// What to compute.
        request: Request,
    },
    /// In float64.
    Reference {
        /// The loss, summed.
        loss: Loss,
        /// What divides the gradient.
        denominator: f64,
        /// Whether the gradient is wanted.
        gradient: bool,
    },
}

/// What an engine made of the rows of a chunk.
pub struct Rows {
    /// As every engine reports it.
    pub evaluation: Evaluation,
    /// The row losses before they were rounded to float32, of an engine that has them.
    pub exact_losses: Option<Vec<f64>>,
}

impl Session<'_> {
    /// Evaluates a chunk of rows.
    ///
    /// # Errors
    /// The device fails, or as the engine.
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> logloss::Result<Rows> {
        let evaluation = match self {
            Self::Gpu(evaluator) => evaluator.evaluate(batch)?,
            Self::Cpu { loss: Loss::CrossEntropy(loss), request } => cpu::evaluate(loss, *request, batch)?,
            Self::Cpu { loss: Loss::Nll(loss), request } => cpu::evaluate(loss, *request, batch)?,
            Self::Reference { loss, denominator, gradient } => {
                let (exact, ignore_index) = match loss {
                    Loss::CrossEntropy(loss) => (reference::evaluate(loss, batch)?, &loss.ignore_index),
                    Loss::Nll(loss) => (reference::evaluate(loss, batch)?, &loss.ignore_index),
                };
                let labels = Labels::of(batch, ignore_index);
                return Ok(rounded(exact, &labels, gradient.then_some(*denominator)));
            }
        };
        Ok(Rows { evaluation, exact_losses: None })
    }
}

/// The reference's numbers in the shape that the other engines give them, each rounded once.
#[expect(clippy::cast_possible_truncation, reason = "rounding to float32 is the point")]
fn rounded(exact: reference::Evaluation, labels: &Labels<'_>, denominator: Option<f64>) -> Rows {
    let not_finite = |(label, rank): (Label, &u32)| matches!(label, Label::Class(_)) && *rank == ABSENT;
    let first_non_finite = labels.iter().zip(&exact.rank).position(not_finite);
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
        first_non_finite: first_non_finite.and_then(|row| u32::try_from(row).ok()).unwrap_or(ABSENT),
        ..bytemuck::Zeroable::zeroed()
    };
    let gradient = denominator.map_or_else(Vec::new, |d| exact.gradient.iter().map(|g| (g / d) as f32).collect());
    Rows {
        evaluation: Evaluation {
            summary,
            losses: exact.losses.iter().map(|loss| *loss as f32).collect(),
            details: (0..exact.losses.len()).filter_map(of_row).collect(),
            gradient,
        },
        exact_losses: Some(exact.losses),
    }
}
