//! Losses of rows and of logits: a stream of chunks of rows.

use std::ops::Range;

use anyhow::Result;
use logloss::{Batch, Unit};

use super::Task;
use super::chunks::Budget;
use super::stream::{self, Cut};
use super::tally::Tally;
use crate::engine::Part;
use crate::failure::Outcome;
use crate::input::Buffers;
use crate::outputs::Outputs;

/// Evaluates all rows.
///
/// # Errors
/// See the exit codes.
pub(super) fn stream(task: &Task<'_>, outputs: &mut Outputs) -> Outcome<Tally> {
    let budget = task.budget(outputs);
    stream::run(task, task.goal(), outputs, &mut Rows { task, budget })
}

struct Rows<'t, 'a> {
    task: &'t Task<'a>,
    budget: Budget,
}

impl Cut for Rows<'_, '_> {
    fn units(&self) -> usize {
        self.task.input.axis.rows()
    }

    fn step(&self, logits: u64) -> usize {
        self.budget.rows(&self.task.input.axis, logits)
    }

    fn rows(&self, units: &Range<usize>) -> Range<usize> {
        units.clone()
    }

    fn read<'b>(&'b self, units: Range<usize>, buffers: &'b mut Buffers) -> Result<Batch<'b>> {
        self.task.input.rows(units, buffers)
    }

    fn write(&mut self, outputs: &mut Outputs, _: &mut Tally, units: &Range<usize>, part: &Part) -> Result<()> {
        let (input, evaluation) = (self.task.input, &part.evaluation);
        if self.task.loss.unit == Unit::Element {
            outputs.write_element_losses(input, units.start, &evaluation.losses)?;
        } else {
            outputs.write_losses(units.start, &evaluation.losses)?;
        }
        if !evaluation.gradient.is_empty() {
            outputs.write_gradient(input, units.start, &evaluation.gradient)?;
        }
        Ok(())
    }
}
