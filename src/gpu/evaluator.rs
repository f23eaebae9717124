//! Host slices in, numbers out: a blocking evaluation that keeps its buffers between batches.

use bytemuck::Pod;
use half::{bf16, f16};

use super::device::{Gpu, checked_summary};
use super::kernel::Kernel;
use super::program::GpuLoss;
use super::scratch::{check_buffer, whole};
use super::tensors::{Inputs, Outputs};
use super::tuning::Tuning;
use crate::batch::Targets;
use crate::definition::{Definition, TargetKind};
use crate::summary::{Details, Gradient};
use crate::{Batch, DType, Error, Evaluation, Layout, Request, Result, Summary};

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
    pos_weights: Slot,
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

    fn upload<'s>(&'s mut self, gpu: &Gpu, label: &'static str, data: &[u8]) -> &'s wgpu::Buffer {
        let buffer = self.reserve(gpu, label, data.len() as u64);
        let (words, rest) = data.split_at(data.len() & !3);
        gpu.queue.write_buffer(buffer, 0, words);
        if !rest.is_empty() {
            // Writes are made of whole words: an odd number of 16-bit elements ends in half of one.
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            gpu.queue.write_buffer(buffer, words.len() as u64, &last);
        }
        buffer
    }

    fn upload_f32<'s>(&'s mut self, gpu: &Gpu, label: &'static str, data: &[f32]) -> &'s wgpu::Buffer {
        self.upload(gpu, label, bytemuck::cast_slice(data))
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
            pos_weights: Slot::default(),
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
    /// [`Error::BadValue`](crate::Error::BadValue), [`Error::TooLarge`](crate::Error::TooLarge) or [`Error::Device`](crate::Error::Device).
    pub fn evaluate(&mut self, batch: &Batch<'_>) -> Result<Evaluation> {
        let (gpu, layout, request) = (self.gpu, batch.layout, self.request);
        let definition = self.kernel.definition();
        definition.check_batch(batch)?;
        check_kind(request, batch, definition)?;
        // Fails before a buffer is created that the device could not hold.
        self.kernel.plan(layout)?;
        let details_bytes = if request.details { size_of::<Details>() as u64 * u64::from(layout.rows()) } else { 0 };
        let losses_bytes = 4 * definition.unit.count(&layout);
        let logits_bytes = size_of_val(batch.logits.as_bytes()) as u64;
        let gradient_dtype = if request.gradient == Gradient::Widened { DType::F32 } else { request.dtype };
        let gradient_bytes = batch.logits.len() as u64 * gradient_dtype.bytes();
        let largest = details_bytes.max(losses_bytes).max(gradient_bytes).max(logits_bytes);
        check_buffer(&self.kernel.context().caps, largest.next_multiple_of(16))?;

        let separate = matches!(request.gradient, Gradient::Separate | Gradient::Widened);
        let inputs = Inputs {
            logits: whole(self.logits.upload(gpu, "logits", batch.logits.as_bytes())),
            targets: whole(match batch.targets {
                Targets::Classes(targets) => self.targets.upload(gpu, "targets", bytemuck::cast_slice(targets)),
                Targets::Dense(targets) => self.targets.upload(gpu, "targets", bytemuck::cast_slice(targets)),
            }),
            class_weights: batch.class_weights.map(|w| whole(self.class_weights.upload_f32(gpu, "class weights", w))),
            pos_weights: batch.pos_weights.map(|w| whole(self.pos_weights.upload_f32(gpu, "positive weights", w))),
            row_weights: batch.row_weights.map(|w| whole(self.row_weights.upload_f32(gpu, "row weights", w))),
        };
        let outputs = Outputs {
            summary: whole(self.summary.reserve(gpu, "summary", size_of::<Summary>() as u64)),
            losses: Some(whole(self.losses.reserve(gpu, "losses", losses_bytes))),
            details: request.details.then(|| whole(self.details.reserve(gpu, "details", details_bytes))),
            gradient: separate.then(|| whole(self.gradient.reserve(gpu, "gradient", gradient_bytes))),
        };
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logloss") });
        if let Some(gradient) = outputs.gradient.as_ref().filter(|_| !layout.is_contiguous()) {
            // Gaps between rows are nobody's: what a larger batch left there is not this batch's gradient.
            encoder.clear_buffer(gradient.buffer, 0, None);
        }
        self.kernel.encode(&mut encoder, layout, &inputs, &outputs)?;
        gpu.queue.submit([encoder.finish()]);

        let mut ranges = vec![(outputs.summary.buffer, size_of::<Summary>() as u64)];
        ranges.extend(outputs.losses.iter().map(|l| (l.buffer, losses_bytes)));
        ranges.extend(outputs.details.iter().map(|d| (d.buffer, details_bytes)));
        match request.gradient {
            Gradient::No => {}
            Gradient::Separate | Gradient::Widened => {
                ranges.extend(outputs.gradient.iter().map(|g| (g.buffer, gradient_bytes)));
            }
            Gradient::InPlace => ranges.push((inputs.logits.buffer, gradient_bytes)),
        }
        let mut bytes = gpu.read_back(&ranges)?.into_iter();
        let summary = checked_summary(bytes.next().as_ref(), layout.shape()).map_err(|error| match error {
            // Here the values are at hand.
            Error::OutsideDomain { .. } => self.kernel.program().domains.violation(batch).unwrap_or(error),
            _ => error,
        })?;
        let losses = collect(bytes.next());
        let details = if request.details { collect(bytes.next()) } else { Vec::new() };
        let mut gradient = bytes.next().map_or_else(Vec::new, |bytes| widen(gradient_dtype, &bytes));
        if request.gradient == Gradient::InPlace && !layout.is_contiguous() {
            clear_gaps(&layout, &mut gradient);
        }
        Ok(Evaluation { summary, losses, gradient, details })
    }
}

