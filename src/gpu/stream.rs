//! Batch after batch: while one is computed, the next is uploaded.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use super::device::Gpu;
use super::evaluator::named_value;
use super::kernel::Kernel;
use super::pace::Pace;
use super::program::GpuLoss;
use super::slot::{Slot, Times};
use super::tuning::Tuning;
use crate::{Batch, Error, Evaluation, Request, Result};

/// A loss compiled for a [`Gpu`], evaluated on a stream of batches: the parts of one that is larger than the device, or than
/// memory.
///
/// [`push`](Self::push) copies a batch to memory that the device reads, submits it and returns; [`pull`](Self::pull) waits for the
/// oldest that is in flight. Results come in order, and have the bits that an [`Evaluator`](super::Evaluator) gives. No more than
/// [`SLOTS`](Self::SLOTS) batches are in flight, each with buffers of its own that grow to the largest batch seen; so memory is
/// bounded by the batches and not by the stream.
///
/// A row's bits do not depend on the batch that it is in, for rows that start at the same logit modulo four, or modulo eight of
/// 16-bit logits: cut at multiples of eight rows, and add up with [`Totals`](crate::totals::Totals).
///
/// ```no_run
/// use logloss::gpu::{Gpu, Stream};
/// use logloss::totals::{Labels, Totals};
/// use logloss::{Batch, CrossEntropy, Reduction, Request, Shape};
///
/// # fn main() -> logloss::Result<()> {
/// # let (logits, targets): (Vec<f32>, Vec<i32>) = Default::default();
/// let loss = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
/// let gpu = Gpu::open(&Default::default())?;
/// let mut stream = Stream::new(&gpu, &loss, Request::FORWARD)?;
/// let mut totals = Totals::default();
/// let (mut pushed, mut pulled) = (targets.chunks(400), targets.chunks(400));
/// for logits in logits.chunks(400 * 1000) {
///     let targets = pushed.next().unwrap_or_default();
///     if stream.is_full() {
///         let labels = Labels::new(pulled.next().unwrap_or_default(), 1000, &loss.ignore_index);
///         totals.push_chunk(&labels, &stream.pull()?)?;
///     }
///     stream.push(&Batch::new(Shape::new(targets.len() as u32, 1000), logits, targets))?;
/// }
/// while !stream.is_empty() {
///     let labels = Labels::new(pulled.next().unwrap_or_default(), 1000, &loss.ignore_index);
///     totals.push_chunk(&labels, &stream.pull()?)?;
/// }
/// println!("{} nats", totals.loss(Reduction::Mean));
/// # Ok(())
/// # }
/// ```
pub struct Stream<'g> {
    gpu: &'g Gpu,
    kernel: Kernel,
    idle: Vec<Slot>,
    /// The oldest first, each with its number of logits.
    in_flight: VecDeque<(Slot, u64)>,
    pace: Pace,
    /// When the batch before the oldest was finished.
    last_end: Option<Instant>,
}

impl<'g> Stream<'g> {
    /// Batches in flight: one is computed while the next is uploaded.
    pub const SLOTS: usize = 2;

    /// Compiles `loss` on `gpu`.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    pub fn new(gpu: &'g Gpu, loss: &(impl GpuLoss + ?Sized), request: Request) -> Result<Self> {
        Self::with_tuning(gpu, loss, request, Tuning::default())
    }

    /// As [`new`](Self::new), with variants forced.
    ///
    /// # Errors
    /// As [`Kernel::with_tuning`].
    pub fn with_tuning(gpu: &'g Gpu, loss: &(impl GpuLoss + ?Sized), request: Request, tuning: Tuning) -> Result<Self> {
        Ok(Self {
            gpu,
            kernel: gpu.tuned_kernel(loss, request, tuning)?,
            idle: std::iter::repeat_with(Slot::default).take(Self::SLOTS).collect(),
            in_flight: VecDeque::new(),
            pace: Pace::default(),
            last_end: None,
        })
    }

    /// Whether a batch must be pulled before the next is pushed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.idle.is_empty()
    }

    /// Whether nothing is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Uploads a batch and submits it. The batch is free when this returns.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::TooLarge`] or [`Error::Device`]; what is in flight stays there.
    ///
    /// # Panics
    /// If the stream [is full](Self::is_full).
    pub fn push(&mut self, batch: &Batch<'_>) -> Result<()> {
        let mut slot = self.idle.pop().expect("a stream that is not full");
        match pollster::block_on(slot.submit(self.gpu, &self.kernel, batch)) {
            Ok(()) => self.in_flight.push_back((slot, batch.layout.elements())),
            Err(error) => {
                self.idle.push(slot);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for the oldest batch in flight, and returns what came of it.
    ///
    /// # Errors
    /// [`Error::BadTarget`] and [`Error::OutsideDomain`] with the row in that batch, and [`Error::Device`]. The batch has left the
    /// stream then too, and those behind it stay.
    ///
    /// # Panics
    /// If the stream [is empty](Self::is_empty).
    pub fn pull(&mut self) -> Result<Evaluation> {
        let (mut slot, logits) = self.in_flight.pop_front().expect("a stream that is not empty");
        let finished = slot.finish_blocking(self.gpu, &self.kernel);
        self.idle.push(slot);
        let (evaluation, Times { start, end }) = finished?;
        // It waited for the batch before it.
        let began = self.last_end.map_or(start, |last| last.max(start));
        self.pace.record(logits, end.saturating_duration_since(began));
        self.last_end = Some(end);
        Ok(evaluation)
    }

    /// How many logits the next batch should have at most, so that the device is through with it in about a tenth of a second:
    /// little at first, and then by what was measured. A desktop that shares the device stays responsive, and no driver takes it
    /// for hung.
    #[must_use]
    pub const fn advised_logits(&self) -> u64 {
        self.pace.logits()
    }

    /// The longest time from the submission of a batch, or the end of the one before it, until it was known to be finished.
    #[must_use]
    pub const fn longest_submission(&self) -> Duration {
        self.pace.longest()
    }

    /// The error of a batch that was pulled, naming the value where it only named the row: [`Error::BadValue`] for
    /// [`Error::OutsideDomain`].
    #[must_use]
    pub fn named_value(&self, error: Error, batch: &Batch<'_>) -> Error {
        named_value(&self.kernel, error, batch)
    }

    /// Bytes of all its buffers, on the device and mapped.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.idle.iter().chain(self.in_flight.iter().map(|(slot, _)| slot)).map(Slot::bytes).sum()
    }
}
