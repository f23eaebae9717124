//! The three engines behind one face: a chunk of the batch in, what is known of its losses out.

mod session;

use clap::ValueEnum;
use logloss::Error;
use logloss::gpu::{AdapterChoice, Gpu, Stream};

use crate::failure::{Failure, Outcome};
use crate::output;
pub use session::{DeviceUse, Goal, Part, Reduce, Session};

/// Batches in flight on a device.
const SLOTS: u64 = Stream::SLOTS as u64;

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

/// An adapter as the command line names it: its number in `logloss devices`, or any part of its name, driver or backend.
pub fn choice(text: &str) -> AdapterChoice {
    text.parse().map_or_else(|_| AdapterChoice::Named(text.to_owned()), AdapterChoice::Index)
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
    pub const fn bytes_per_logit(&self, load: Load) -> u64 {
        let slots = if load.alone { 1 } else { SLOTS };
        // In floats: of the logits alone, and what each of the others adds.
        let (logits, gradient, dense_targets, element_losses) = match self {
            // Gathered rows; of each batch in flight a mapped buffer and the device's; and of what comes back, where the gradient
            // lies over the logits on the device, floats for the caller and bytes for the file.
            Self::Gpu(_) => (1 + 2 * slots, 2 + slots, 1 + 2 * slots, 2 + 2 * slots),
            // Gathered rows, and what comes of them, once more for the file.
            Self::Cpu => (1, 2, 1, 2),
            // Gathered rows, a gradient and losses in float64, their rounding, and what goes to the file.
            Self::Reference => (4, 1, 1, 4),
        };
        let floats = logits
            + if load.gradient { gradient } else { 0 }
            + if load.dense_targets { dense_targets } else { 0 }
            + if load.element_losses { element_losses } else { 0 };
        4 * floats
    }
}

/// What there is of a chunk besides its logits, one a logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// No other chunk: it is the whole batch.
    pub alone: bool,
    /// A gradient.
    pub gradient: bool,
    /// Targets.
    pub dense_targets: bool,
    /// Losses.
    pub element_losses: bool,
}
