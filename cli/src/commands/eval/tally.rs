//! What the chunks come to.

use std::time::{Duration, Instant};

use logloss::totals::{Labels, PairwiseSum, Totals, reduced_loss};
use logloss::{ABSENT, Reduction, TargetKind};

use crate::engine::{DeviceUse, Part};
use crate::loss::Loss;

/// Totals of a stream of chunks; they do not depend on how it was cut.
#[derive(Debug)]
pub(super) struct Tally {
    /// Of losses of rows against class indices.
    metrics: Option<Totals>,
    losses: PairwiseSum,
    /// The loss as it reduces itself, where the whole batch was one chunk.
    whole: Option<f64>,
    non_finite: u64,
    first_non_finite: Option<usize>,
    start: Instant,
    time: Duration,
    device: Option<DeviceUse>,
}

impl Tally {
    /// Of nothing yet.
    pub(super) fn of(loss: &Loss) -> Self {
        Self {
            metrics: (loss.targets == TargetKind::Classes).then(Totals::default),
            losses: PairwiseSum::default(),
            whole: None,
            non_finite: 0,
            first_non_finite: None,
            start: Instant::now(),
            time: Duration::ZERO,
            device: None,
        }
    }

    /// Adds the next chunk, whose first row is `first_row`: its labels, if it has any, and what an engine made of it.
    ///
    /// # Errors
    /// As [`Totals::push_chunk`].
    pub(super) fn push(&mut self, first_row: usize, labels: &Labels<'_>, part: &Part) -> logloss::Result<()> {
        let evaluation = &part.evaluation;
        match &part.exact_losses {
            Some(losses) => losses.iter().for_each(|&loss| self.losses.push(loss)),
            None => evaluation.losses.iter().for_each(|&loss| self.losses.push(loss.into())),
        }
        let summary = &evaluation.summary;
        self.non_finite += u64::from(summary.non_finite);
        if self.first_non_finite.is_none() && summary.non_finite > 0 && summary.first_non_finite != ABSENT {
            self.first_non_finite = usize::try_from(summary.first_non_finite).ok().map(|row| first_row + row);
        }
        match &mut self.metrics {
            Some(metrics) => metrics.push_chunk(labels, evaluation),
            None => Ok(()),
        }
    }

    /// Takes the loss of the whole batch as the loss itself reduced it.
    pub(super) const fn set_whole(&mut self, loss: f64) {
        self.whole = Some(loss);
    }

    /// Stops the clock, which has run since nothing was there, and takes note of what a device needed.
    pub(super) fn finished(self, device: Option<DeviceUse>) -> Self {
        Self { time: self.start.elapsed(), device, ..self }
    }

    /// What a device needed.
    pub(super) const fn device(&self) -> Option<DeviceUse> {
        self.device
    }

    /// How long the chunks took.
    pub(super) const fn time(&self) -> Duration {
        self.time
    }

    /// The sum of the losses over `denominator`; NaN where that is 0.
    pub(super) fn loss(&self, denominator: f64) -> f64 {
        self.whole.unwrap_or_else(|| reduced_loss(Reduction::Mean, self.losses.total(), denominator))
    }

    /// What only losses of rows against class indices have.
    pub(super) const fn metrics(&self) -> Option<&Totals> {
        self.metrics.as_ref()
    }

    /// Rows that count and are not finite.
    pub(super) const fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// The first of them, where the engine knows it.
    pub(super) const fn first_non_finite(&self) -> Option<usize> {
        self.first_non_finite
    }
}
