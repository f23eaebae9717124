//! `logloss eval`: two passes over the targets and one over the logits, in chunks of rows.
//!
//! 1. The targets are validated, and their weights summed: a mean divides by that sum, and its gradient needs it first.
//! 2. Each chunk of logits goes through an engine; losses, gradients and totals come out in row order.
//!
//! Neither a row's numbers nor the totals depend on how the rows were cut.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use logloss::gpu::AdapterChoice;
use logloss::totals::{PairwiseSum, Totals, reduced_loss};
use logloss::{Batch, CrossEntropy, Nll, Reduction, Shape, cpu};

use crate::engine::{Engine, EngineName};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::loss::{Loss, LossName, ReductionName};
use crate::outputs::{OutputPaths, Outputs};
use crate::tensor::{ClassAxis, Element, TensorSet};
use crate::{number, output, progress, report};

/// PyTorch's ignore index.
const IGNORE_INDEX: i32 = -100;

/// A GPU's kernels take rows in groups of at most this many.
const GROUP_ROWS: usize = 4;

/// Bytes that target, loss and details of a row take, on host and device, in all their copies.
const ROW_BYTES: u64 = 128;

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
    logits: Vec<PathBuf>,

    /// Class indices, any integer type, in the logits' shape without the class axis
    #[arg(long, num_args = 1.., required = true, value_name = "FILE", help_heading = "Input files")]
    targets: Vec<PathBuf>,

    /// Name of the logits in an .npz or .safetensors file [default: logits, or the only array]
    #[arg(long, value_name = "NAME", help_heading = "Input files")]
    logits_key: Option<String>,

    /// Name of the targets in an .npz or .safetensors file [default: targets, or the only array]
    #[arg(long, value_name = "NAME", help_heading = "Input files")]
    targets_key: Option<String>,

    /// The dimension of the classes; negative counts from the end [default: 1, or 0 if there is only one, as in PyTorch]
    #[arg(long, value_name = "I", allow_negative_numbers = true, help_heading = "Input files")]
    class_axis: Option<isize>,

    /// What to compute
    #[arg(long, value_enum, default_value_t = LossName::CrossEntropy, help_heading = "Loss")]
    loss: LossName,

    /// How row losses become one number
    #[arg(long, value_enum, default_value_t = ReductionName::Mean, help_heading = "Loss")]
    reduction: ReductionName,

    /// Weight of each class, shape (classes), at least 0; in an .npz or .safetensors file the array 'weight' or the only one
    #[arg(long, value_name = "FILE", help_heading = "Loss")]
    weight: Option<PathBuf>,

    /// Leave out rows with this target; may be given several times [default: -100]
    #[arg(long, value_name = "I", allow_negative_numbers = true, help_heading = "Loss")]
    ignore_index: Vec<i32>,

    /// Leave out no row: every target must be a class index
    #[arg(long, conflicts_with = "ignore_index", help_heading = "Loss")]
    no_ignore_index: bool,

    /// Spread this share of the target over all classes, in [0, 1]: (1-E) * w_t * -log p_t + E/K * sum_c w_c * -log p_c
    /// [default: 0]
    #[arg(long, value_name = "E", allow_negative_numbers = true, help_heading = "Loss")]
    label_smoothing: Option<f32>,

    /// Add Z * logsumexp(logits)^2 to each row's loss; at least 0 [default: 0]
    #[arg(long, value_name = "Z", allow_negative_numbers = true, help_heading = "Loss")]
    z_loss: Option<f32>,

    /// Divide the logits by this; greater than 0 [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = "Loss")]
    temperature: Option<f32>,

    #[command(flatten)]
    outputs: OutputPaths,

    /// What computes it
    #[arg(long, value_enum, default_value_t = EngineName::Auto, help_heading = "Engine")]
    engine: EngineName,

    /// Which GPU: its number in 'logloss devices', or part of its name, driver or backend
    #[arg(long, value_name = "TEXT|INDEX", help_heading = "Engine")]
    adapter: Option<String>,

    /// Memory for a chunk of rows, on host and device together; at least four rows are read at once
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = number::parse_bytes, help_heading = "Engine")]
    memory: u64,

    /// Print one JSON object and nothing else to standard output; a number that is not finite is "NaN", "Infinity" or
    /// "-Infinity"
    #[arg(long, help_heading = "Report")]
    json: bool,

    /// Show no progress bar
    #[arg(long, help_heading = "Report")]
    quiet: bool,
}

