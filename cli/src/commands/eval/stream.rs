//! The stream of chunks: while a device computes one, the next is read and uploaded.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::Result;
use logloss::Batch;

use super::Task;
use super::log_prob::LogProb;
use super::tally::Tally;
use crate::engine::{Goal, Part, Session};
use crate::failure::{Failure, Outcome};
use crate::input::Buffers;
use crate::outputs::Outputs;
use crate::progress;

/// How a batch is cut into chunks of consecutive units, which are rows or samples.
pub(super) trait Cut {
    /// Units in all.
    fn units(&self) -> usize;

    /// Units of a chunk of so many logits, and of no more than memory allows; at least one.
    fn step(&self, logits: u64) -> usize;

    /// The rows of some units.
    fn rows(&self, units: &Range<usize>) -> Range<usize>;

    /// Reads some units.
    fn read<'b>(&'b self, units: Range<usize>, buffers: &'b mut Buffers) -> Result<Batch<'b>>;

    /// Writes what came of some units.
    fn write(&mut self, outputs: &mut Outputs, tally: &mut Tally, units: &Range<usize>, part: &Part) -> Result<()>;
}

/// A chunk that was pushed.
struct Pending {
    units: Range<usize>,
    targets: Vec<i32>,
}

/// Evaluates all chunks.
///
/// # Errors
/// See the exit codes.
pub(super) fn run(task: &Task<'_>, goal: Goal, outputs: &mut Outputs, cut: &mut impl Cut) -> Outcome<Tally> {
    let &Task { loss, input, .. } = task;
    let mut session = task.engine.session(loss, goal)?;
    let bar = progress::bar(input.logits_bytes(), task.arguments.quiet);
    let (mut buffers, mut log_prob) = (Buffers::default(), LogProb::default());
    let mut tally = Tally::of(loss);
    let mut pending = VecDeque::new();
    let mut next = 0;
    // A batch that must be whole is a chunk even of no units.
    let mut is_due = cut.units() > 0 || loss.is_of_the_whole();
    while is_due || !pending.is_empty() {
        task.interrupt.check()?;
        if is_due && !session.is_full() {
            let units = next..cut.units().min(next + cut.step(session.advised_logits()));
            let rows = cut.rows(&units);
            let batch = cut.read(units.clone(), &mut buffers)?;
            session.push(&batch).map_err(|error| task.explain(error, rows.start))?;
            let targets = batch.class_targets().to_vec();
            log_prob.write(task, outputs, rows.clone())?;
            input.release(rows);
            next = units.end;
            is_due = next < cut.units();
            pending.push_back(Pending { units, targets });
        } else if let Some(Pending { units, targets }) = pending.pop_front() {
            let rows = cut.rows(&units);
            let part = match session.pull() {
                Ok(part) => part,
                Err(error) => return Err(named_value(task, &session, error, cut, units, &mut buffers)),
            };
            tally.push(rows.start, &input.labels(&targets, loss.ignore_index()), &part)?;
            cut.write(outputs, &mut tally, &units, &part)?;
            bar.set_position(input.logits_bytes() / input.axis.rows().max(1) as u64 * rows.end as u64);
        }
    }
    bar.finish_and_clear();
    Ok(tally.finished(session.device_use()))
}

/// What to say of the error of a chunk, which is read again for the value.
fn named_value(
    task: &Task<'_>,
    session: &Session<'_>,
    error: logloss::Error,
    cut: &impl Cut,
    units: Range<usize>,
    buffers: &mut Buffers,
) -> Failure {
    let first_row = cut.rows(&units).start;
    match cut.read(units, buffers) {
        Ok(batch) => task.explain(session.named_value(error, &batch), first_row),
        Err(unreadable) => unreadable.into(),
    }
}
