//! Host slices in, numbers out: a blocking evaluation that keeps its buffers between batches.

use bytemuck::Pod;

use super::device::{Gpu, checked_summary};
use super::kernel::Kernel;
use super::plan::Tuning;
use super::program::GpuLoss;
use super::scratch::{check_buffer, whole};
use super::tensors::{Inputs, Outputs};
use crate::summary::{Details, Gradient};
use crate::{Batch, Evaluation, Request, Result, Summary};

/// A loss compiled for a [`Gpu`], evaluated on host slices.
///
/// Uploads, computes, reads back and blocks. Buffers are kept and grow to the largest batch seen.
pub struct Evaluator<'g> {
    gpu: &'g Gpu,
    kernel: Kernel,
    request: Request,
    logits: Slot,
    targets: Slot,
    class_weights: Slot,
    row_weights: Slot,
    gradient: Slot,
    losses: Slot,
    details: Slot,
    summary: Slot,
}

/// A buffer that grows.
#[derive(Default)]
struct Slot(Option<wgpu::Buffer>);

impl Slot {
    fn reserve(&mut self, gpu: &Gpu, label: &'static str, bytes: u64) -> &wgpu::Buffer {
        let bytes = bytes.max(16).next_multiple_of(16);
        if self.0.as_ref().is_none_or(|b| b.size() < bytes) {
            self.0 = None;
        }
        self.0.get_or_insert_with(|| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            })
        })
    }

    fn upload<'s>(&'s mut self, gpu: &Gpu, label: &'static str, data: &[impl Pod]) -> &'s wgpu::Buffer {
        let buffer = self.reserve(gpu, label, size_of_val(data) as u64);
        gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(data));
        buffer
    }
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
        let kernel = Kernel::with_pipelines(gpu.pipelines.clone(), loss, request, tuning)?;
        gpu.check()?;
        Ok(Self {
            gpu,
            kernel,
            request,
            logits: Slot::default(),
            targets: Slot::default(),
            class_weights: Slot::default(),
            row_weights: Slot::default(),
            gradient: Slot::default(),
            losses: Slot::default(),
            details: Slot::default(),
            summary: Slot::default(),
        })
    }

    /// Evaluates a batch.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`](crate::Error::LengthMismatch), [`Error::BadTarget`](crate::Error::BadTarget),
    /// [`Error::TooLarge`](crate::Error::TooLarge) or [`Error::Device`](crate::Error::Device).
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Evaluation> {
        batch.check_lengths()?;
        let (gpu, shape, request) = (self.gpu, batch.shape(), self.request);
        let (rows, elements) = (u64::from(shape.rows), shape.elements());
        // Fails before a buffer is created that the device could not hold.
        self.kernel.plan(shape)?;
        let details_bytes = if request.details { size_of::<Details>() as u64 * rows } else { 0 };
        check_buffer(&self.kernel.context().caps, details_bytes.max(4 * elements).next_multiple_of(16))?;

        let separate = request.gradient == Gradient::Separate;
        let inputs = Inputs {
            logits: whole(self.logits.upload(gpu, "logits", batch.plain_rows()?)),
            targets: whole(self.targets.upload(gpu, "targets", batch.class_targets())),
            class_weights: batch.class_weights.map(|w| whole(self.class_weights.upload(gpu, "class weights", w))),
            row_weights: batch.row_weights.map(|w| whole(self.row_weights.upload(gpu, "row weights", w))),
        };
        let outputs = Outputs {
            summary: whole(self.summary.reserve(gpu, "summary", size_of::<Summary>() as u64)),
            losses: Some(whole(self.losses.reserve(gpu, "losses", 4 * rows))),
            details: request.details.then(|| whole(self.details.reserve(gpu, "details", details_bytes))),
            gradient: separate.then(|| whole(self.gradient.reserve(gpu, "gradient", 4 * elements))),
        };
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logloss") });
        self.kernel.encode(&mut encoder, shape, &inputs, &outputs)?;
        gpu.queue.submit([encoder.finish()]);

        let mut ranges = vec![(outputs.summary.buffer, size_of::<Summary>() as u64)];
        ranges.extend(outputs.losses.iter().map(|l| (l.buffer, 4 * rows)));
        ranges.extend(outputs.details.iter().map(|d| (d.buffer, details_bytes)));
        match request.gradient {
            Gradient::No => {}
            Gradient::Separate | Gradient::Widened => {
                ranges.extend(outputs.gradient.iter().map(|g| (g.buffer, 4 * elements)));
            }
            Gradient::InPlace => ranges.push((inputs.logits.buffer, 4 * elements)),
        }
        let mut bytes = gpu.read_back(&ranges)?.into_iter();
        let summary = checked_summary(bytes.next().as_ref(), shape)?;
        Ok(Evaluation {
            summary,
            losses: collect(bytes.next()),
            details: if request.details { collect(bytes.next()) } else { Vec::new() },
            gradient: collect(bytes.next()),
        })
    }
}

impl Gpu {
    /// Compiles a loss, sharing what other kernels of this `Gpu` have compiled.
    ///
    /// # Errors
    /// As [`Kernel::new`], and [`Error::Device`](crate::Error::Device) if the device has failed.
    pub fn kernel(&self, loss: &(impl GpuLoss + ?Sized), request: Request) -> Result<Kernel> {
        let kernel = Kernel::with_pipelines(self.pipelines.clone(), loss, request, Tuning::default())?;
        self.check()?;
        Ok(kernel)
    }

    /// Evaluates one batch: compiles, uploads, computes, reads back. Keep an [`Evaluator`] to do it more than once.
    ///
    /// # Errors
    /// As [`Evaluator::new`] and [`Evaluator::evaluate`].
    pub fn evaluate(&self, loss: &(impl GpuLoss + ?Sized), request: Request, batch: &Batch<'_>) -> Result<Evaluation> {
        Evaluator::new(self, loss, request)?.evaluate(batch)
    }
}

fn collect<T: Pod>(bytes: Option<Vec<u8>>) -> Vec<T> {
    bytes.map_or_else(Vec::new, |bytes| bytemuck::pod_collect_to_vec(&bytes))
}