impl Arguments {
    /// The loss with its options, checked.
    fn loss(&self) -> Outcome<Loss> {
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

    fn adapter(&self) -> Option<AdapterChoice> {
        let text = self.adapter.as_ref()?;
        Some(text.parse().map_or_else(|_| AdapterChoice::Named(text.clone()), AdapterChoice::Index))
    }

    fn open_input(&self) -> anyhow::Result<Input> {
        let logits = TensorSet::open(&self.logits, self.logits_key.as_deref(), "logits")?;
        let targets = TensorSet::open(&self.targets, self.targets_key.as_deref(), "targets")?;
        Input::new(logits, targets, self.class_axis, self.weight.as_deref())
    }
}

/// Evaluates files and reports.
///
/// # Errors
/// See the exit codes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let loss = arguments.loss()?;
    arguments.outputs.check(arguments.logits.iter().chain(&arguments.targets).chain(&arguments.weight))?;
    let input = arguments.open_input()?;
    let interrupt = Interrupt::listen()?;
    let mut outputs = Outputs::create(&arguments.outputs, &input)?;
    if input.logits.element() == Element::F64 {
        output::note("note: the logits are float64; they are rounded to float32");
    }

    let start = Instant::now();
    let weight_sum = input.survey(loss.ignore_index())?.weight_sum();
    let engine = Engine::open(arguments.engine, arguments.adapter().as_ref())?;
    let evaluated = evaluate(arguments, &loss, &input, &engine, weight_sum, &mut outputs, &interrupt)?;
    outputs.finish()?;
    let time = Time { all: start.elapsed(), rows: evaluated.time };

    if let Some(row) = evaluated.totals.first_non_finite().and_then(|row| usize::try_from(row).ok()) {
        output::note(format_args!(
            "warning: {} of the rows that count hold NaN, +inf or nothing but -inf; the first is that of {}",
            number::grouped(evaluated.totals.non_finite()),
            input.place_of_row(row)
        ));
    }
    let report = Report { arguments, loss: &loss, input: &input, engine: &engine, evaluated: &evaluated, time };
    output::result(if arguments.json { report.json() } else { report.table() })
}

/// What the rows came to.
struct Evaluated {
    totals: Totals,
    /// Sum of row losses that were not rounded to float32, from an engine that has them.
    exact: Option<PairwiseSum>,
    /// From the first row to the last.
    time: Duration,
}

/// How long it took.
struct Time {
    /// With reading the targets, opening the device and compiling for it.
    all: Duration,
    /// From the first row to the last.
    rows: Duration,
}

impl Evaluated {
    fn loss(&self, reduction: Reduction) -> f64 {
        match &self.exact {
            Some(sum) => reduced_loss(reduction, sum.total(), self.totals.weight_sum()),
            None => self.totals.loss(reduction),
        }
    }
}

fn evaluate(
    arguments: &Arguments,
    loss: &Loss,
    input: &Input,
    engine: &Engine,
    weight_sum: f64,
    outputs: &mut Outputs,
    interrupt: &Interrupt,
) -> Outcome<Evaluated> {
    let mean = arguments.reduction == ReductionName::Mean;
    // Where nothing counts, a mean has a gradient of zeros, which is what an output holds that nothing is written to.
    let gradient = arguments.outputs.out_grad.is_some() && !(mean && weight_sum == 0.0);
    let denominator = (mean && gradient).then_some(weight_sum);
    let mut session = engine.session(loss, denominator, gradient)?;

    let log_prob = arguments.outputs.out_log_prob.is_some();
    let bytes_per_logit = engine.bytes_per_logit(gradient) + if log_prob { 4 } else { 0 };
    let step = chunk_rows(&input.axis, arguments.memory, bytes_per_logit, engine.max_bytes());
    let bar = progress::bar(input.logits_bytes(), arguments.quiet);

    let start = Instant::now();
    let mut evaluated = Evaluated { totals: Totals::default(), exact: None, time: Duration::ZERO };
    let (mut buffer, mut targets, mut log_probs) = (Vec::new(), Vec::new(), Vec::new());
    let all = input.axis.rows();
    for first in (0..all).step_by(step) {
        interrupt.check()?;
        let rows = first..all.min(first + step);
        input.read_targets(rows.clone(), &mut targets)?;
        let logits = input.logits_of(rows.clone(), &mut buffer)?;
        let labels = input.labels(&targets, loss.ignore_index());
        let shape = Shape::new(u32::try_from(rows.len()).context("a chunk of too many rows")?, labels.classes);
        let batch = Batch { class_weights: labels.class_weights, ..Batch::new(shape, logits, &targets) };

        let result = session.evaluate(&batch)?;
        evaluated.totals.push_chunk(&labels, &result.evaluation)?;
        if let Some(losses) = result.exact_losses {
            let sum = evaluated.exact.get_or_insert_default();
            losses.into_iter().for_each(|loss| sum.push(loss));
        }
        outputs.write_losses(first, &result.evaluation.losses)?;
        if gradient {
            outputs.write_gradient(input, first, &result.evaluation.gradient)?;
        }
        if log_prob {
            log_probs.resize(logits.len(), 0.0);
            cpu::log_softmax(shape, arguments.temperature.unwrap_or(1.0), logits, &mut log_probs)?;
            outputs.write_log_prob(input, first, &log_probs)?;
        }
        input.release(rows.clone());
        bar.set_position(input.logits_bytes() / all.max(1) as u64 * rows.end as u64);
    }
    interrupt.check()?;
    bar.finish_and_clear();
    evaluated.time = start.elapsed();
    Ok(evaluated)
}

