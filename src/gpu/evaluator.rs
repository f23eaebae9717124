//! Host slices in, numbers out: an evaluation that keeps its buffers between batches.

use super::device::Gpu;
use super::kernel::Kernel;
use super::program::GpuLoss;
use super::slot::{Slot, Times};
use super::tuning::Tuning;
use crate::batch::Targets;
use crate::{Batch, Error, Evaluation, Request, Result};

/// A loss compiled for a [`Gpu`], evaluated on host slices.
///
/// Uploads, computes and reads back, and blocks meanwhile or does not. Buffers are kept and grow to the largest batch seen. For many batches one after
/// another a [`Stream`](super::Stream) is faster.
pub struct Evaluator<'g> {
    gpu: &'g Gpu,
    kernel: Kernel,
    slot: Slot,
}

impl<'g> Evaluator<'g> {
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
        Ok(Self { gpu, kernel: gpu.tuned_kernel(loss, request, tuning)?, slot: Slot::default() })
    }

    /// Evaluates a batch.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::BadTarget`], [`Error::BadValue`], [`Error::TooLarge`] or [`Error::Device`].
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Evaluation> {
        pollster::block_on(self.slot.submit(self.gpu, &self.kernel, batch))?;
        let finished = self.slot.finish_blocking(self.gpu, &self.kernel);
        self.evaluation(finished, batch)
    }

    /// As [`evaluate`](Self::evaluate), without blocking: for browsers, and for programs that poll the device themselves.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub async fn evaluate_async(&mut self, batch: &Batch<'_>) -> Result<Evaluation> {
        self.slot.submit(self.gpu, &self.kernel, batch).await?;
        let finished = self.slot.finish(self.gpu, &self.kernel).await;
        self.evaluation(finished, batch)
    }

    fn evaluation(&self, finished: Result<(Evaluation, Times)>, batch: &Batch<'_>) -> Result<Evaluation> {
        finished.map(|(evaluation, _)| evaluation).map_err(|error| named_value(&self.kernel, error, batch))
    }
}

/// The error of a batch's results, with the value where its values are at hand.
pub(super) fn named_value(kernel: &Kernel, error: Error, batch: &Batch<'_>) -> Error {
    match error {
        Error::OutsideDomain { .. } => kernel.definition().domains.violation(batch).unwrap_or(error),
        _ => error,
    }
}

impl Gpu {
    /// Compiles a loss, sharing what other kernels of this `Gpu` have compiled.
    ///
    /// # Errors
    /// As [`Kernel::new`], and [`Error::Device`] if the device has failed.
    pub fn kernel(&self, loss: &(impl GpuLoss + ?Sized), request: Request) -> Result<Kernel> {
        self.tuned_kernel(loss, request, Tuning::default())
    }

    /// As [`kernel`](Self::kernel), with variants forced.
    pub(super) fn tuned_kernel(
        &self,
        loss: &(impl GpuLoss + ?Sized),
        request: Request,
        tuning: Tuning,
    ) -> Result<Kernel> {
        let kernel = Kernel::with_pipelines(self.pipelines.clone(), loss, request, tuning)?;
        self.check()?;
        Ok(kernel)
    }

    /// Evaluates one batch: compiles, uploads, computes, reads back. Keep an [`Evaluator`] to do it more than once.
    ///
    /// # Errors
    /// As [`Evaluator::new`] and [`Evaluator::evaluate`].
    pub fn evaluate(&self, loss: &(impl GpuLoss + ?Sized), request: Request, batch: &Batch<'_>) -> Result<Evaluation> {
        Evaluator::new(self, loss, request_of(request, batch))?.evaluate(batch)
    }

    /// As [`evaluate`](Self::evaluate), without blocking: for browsers, and for programs that poll the device themselves.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub async fn evaluate_async(
        &self,
        loss: &(impl GpuLoss + ?Sized),
        request: Request,
        batch: &Batch<'_>,
    ) -> Result<Evaluation> {
        Evaluator::new(self, loss, request_of(request, batch))?.evaluate_async(batch).await
    }
}

/// What is requested of a batch of this type and these targets.
fn request_of(request: Request, batch: &Batch<'_>) -> Request {
    let dense_targets = matches!(batch.targets, Targets::Dense(_));
    Request { dtype: batch.logits.dtype(), dense_targets, ..request }
}
