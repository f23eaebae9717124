//! Everything that one batch in flight needs: the ways of its tensors, kept for the next, and what is known of its submission.

use bytemuck::Pod;
use half::{bf16, f16};
use web_time::Instant;
use wgpu::BufferUsages;

use super::answer::Answer;
use super::device::{Gpu, checked_summary};
use super::kernel::Kernel;
use super::scratch::{check_buffer, whole};
use super::staging::{Download, Growing, Upload};
use super::tensors::{Inputs, Outputs};
use crate::batch::Targets;
use crate::definition::{Definition, TargetKind};
use crate::summary::{Details, Gradient};
use crate::{Batch, DType, Error, Evaluation, Layout, Request, Result, Summary};

/// Buffers of one batch at a time, that grow to the largest seen.
#[derive(Default)]
pub(super) struct Slot {
    logits: Upload,
    targets: Upload,
    class_weights: Upload,
    pos_weights: Upload,
    row_weights: Upload,
    gradient: Growing,
    losses: Growing,
    details: Growing,
    summary: Growing,
    returned: Returned,
    flight: Option<Flight>,
}

/// What comes back.
#[derive(Default)]
struct Returned {
    summary: Download,
    losses: Download,
    details: Download,
    gradient: Download,
}

/// A batch that was submitted.
struct Flight {
    layout: Layout,
    submission: wgpu::SubmissionIndex,
    start: Instant,
    end: Answer<Instant>,
}

/// When a batch was submitted, and when it was known to be finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub start: Instant,
    pub end: Instant,
}

impl Slot {
    /// Uploads a batch and submits its evaluation. Waits only for what the batch before it has uploaded.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`](super::Evaluator::evaluate), but for what only the results tell. Nothing is submitted then.
    pub async fn submit(&mut self, gpu: &Gpu, kernel: &Kernel, batch: &Batch<'_>) -> Result<()> {
        // On a device that has failed nothing arrives that might be waited for.
        gpu.check()?;
        // What the device itself reported says more than what failed on its account.
        self.try_submit(gpu, kernel, batch).await.map_err(|error| gpu.check().err().unwrap_or(error))
    }

    async fn try_submit(&mut self, gpu: &Gpu, kernel: &Kernel, batch: &Batch<'_>) -> Result<()> {
        let (device, layout, request) = (&gpu.device, batch.layout, kernel.request());
        let sizes = Sizes::of(kernel, batch)?;
        let targets: &[u8] = match batch.targets {
            Targets::Classes(targets) => bytemuck::cast_slice(targets),
            Targets::Dense(targets) => bytemuck::cast_slice(targets),
        };
        let logits = self.logits.write(device, "logits", batch.logits.as_bytes()).await?;
        let targets = self.targets.write(device, "targets", targets).await?;
        let weights = async |way: &mut Upload, label, weights: Option<&[f32]>| match weights {
            Some(weights) => way.write(device, label, bytemuck::cast_slice(weights)).await.map(Some),
            None => Ok(None),
        };
        let class_weights = weights(&mut self.class_weights, "class weights", batch.class_weights).await?;
        let pos_weights = weights(&mut self.pos_weights, "positive weights", batch.pos_weights).await?;
        let row_weights = weights(&mut self.row_weights, "row weights", batch.row_weights).await?;
        let inputs = Inputs {
            logits: whole(&logits),
            targets: whole(&targets),
            class_weights: class_weights.as_ref().map(whole),
            pos_weights: pos_weights.as_ref().map(whole),
            row_weights: row_weights.as_ref().map(whole),
        };
        let output = |growing: &mut Growing, label, bytes| {
            let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
            growing.reserve(device, label, bytes, usage).0.clone()
        };
        let separate = matches!(request.gradient, Gradient::Separate | Gradient::Widened);
        let summary = output(&mut self.summary, "summary", size_of::<Summary>() as u64);
        let losses = output(&mut self.losses, "losses", sizes.losses);
        let details = request.details.then(|| output(&mut self.details, "details", sizes.details));
        let gradient = separate.then(|| output(&mut self.gradient, "gradient", sizes.gradient));
        let outputs = Outputs {
            summary: whole(&summary),
            losses: Some(whole(&losses)),
            details: details.as_ref().map(whole),
            gradient: gradient.as_ref().map(whole),
        };

        let encoder = || device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logloss") });
        // Recorded first: what is sent must be submitted.
        let mut compute = encoder();
        if let Some(gradient) = gradient.as_ref().filter(|_| !layout.is_contiguous()) {
            // Gaps between rows are nobody's: what a larger batch left there is not this batch's gradient.
            compute.clear_buffer(gradient, 0, None);
        }
        kernel.encode(&mut compute, layout, &inputs, &outputs)?;
        let mut upload = encoder();
        for way in
            [&mut self.logits, &mut self.targets, &mut self.class_weights, &mut self.pos_weights, &mut self.row_weights]
        {
            way.send(&mut upload);
        }
        self.returned.summary.fetch(device, &mut compute, &summary, size_of::<Summary>() as u64);
        self.returned.losses.fetch(device, &mut compute, &losses, sizes.losses);
        if let Some(details) = &details {
            self.returned.details.fetch(device, &mut compute, details, sizes.details);
        }
        let gradient = if request.gradient == Gradient::InPlace { Some(&logits) } else { gradient.as_ref() };
        if let Some(gradient) = gradient {
            self.returned.gradient.fetch(device, &mut compute, gradient, sizes.gradient);
        }
        let (ended, end) = Answer::new();
        compute.on_submitted_work_done(|| ended(Instant::now()));
        let start = Instant::now();
        let submission = gpu.queue.submit([upload.finish(), compute.finish()]);
        self.flight = Some(Flight { layout, submission, start, end });
        Ok(())
    }

