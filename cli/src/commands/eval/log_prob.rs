//! `--out-log-prob`.

use std::ops::Range;

use logloss::{Shape, cpu};

use super::Task;
use crate::failure::Outcome;
use crate::outputs::Outputs;

/// The log-softmax of chunks of rows, with its memory.
#[derive(Default)]
pub(super) struct LogProb {
    logits: Vec<f32>,
    capped: Vec<f32>,
    out: Vec<f32>,
}

impl LogProb {
    /// Writes the log-probabilities of rows `rows`, if they are wanted.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn write(&mut self, task: &Task<'_>, outputs: &mut Outputs, rows: Range<usize>) -> Outcome<()> {
        if !outputs.want_log_prob() {
            return Ok(());
        }
        let axis = &task.input.axis;
        let options = &task.arguments.options;
        let shape = Shape::try_from((rows.len(), axis.classes))?;
        let mut logits = axis.rows_of(&task.input.logits, rows.clone(), &mut self.logits)?;
        if let Some(cap) = options.softcap {
            self.capped.clear();
            self.capped.extend(logits.iter().map(|x| cap * (x / cap).tanh()));
            logits = &self.capped;
        }
        self.out.resize(logits.len(), 0.0);
        cpu::log_softmax(shape, options.temperature.unwrap_or(1.0), logits, &mut self.out)?;
        Ok(outputs.write_log_prob(task.input, rows.start, &self.out)?)
    }
}
