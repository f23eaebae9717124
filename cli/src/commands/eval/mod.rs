//! `logloss eval`: two passes over class indices and one over the logits, in chunks.
//!
//! 1. Class indices are validated, and their weights summed: a mean divides by that sum, and its gradient needs it first.
//! 2. Each chunk goes through an engine; losses, gradients and totals come out in order. A loss of rows or of logits takes
//!    chunks of [`rows`], a loss of regions chunks of samples ([`regions`]).
//!
//! Neither a single loss nor the totals depend on how the batch was cut.

mod arguments;
mod chunks;
mod help;
mod log_prob;
mod regions;
mod report;
mod rows;
mod stream;
mod tally;

use std::time::Instant;

use logloss::totals::Survey;
use logloss::{Mean, TargetKind, Unit};

use crate::engine::{Engine, Goal, Load, Reduce};
use crate::failure::{Failure, Outcome};
use crate::input::{Input, Samples};
use crate::interrupt::Interrupt;
use crate::loss::{Loss, ReductionName};
use crate::outputs::Outputs;
use crate::tensor::Element;
use crate::{number, output};
pub use arguments::Arguments;
use chunks::Budget;
use report::Report;

/// Evaluates files and reports.
///
/// # Errors
/// See the exit codes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let loss = arguments.loss()?;
    arguments.outputs.check(arguments.inputs())?;
    let input = arguments.open_input(&loss)?;
    let interrupt = Interrupt::listen()?;
    let mut outputs = Outputs::create(&arguments.outputs, &input, loss.unit)?;
    if input.logits.element() == Element::F64 {
        output::note("note: the logits are float64; they are rounded to float32");
    }

    let start = Instant::now();
    let survey = input.survey(loss.ignore_index())?;
    let engine = Engine::open(arguments.engine, arguments.adapter().as_ref())?;
    let denominator = denominator(arguments.reduction, &loss, &input, survey.as_ref());
    let task = Task { arguments, loss: &loss, input: &input, engine: &engine, denominator, interrupt: &interrupt };
    let tally = match loss.unit {
        Unit::Row | Unit::Element => rows::stream(&task, &mut outputs)?,
        Unit::Region(_) => regions::stream(&task, &mut outputs)?,
    };
    interrupt.check()?;
    outputs.finish()?;
    let time = start.elapsed();

    if tally.non_finite() > 0 {
        let place = tally
            .first_non_finite()
            .map_or_else(String::new, |row| format!("; the first is that of {}", input.place_of_row(row)));
        let what = match loss.unit {
            Unit::Element => "of the losses are NaN",
            Unit::Row | Unit::Region(_) => "of the rows that count hold NaN, +inf or nothing but -inf",
        };
        output::note(format_args!("warning: {} {what}{place}", number::grouped(tally.non_finite())));
    }
    let report = Report { task: &task, survey: survey.as_ref(), tally: &tally, time };
    output::result(if arguments.json { report.json() } else { report.table() })
}

/// What is to be computed of what, and with what.
struct Task<'a> {
    arguments: &'a Arguments,
    loss: &'a Loss,
    input: &'a Input,
    engine: &'a Engine,
    /// What the reduction divides the sum of the losses by.
    denominator: f64,
    interrupt: &'a Interrupt,
}

impl Task<'_> {
    /// Where nothing counts, a mean has a gradient of zeros, which is what an output holds that nothing is written to.
    fn wants_gradient(&self) -> bool {
        self.arguments.outputs.out_grad.is_some() && self.denominator != 0.0
    }

    /// What is to be computed of a chunk: the losses, and its share of the gradient.
    fn goal(&self) -> Goal {
        let gradient = self.wants_gradient();
        let divides = matches!(self.arguments.reduction, ReductionName::Mean | ReductionName::Batchmean);
        let reduce = if divides && gradient { Reduce::Over(self.denominator) } else { Reduce::Sum };
        Goal { reduce, gradient, dense_targets: self.input.kind == TargetKind::Dense }
    }

    fn budget(&self, outputs: &Outputs) -> Budget {
        let load = Load {
            alone: self.loss.is_of_the_whole(),
            gradient: self.wants_gradient(),
            dense_targets: self.input.kind == TargetKind::Dense,
            element_losses: self.loss.unit == Unit::Element,
        };
        // Gathered rows, and their log-probabilities.
        let log_prob = if outputs.want_log_prob() { 8 } else { 0 };
        Budget {
            memory: self.arguments.memory,
            bytes_per_logit: self.engine.bytes_per_logit(load) + log_prob,
            max_buffer: self.engine.max_bytes(),
        }
    }

    /// A library error about a chunk that starts with row `first_row`, in terms of the files.
    fn explain(&self, error: logloss::Error, first_row: usize) -> Failure {
        match self.input.explain_value(error, first_row) {
            Ok(explained) => Failure::Data(explained),
            Err(other) => other.into(),
        }
    }
}

fn denominator(reduction: ReductionName, loss: &Loss, input: &Input, survey: Option<&Survey>) -> f64 {
    match (reduction, loss.mean, survey) {
        (ReductionName::Sum | ReductionName::None, ..) => 1.0,
        (ReductionName::Batchmean, ..) => input.logits.shape().first().copied().unwrap_or(1) as f64,
        (ReductionName::Mean, Mean::Weights, Some(survey)) => survey.weight_sum(),
        (ReductionName::Mean, Mean::Rows, Some(survey)) => survey.counted() as f64,
        (ReductionName::Mean, ..) => match loss.unit {
            Unit::Row => input.axis.rows() as f64,
            Unit::Element => input.logits.len() as f64,
            Unit::Region(regions) => Samples::of(input).regions(regions, input.axis.classes) as f64,
        },
    }
}
