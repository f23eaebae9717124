//! A case on the device: kernels, and buffers for the largest batch.

use logloss::gpu::{Gpu, Inputs, Kernel, Outputs};
use logloss::{Error, Layout, Reduction, Request, Summary, wgpu};
use logloss_yardsticks::{Clock, Lap, wait};

use super::case::{Case, Pass};
use super::data::Data;
use super::host::seconds;

/// A case on the device.
pub(super) struct GpuSubject<'g> {
    gpu: &'g Gpu,
    kernels: Vec<(Pass, Kernel)>,
    logits: wgpu::Buffer,
    targets: wgpu::Buffer,
    gradient: Option<wgpu::Buffer>,
    summary: wgpu::Buffer,
}

impl<'g> GpuSubject<'g> {
    /// Compiles the passes and makes room for `rows` rows.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Device`]: they do not fit.
    pub fn new(gpu: &'g Gpu, case: &Case<'_>, passes: &[Pass], rows: u32) -> logloss::Result<Self> {
        let loss = case.loss.reduced(Reduction::Mean);
        let mut kernels = Vec::new();
        for &pass in passes {
            let request = Request { dtype: case.dtype, gradient: pass.gradient(), ..Request::default() };
            let kernel = gpu.kernel(loss.as_ref(), request)?;
            kernel.prepare(case.layout(rows)?)?;
            kernels.push((pass, kernel));
        }
        let wants_gradient = passes.iter().any(|pass| pass.has_gradient());
        Ok(Self {
            gpu,
            kernels,
            logits: buffer(gpu, "bench logits", case.logits_bytes(rows))?,
            targets: buffer(gpu, "bench targets", case.targets_bytes(rows))?,
            gradient: wants_gradient.then(|| buffer(gpu, "bench gradient", case.logits_bytes(rows))).transpose()?,
            summary: buffer(gpu, "bench summary", size_of::<Summary>() as u64)?,
        })
    }

    /// Brings the first rows to the device, and says how many seconds that took.
    ///
    /// # Errors
    /// The device fails.
    pub fn upload(&self, data: &Data, layout: Layout) -> logloss::Result<f64> {
        let batch = data.batch(layout);
        let targets: &[u8] = match batch.targets {
            logloss::Targets::Classes(targets) => bytemuck::cast_slice(targets),
            logloss::Targets::Dense(targets) => bytemuck::cast_slice(targets),
        };
        seconds(|| {
            self.write(&self.logits, batch.logits.as_bytes());
            self.write(&self.targets, targets);
            self.gpu.queue.submit([]);
            wait(self.gpu)
        })
    }

    /// Whole words, as the queue wants them: of an odd number of 16-bit logits the last is padded.
    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        let (words, rest) = bytes.split_at(bytes.len() & !3);
        self.gpu.queue.write_buffer(buffer, 0, words);
        if !rest.is_empty() {
            let mut last = [0; 4];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.gpu.queue.write_buffer(buffer, words.len() as u64, &last);
        }
    }

    /// Computes a pass of the rows that are there.
    ///
    /// # Errors
    /// The device fails.
    pub fn run(&self, clock: &Clock, pass: Pass, layout: Layout) -> logloss::Result<Lap> {
        let (_, kernel) = self
            .kernels
            .iter()
            .find(|(of, _)| *of == pass)
            .ok_or_else(|| Error::Device(format!("the pass {pass} was not compiled")))?;
        let inputs = Inputs::new(&self.logits, &self.targets);
        let gradient = self.gradient.as_ref().filter(|_| pass.has_gradient());
        let outputs =
            Outputs { gradient: gradient.map(wgpu::Buffer::as_entire_buffer_binding), ..Outputs::new(&self.summary) };
        clock.time(self.gpu, |encoder| kernel.encode(encoder, layout, &inputs, &outputs))
    }

    /// Brings the results of a pass to the host, and says how many seconds that took.
    ///
    /// # Errors
    /// The device fails.
    pub fn read_back(&self, case: &Case<'_>, pass: Pass, rows: u32) -> logloss::Result<f64> {
        let mut results = vec![(&self.summary, size_of::<Summary>() as u64)];
        if let Some(gradient) = self.gradient.as_ref().filter(|_| pass.has_gradient()) {
            results.push((gradient, case.logits_bytes(rows)));
        }
        seconds(|| self.gpu.read_back(&results).map(drop))
    }

    /// The loss of the last pass.
    ///
    /// # Errors
    /// The device fails, or found targets that are none.
    pub fn loss(&self, layout: Layout) -> logloss::Result<f64> {
        Ok(self.gpu.read_summary(&self.summary, layout.shape())?.loss.into())
    }
}

/// A buffer of the device, or an error: a device without room for it is no failure yet.
///
/// # Errors
/// [`Error::Device`]: there is no room.
pub(super) fn buffer(gpu: &Gpu, label: &'static str, bytes: u64) -> logloss::Result<wgpu::Buffer> {
    let usages = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.next_multiple_of(16).max(16),
        usage: usages,
        mapped_at_creation: false,
    });
    match pollster::block_on(scope.pop()) {
        None => Ok(buffer),
        Some(_) => Err(Error::Device(format!("the device has no room for {} of {label}", crate::number::bytes(bytes)))),
    }
}
