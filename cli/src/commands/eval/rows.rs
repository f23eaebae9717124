//! Losses of rows and of logits: a stream of chunks of rows.

use logloss::Unit;

use super::Task;
use super::log_prob::LogProb;
use super::tally::Tally;
use crate::failure::Outcome;
use crate::input::Buffers;
use crate::outputs::Outputs;
use crate::progress;

/// Evaluates all rows.
///
/// # Errors
/// See the exit codes.
pub(super) fn stream<'a>(task: &Task<'a>, outputs: &mut Outputs) -> Outcome<Tally<'a>> {
    let &Task { loss, input, .. } = task;
    let goal = task.goal();
    let mut session = task.engine.session(loss, goal)?;
    let bar = progress::bar(input.logits_bytes(), task.arguments.quiet);
    let (mut buffers, mut log_prob) = (Buffers::default(), LogProb::default());
    let mut tally = Tally::of(loss);
    let (all, step) = (input.axis.rows(), task.budget(outputs).rows(&input.axis));
    for first in (0..all).step_by(step) {
        task.interrupt.check()?;
        let rows = first..all.min(first + step);
        let batch = input.rows(rows.clone(), &mut buffers)?;
        let part = session.evaluate(&batch).map_err(|error| task.explain(error, first))?;
        tally.push(first, &batch, &part)?;
        if loss.unit == Unit::Element {
            outputs.write_element_losses(input, first, &part.evaluation.losses)?;
        } else {
            outputs.write_losses(first, &part.evaluation.losses)?;
        }
        if goal.gradient {
            outputs.write_gradient(input, first, &part.evaluation.gradient)?;
        }
        log_prob.write(task, outputs, rows.clone())?;
        input.release(rows.clone());
        bar.set_position(input.logits_bytes() / all as u64 * rows.end as u64);
    }
    bar.finish_and_clear();
    Ok(tally.finished())
}
