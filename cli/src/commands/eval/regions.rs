//! Losses of regions: a stream of chunks of samples, or the whole batch at once.

use logloss::Reduction;

use super::Task;
use super::log_prob::LogProb;
use super::tally::Tally;
use crate::engine::{Goal, Reduce};
use crate::failure::Outcome;
use crate::input::{Buffers, Samples};
use crate::loss::ReductionName;
use crate::outputs::Outputs;
use crate::progress;

/// Evaluates all samples.
///
/// # Errors
/// See the exit codes.
pub(super) fn stream<'a>(task: &Task<'a>, outputs: &mut Outputs) -> Outcome<Tally<'a>> {
    let &Task { loss, input, .. } = task;
    let goal = goal(task);
    let all = Samples::of(input);
    let budget = task.budget(outputs);
    let step = if loss.is_of_the_whole() {
        let why = if loss.name.is_sum_of_two() { format!("--loss {}", loss.name) } else { "--batch".to_owned() };
        budget.check_whole(all, input.axis.classes, &why)?;
        all.count.max(1)
    } else {
        budget.samples(all, input.axis.classes)
    };
    let mut session = task.engine.session(loss, goal)?;
    let bar = progress::bar(input.logits_bytes(), task.arguments.quiet);
    let (mut buffers, mut log_prob) = (Buffers::default(), LogProb::default());
    let mut tally = Tally::of(loss);
    let mut regions = 0;
    // A whole batch is one chunk, even of no samples.
    let end = if loss.is_of_the_whole() { all.count.max(1) } else { all.count };
    for first in (0..end).step_by(step) {
        task.interrupt.check()?;
        let samples = first..all.count.min(first + step);
        let rows = all.rows(&samples);
        let batch = input.samples(all, samples.clone(), &mut buffers)?;
        let part = session.evaluate(&batch).map_err(|error| task.explain(error, rows.start))?;
        tally.push(rows.start, &batch, &part)?;
        if matches!(goal.reduce, Reduce::Itself(_)) {
            tally.set_whole(part.loss);
        } else {
            outputs.write_losses(regions, &part.evaluation.losses)?;
        }
        regions += part.evaluation.losses.len();
        if goal.gradient {
            outputs.write_sample_gradient(input, all, first, &part.evaluation.gradient)?;
        }
        log_prob.write(task, outputs, rows.clone())?;
        input.release(rows);
        bar.set_position(input.logits_bytes() / all.count.max(1) as u64 * samples.end as u64);
    }
    bar.finish_and_clear();
    Ok(tally.finished())
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
