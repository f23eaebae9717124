//! Losses of regions: a stream of chunks of samples, or the whole batch at once.

use std::ops::Range;

use anyhow::Result;
use logloss::{Batch, Reduction};

use super::Task;
use super::chunks::Budget;
use super::stream::{self, Cut};
use super::tally::Tally;
use crate::engine::{Goal, Part, Reduce};
use crate::failure::Outcome;
use crate::input::{Buffers, Samples};
use crate::loss::ReductionName;
use crate::outputs::Outputs;

/// Evaluates all samples.
///
/// # Errors
/// See the exit codes.
pub(super) fn stream(task: &Task<'_>, outputs: &mut Outputs) -> Outcome<Tally> {
    let goal = goal(task);
    let all = Samples::of(task.input);
    let budget = task.budget(outputs);
    if task.loss.is_of_the_whole() {
        let name = task.loss.name;
        let why = if name.is_sum_of_two() { format!("--loss {name}") } else { "--batch".to_owned() };
        budget.check_whole(all, task.input.axis.classes, &why)?;
    }
    let mut cut =
        WholeSamples { task, all, budget, reduces_itself: matches!(goal.reduce, Reduce::Itself(_)), regions: 0 };
    stream::run(task, goal, outputs, &mut cut)
}

struct WholeSamples<'t, 'a> {
    task: &'t Task<'a>,
    all: Samples,
    budget: Budget,
    /// The loss of the whole batch is not the sum of unreduced losses.
    reduces_itself: bool,
    /// Regions written so far.
    regions: usize,
}

impl Cut for WholeSamples<'_, '_> {
    fn units(&self) -> usize {
        self.all.count
    }

    fn step(&self, logits: u64) -> usize {
        if self.task.loss.is_of_the_whole() {
            return self.all.count;
        }
        self.budget.samples(self.all, self.task.input.axis.classes, logits)
    }

    fn rows(&self, units: &Range<usize>) -> Range<usize> {
        self.all.rows(units)
    }

    fn read<'b>(&'b self, units: Range<usize>, buffers: &'b mut Buffers) -> Result<Batch<'b>> {
        self.task.input.samples(self.all, units, buffers)
    }

    fn write(&mut self, outputs: &mut Outputs, tally: &mut Tally, units: &Range<usize>, part: &Part) -> Result<()> {
        let evaluation = &part.evaluation;
        if self.reduces_itself {
            tally.set_whole(part.loss);
        } else {
            outputs.write_losses(self.regions, &evaluation.losses)?;
        }
        self.regions += evaluation.losses.len();
        if !evaluation.gradient.is_empty() {
            outputs.write_sample_gradient(self.task.input, self.all, units.start, &evaluation.gradient)?;
        }
        Ok(())
    }
}

/// A sum of two losses is not the sum of unreduced losses: it reduces itself.
fn goal(task: &Task<'_>) -> Goal {
    if !task.loss.name.is_sum_of_two() {
        return task.goal();
    }
    let reduction = match task.arguments.reduction {
        ReductionName::Mean => Reduction::Mean,
        ReductionName::Sum | ReductionName::None | ReductionName::Batchmean => Reduction::Sum,
    };
    Goal { reduce: Reduce::Itself(reduction), ..task.goal() }
}