/// Rows of a chunk that stays within `memory` bytes. Chunks of whole groups make the groups the same for every chunk size.
fn chunk_rows(axis: &ClassAxis, memory: u64, bytes_per_logit: u64, max_buffer: u64) -> usize {
    let classes = axis.classes as u64;
    let fitting = memory / classes.saturating_mul(bytes_per_logit).saturating_add(ROW_BYTES);
    // Longer chunks gain nothing: the file's pages have left the processor's cache long before.
    let useful = (memory / 4).min(max_buffer) / classes.saturating_mul(4);
    // Every row number fits 32 bits.
    let rows = usize::try_from(fitting.min(useful)).unwrap_or(usize::MAX).min(1 << 31);
    axis.chunk_rows(rows, GROUP_ROWS)
}

/// A result and what it is of.
struct Report<'a> {
    arguments: &'a Arguments,
    loss: &'a Loss,
    input: &'a Input,
    engine: &'a Engine,
    evaluated: &'a Evaluated,
    time: Time,
}

impl Report<'_> {
    /// The reduced loss; none for reduction none.
    fn reduced(&self) -> Option<f64> {
        match self.arguments.reduction {
            ReductionName::Mean => Some(self.evaluated.loss(Reduction::Mean)),
            ReductionName::Sum => Some(self.evaluated.loss(Reduction::Sum)),
            ReductionName::None => None,
        }
    }

    fn json(&self) -> String {
        let totals = &self.evaluated.totals;
        let place = totals.first_non_finite().and_then(|row| usize::try_from(row).ok());
        let metric = |value: Option<f64>| value.map(number::json);
        report::pretty(&serde_json::json!({
            "loss_name": self.loss.name(),
            "loss": metric(self.reduced()),
            "reduction": self.arguments.reduction.name(),
            "rows": totals.rows(),
            "classes": self.input.axis.classes,
            "ignored": totals.survey().ignored(),
            "weight_sum": number::json(totals.weight_sum()),
            "perplexity": metric(totals.perplexity()),
            "bits": metric(totals.mean_bits()),
            "top1": metric(totals.top1_accuracy()),
            "top5": metric(totals.top5_accuracy()),
            "non_finite_rows": totals.non_finite(),
            "first_non_finite_row": place,
            "first_non_finite_place": place.map(|row| self.input.place_of_row(row)),
            "engine": self.engine.name(),
            "adapter": self.engine.adapter(),
            "dtype": self.input.logits.element().name(),
            "seconds": self.time.all.as_secs_f64(),
            "row_seconds": self.time.rows.as_secs_f64(),
        }))
    }

    fn table(&self) -> String {
        let totals = &self.evaluated.totals;
        let metric = |value: Option<f64>| value.map_or_else(String::new, number::short);
        let percent = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{:.2} %", 100.0 * v));
        let loss = match self.reduced() {
            Some(loss) => format!("{} nats", number::short(loss)),
            None => "not reduced (--out-loss writes one a row)".into(),
        };
        let mut rows = vec![
            ("loss", loss),
            ("of", format!("{}, reduction {}", self.loss.name(), self.arguments.reduction.name())),
            ("perplexity", metric(totals.perplexity())),
            ("bits", metric(totals.mean_bits())),
            ("top-1", percent(totals.top1_accuracy())),
            ("top-5", percent(totals.top5_accuracy())),
            (
                "rows",
                format!(
                    "{} of {} classes ({})",
                    number::grouped(totals.rows()),
                    number::grouped(self.input.axis.classes as u64),
                    self.input.logits.element()
                ),
            ),
            ("ignored", number::grouped(totals.survey().ignored())),
            ("weight sum", number::short(totals.weight_sum())),
        ];
        if totals.non_finite() > 0 {
            rows.push(("not finite", number::grouped(totals.non_finite())));
        }
        let engine = self.engine.adapter().map_or_else(String::new, |adapter| format!(", {adapter}"));
        rows.push(("engine", format!("{}{engine}", self.engine.name())));
        let (all, of_rows) = (self.time.all.as_secs_f64(), self.time.rows.as_secs_f64());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people to read")]
        let rate = (self.input.logits_bytes() as f64 / of_rows.max(1e-9)) as u64;
        rows.push(("time", format!("{all:.3} s; rows {of_rows:.3} s, {}/s of logits", number::bytes(rate))));
        report::table(&rows)
    }
}
