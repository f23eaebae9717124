//! `logloss eval`: two passes over the targets and one over the logits, in chunks of rows.
//!
//! 1. The targets are validated, and their weights summed: a mean divides by that sum, and its gradient needs it first.
//! 2. Each chunk of logits goes through an engine; losses, gradients and totals come out in row order.
//!
//! Neither a row's numbers nor the totals depend on how the rows were cut.

mod arguments;
mod report;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use logloss::totals::{PairwiseSum, Totals, reduced_loss};
use logloss::{Batch, Reduction, Shape, cpu};

use crate::engine::Engine;
use crate::failure::Outcome;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::loss::{Loss, ReductionName};
use crate::outputs::Outputs;
use crate::tensor::{ClassAxis, Element};
use crate::{number, output, progress};
pub use arguments::Arguments;
use report::Report;

/// A GPU's kernels take rows in groups of at most this many.
const GROUP_ROWS: usize = 4;

/// Bytes that target, loss and details of a row take, on host and device, in all their copies.
const ROW_BYTES: u64 = 128;

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
