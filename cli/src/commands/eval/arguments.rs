//! Options of `logloss eval`.

use std::path::PathBuf;

use logloss::TargetKind;
use logloss::gpu::AdapterChoice;

use super::help;
use crate::engine::{self, EngineName};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::loss::{Loss, LossName, LossOptions, ReductionName};
use crate::number;
use crate::outputs::OutputPaths;
use crate::tensor::TensorSet;

/// Options of `logloss eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::after_options())]
pub struct Arguments {
    /// Logits, in .npy, .npz or .safetensors files: float32, float16, bfloat16 (safetensors), or float64, which is rounded
    /// to float32. Several files are one batch along the first dimension, in the order given
    #[arg(long, num_args = 1.., required = true, value_name = "FILE", help_heading = "Input files")]
    pub(super) logits: Vec<PathBuf>,

    /// What the logits are compared with: class indices, any integer type, in the logits' shape without the class axis; or one
    /// value a logit, any type, in the logits' shape. See LOSSES
    #[arg(long, num_args = 1.., required = true, value_name = "FILE", help_heading = "Input files")]
    pub(super) targets: Vec<PathBuf>,

    /// Name of the logits in an .npz or .safetensors file [default: logits, or the only array]
    #[arg(long, value_name = "NAME", help_heading = "Input files")]
    pub(super) logits_key: Option<String>,

    /// Name of the targets in an .npz or .safetensors file [default: targets, or the only array]
    #[arg(long, value_name = "NAME", help_heading = "Input files")]
    pub(super) targets_key: Option<String>,

    /// The dimension of the classes; negative counts from the end [default: 1, or 0 if there is only one, as in PyTorch]
    #[arg(long, value_name = "I", allow_negative_numbers = true, help_heading = "Input files")]
    pub(super) class_axis: Option<isize>,

    /// What to compute
    #[arg(long, value_enum, default_value_t = LossName::CrossEntropy, help_heading = "Loss")]
    pub(super) loss: LossName,

    /// How unreduced losses become one number
    #[arg(long, value_enum, default_value_t = ReductionName::Mean, help_heading = "Loss")]
    pub(super) reduction: ReductionName,

    #[command(flatten)]
    pub(super) options: LossOptions,

    #[command(flatten)]
    pub(super) outputs: OutputPaths,

    /// What computes it
    #[arg(long, value_enum, default_value_t = EngineName::Auto, help_heading = "Engine")]
    pub(super) engine: EngineName,

    /// Which GPU: its number in 'logloss devices', or part of its name, driver or backend
    #[arg(long, value_name = "TEXT|INDEX", help_heading = "Engine")]
    pub(super) adapter: Option<String>,

    /// Memory for the chunks of rows that are read at once, on host and device together; a chunk has at least four rows, or one
    /// sample
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = number::parse_bytes, help_heading = "Engine")]
    pub(super) memory: u64,

    /// Print one JSON object and nothing else to standard output; a number that is not finite is "NaN", "Infinity" or
    /// "-Infinity"
    #[arg(long, help_heading = "Report")]
    pub(super) json: bool,

    /// Show no progress bar
    #[arg(long, help_heading = "Report")]
    pub(super) quiet: bool,
}

impl Arguments {
    /// The loss with its options, checked.
    pub(super) fn loss(&self) -> Outcome<Loss> {
        let loss = Loss::new(self.loss, &self.options)?;
        loss.check_reduction(self.reduction)?;
        if let (Some(input), true) = (self.loss.finished_input(), self.outputs.out_log_prob.is_some()) {
            return Err(Failure::Usage(format!(
                "--out-log-prob has no meaning for --loss {}, whose input is {input} already",
                self.loss
            )));
        }
        if self.loss.is_sum_of_two() && self.outputs.out_loss.is_some() {
            return Err(Failure::Usage(format!(
                "--out-loss has no meaning for --loss {}, which adds two losses of different shapes",
                self.loss
            )));
        }
        Ok(loss)
    }

    pub(super) fn adapter(&self) -> Option<AdapterChoice> {
        self.adapter.as_deref().map(engine::choice)
    }

    /// Every file that is read.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        let options = &self.options;
        self.logits.iter().chain(&self.targets).chain(&options.weight).chain(&options.pos_weight)
    }

    /// Opens the files for a loss.
    pub(super) fn open_input(&self, loss: &Loss) -> Outcome<Input> {
        let logits = TensorSet::open(&self.logits, self.logits_key.as_deref(), "logits")?;
        let targets = TensorSet::open(&self.targets, self.targets_key.as_deref(), "targets")?;
        let input = Input::new(logits, targets, loss.targets, self.class_axis)?;
        let options = &self.options;
        let ignores = !options.ignore_index.is_empty() || options.no_ignore_index;
        if input.kind == TargetKind::Dense && ignores {
            return Err(Failure::Usage(
                "--ignore-index and --no-ignore-index are about class indices, but these targets are one value a logit"
                    .into(),
            ));
        }
        Ok(input.with_weights(options.weight.as_deref(), options.pos_weight.as_deref())?)
    }
}