/// Fails where the batch is not what the kernel was compiled for.
fn check_kind(request: Request, batch: &Batch<'_>, definition: &Definition<'_>) -> Result<()> {
    if batch.logits.dtype() != request.dtype {
        return Err(Error::Unsupported {
            variant: format!("{} logits", batch.logits.dtype()),
            needs: format!("a Request with that dtype (it has {})", request.dtype),
        });
    }
    let dense = matches!(batch.targets, Targets::Dense(_));
    if dense != (request.targets(definition) == TargetKind::Dense) {
        return Err(Error::Unsupported {
            variant: "targets of this kind".into(),
            needs: format!("a Request with dense_targets: {dense}"),
        });
    }
    Ok(())
}

/// Elements as float32, which holds all of them exactly.
fn widen(dtype: DType, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        DType::F32 => bytemuck::pod_collect_to_vec(bytes),
        DType::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).into_iter().map(f16::to_f32).collect(),
        DType::Bf16 => bytemuck::pod_collect_to_vec::<u8, bf16>(bytes).into_iter().map(bf16::to_f32).collect(),
    }
}

/// In place, the gaps between rows hold what the caller had there.
fn clear_gaps(layout: &Layout, gradient: &mut [f32]) {
    let own = layout.classes() as usize * layout.inner() as usize;
    for sample in gradient.chunks_mut(layout.outer_stride() as usize) {
        sample.iter_mut().skip(own).for_each(|g| *g = 0.0);
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
        let request = Request {
            dtype: batch.logits.dtype(),
            dense_targets: matches!(batch.targets, Targets::Dense(_)),
            ..request
        };
        Evaluator::new(self, loss, request)?.evaluate(batch)
    }
}

fn collect<T: Pod>(bytes: Option<Vec<u8>>) -> Vec<T> {
    bytes.map_or_else(Vec::new, |bytes| bytemuck::pod_collect_to_vec(&bytes))
}