    /// As [`finish`](Self::finish), but blocks meanwhile.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`](super::Evaluator::evaluate).
    pub fn finish_blocking(&mut self, gpu: &Gpu, kernel: &Kernel) -> Result<(Evaluation, Times)> {
        let submission_index = self.flight.as_ref().map(|flight| flight.submission.clone());
        gpu.wait(submission_index)?;
        pollster::block_on(self.finish(gpu, kernel))
    }

    /// Waits for the batch that was submitted, and returns what came of it. Somebody must poll the device.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate`](super::Evaluator::evaluate).
    pub async fn finish(&mut self, gpu: &Gpu, kernel: &Kernel) -> Result<(Evaluation, Times)> {
        let flight = self.flight.take().ok_or_else(|| Error::Device("nothing was submitted".into()))?;
        let Flight { layout, start, end, .. } = flight;
        let request = kernel.request();
        let summary = self.returned.summary.take(Summary::from_bytes).await?;
        let losses = self.returned.losses.take(bytemuck::pod_collect_to_vec).await?;
        let details = self.returned.details.take(bytemuck::pod_collect_to_vec).await?;
        let mut gradient = self.returned.gradient.take(|bytes| widen(gradient_dtype(request), bytes)).await?;
        // A lost device is nearly silent: a result counts only if no failure was reported.
        gpu.check()?;
        let summary = checked_summary(summary, layout.shape())?;
        if request.gradient == Gradient::InPlace && !layout.is_contiguous() {
            clear_gaps(&layout, &mut gradient);
        }
        let end = end.given().await.unwrap_or_else(Instant::now);
        Ok((Evaluation { summary, losses, gradient, details }, Times { start, end }))
    }

    /// Bytes of all buffers, on both ends.
    pub fn bytes(&self) -> u64 {
        let Self { logits, targets, class_weights, pos_weights, row_weights, .. } = self;
        let Self { gradient, losses, details, summary, returned, .. } = self;
        [logits, targets, class_weights, pos_weights, row_weights].map(Upload::bytes).iter().sum::<u64>()
            + [gradient, losses, details, summary].map(Growing::bytes).iter().sum::<u64>()
            + [&returned.summary, &returned.losses, &returned.details, &returned.gradient]
                .map(Download::bytes)
                .iter()
                .sum::<u64>()
    }
}

/// Bytes of what a batch comes to.
struct Sizes {
    losses: u64,
    details: u64,
    gradient: u64,
}

impl Sizes {
    /// Fails for a batch that the kernel was not compiled for, or before a buffer is created that the device could not hold.
    fn of(kernel: &Kernel, batch: &Batch<'_>) -> Result<Self> {
        let (layout, request, definition) = (batch.layout, kernel.request(), kernel.definition());
        definition.check_batch(batch)?;
        check_kind(request, batch, definition)?;
        kernel.plan(layout)?;
        let details = if request.details { size_of::<Details>() as u64 * u64::from(layout.rows()) } else { 0 };
        let losses = 4 * definition.unit.count(&layout);
        let logits = size_of_val(batch.logits.as_bytes()) as u64;
        let gradient = batch.logits.len() as u64 * gradient_dtype(request).bytes();
        let largest = details.max(losses).max(gradient).max(logits);
        check_buffer(&kernel.context().caps, largest.next_multiple_of(16))?;
        Ok(Self { losses, details, gradient })
    }
}

const fn gradient_dtype(request: Request) -> DType {
    if matches!(request.gradient, Gradient::Widened) { DType::F32 } else { request.dtype }
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
    fn each<T: Pod>(bytes: &[u8], widen: impl Fn(T) -> f32) -> Vec<f32> {
        bytes.chunks_exact(size_of::<T>()).map(|element| widen(bytemuck::pod_read_unaligned(element))).collect()
    }
    match dtype {
        DType::F32 => bytemuck::pod_collect_to_vec(bytes),
        DType::F16 => each(bytes, f16::to_f32),
        DType::Bf16 => each(bytes, bf16::to_f32),
    }
}

/// In place, the gaps between rows hold what the caller had there.
fn clear_gaps(layout: &Layout, gradient: &mut [f32]) {
    let own = layout.classes() as usize * layout.inner() as usize;
    for sample in gradient.chunks_mut(layout.outer_stride() as usize) {
        sample.iter_mut().skip(own).for_each(|g| *g = 0.0);
    }
}
