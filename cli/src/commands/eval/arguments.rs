//! Options of `logloss eval`.

use std::path::PathBuf;

use logloss::gpu::AdapterChoice;
use logloss::{CrossEntropy, Nll, Reduction};

use crate::engine::EngineName;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::loss::{Loss, LossName, ReductionName};
use crate::number;
use crate::outputs::OutputPaths;
use crate::tensor::TensorSet;

/// PyTorch's ignore index.
const IGNORE_INDEX: i32 = -100;

/// Options of `logloss eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
METRICS
  perplexity   exp of the mean cross-entropy in nats of the rows that count, all alike: without class weights, label
               smoothing and z-loss, and with the temperature
  bits         the same mean in bits: nats / ln 2
  top1, top5   share of the rows that count whose target is among the 1 or 5 largest logits; of two equal logits the
               lower class is the larger
  weight_sum   sum of weight[target] over the rows that count: what the mean divides by

EXAMPLES
  logloss eval --logits logits.npy --targets targets.npy
  logloss eval --logits shard-*.npy --targets labels.npz --reduction sum --json
  logloss eval --logits seg.safetensors --logits-key scores --targets masks.npy --class-axis 1 --weight w.npy \\
               --label-smoothing 0.1 --out-grad grad.npy

Files may be larger than memory: they are read in chunks of rows. The results do not depend on the size of a chunk.")]
pub struct Arguments {
    /// Logits, in .npy, .npz or .safetensors files: float32, float16, bfloat16 (safetensors), or float64, which is rounded
    /// to float32. Several files are one batch along the first dimension, in the order given
    #[arg(long, num_args = 1.., required = true, value_name = "FILE", help_heading = "Input files")]
    pub(super) logits: Vec<PathBuf>,

    /// Class indices, any integer type, in the logits' shape without the class axis
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

    /// How row losses become one number
    #[arg(long, value_enum, default_value_t = ReductionName::Mean, help_heading = "Loss")]
    pub(super) reduction: ReductionName,

    /// Weight of each class, shape (classes), at least 0; in an .npz or .safetensors file the array 'weight' or the only one
    #[arg(long, value_name = "FILE", help_heading = "Loss")]
    pub(super) weight: Option<PathBuf>,

    /// Leave out rows with this target; may be given several times [default: -100]
    #[arg(long, value_name = "I", allow_negative_numbers = true, help_heading = "Loss")]
    pub(super) ignore_index: Vec<i32>,

    /// Leave out no row: every target must be a class index
    #[arg(long, conflicts_with = "ignore_index", help_heading = "Loss")]
    pub(super) no_ignore_index: bool,

    /// Spread this share of the target over all classes, in [0, 1]: (1-E) * w_t * -log p_t + E/K * sum_c w_c * -log p_c
    /// [default: 0]
    #[arg(long, value_name = "E", allow_negative_numbers = true, help_heading = "Loss")]
    pub(super) label_smoothing: Option<f32>,

    /// Add Z * logsumexp(logits)^2 to each row's loss; at least 0 [default: 0]
    #[arg(long, value_name = "Z", allow_negative_numbers = true, help_heading = "Loss")]
    pub(super) z_loss: Option<f32>,

    /// Divide the logits by this; greater than 0 [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = "Loss")]
    pub(super) temperature: Option<f32>,

    #[command(flatten)]
    pub(super) outputs: OutputPaths,

    /// What computes it
    #[arg(long, value_enum, default_value_t = EngineName::Auto, help_heading = "Engine")]
    pub(super) engine: EngineName,

    /// Which GPU: its number in 'logloss devices', or part of its name, driver or backend
    #[arg(long, value_name = "TEXT|INDEX", help_heading = "Engine")]
    pub(super) adapter: Option<String>,

    /// Memory for a chunk of rows, on host and device together; at least four rows are read at once
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
        let ignore_index = match (self.no_ignore_index, self.ignore_index.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) => vec![IGNORE_INDEX],
            (false, given) => given.to_vec(),
        };
        // The reduction is chosen chunk by chunk.
        let reduction = Reduction::Sum;
        let loss = match self.loss {
            LossName::CrossEntropy => Loss::CrossEntropy(CrossEntropy {
                reduction,
                ignore_index,
                label_smoothing: self.label_smoothing.unwrap_or(0.0),
                temperature: self.temperature.unwrap_or(1.0),
                z_loss: self.z_loss.unwrap_or(0.0),
                softcap: None,
            }),
            LossName::Nll => {
                let given = [
                    ("--label-smoothing", self.label_smoothing.is_some()),
                    ("--z-loss", self.z_loss.is_some()),
                    ("--temperature", self.temperature.is_some()),
                    ("--out-log-prob", self.outputs.out_log_prob.is_some()),
                ];
                if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
                    return Err(Failure::Usage(format!(
                        "{option} has no meaning for --loss nll, whose input is log-probabilities already"
                    )));
                }
                Loss::Nll(Nll { reduction, ignore_index })
            }
        };
        loss.validate()?;
        Ok(loss)
    }

    pub(super) fn adapter(&self) -> Option<AdapterChoice> {
        let text = self.adapter.as_ref()?;
        Some(text.parse().map_or_else(|_| AdapterChoice::Named(text.clone()), AdapterChoice::Index))
    }

    pub(super) fn open_input(&self) -> anyhow::Result<Input> {
        let logits = TensorSet::open(&self.logits, self.logits_key.as_deref(), "logits")?;
        let targets = TensorSet::open(&self.targets, self.targets_key.as_deref(), "targets")?;
        Input::new(logits, targets, self.class_axis, self.weight.as_deref())
    }
}
