//! A batch on the device, and the passes over it.

use anyhow::{Result, ensure};
use logloss::gpu::{Gpu, Inputs, Kernel, Outputs};
use logloss::half::{bf16, f16};
use logloss::wgpu::{self, util::DeviceExt};
use logloss::{Batch, CrossEntropy, DType, Gradient, Layout, Logits, Request, Summary, cpu};
use logloss_yardsticks::{Clock, PADDING, Yardstick, wait};
use rayon::prelude::*;

use crate::data;

/// How far the loss may be from the CPU engine's, relative, before its time counts: each holds within 1e-5 of float64.
const TOLERANCE: f64 = 2e-5;

/// Room behind the data for the sums of the last workgroup of a load-only pass.
const SLACK: u64 = 4096;

/// What runs in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    Load,
    Copy,
    Forward,
    Gradient,
    InPlace,
}

impl Pass {
    pub const ALL: [Self; 5] = [Self::Load, Self::Copy, Self::Forward, Self::Gradient, Self::InPlace];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load only",
            Self::Copy => "copy",
            Self::Forward => "forward",
            Self::Gradient => "forward + gradient",
            Self::InPlace => "forward + gradient in place",
        }
    }

    /// Bytes that the result cannot be had without: each logit read once, each gradient entry written once, and a target and a
    /// loss a row.
    pub fn bytes(self, layout: &Layout, dtype: DType) -> f64 {
        let logits = (dtype.bytes() * layout.elements()) as f64;
        let rows = 8.0 * f64::from(layout.rows());
        match self {
            Self::Load => logits,
            Self::Copy => 2.0 * logits,
            Self::Forward => logits + rows,
            Self::Gradient | Self::InPlace => 2.0 * logits + rows,
        }
    }
}

/// What is the same for every batch.
pub struct Bench<'g> {
    pub gpu: &'g Gpu,
    pub clock: Clock,
    load: Yardstick,
    copy: Yardstick,
}

impl<'g> Bench<'g> {
    pub fn new(gpu: &'g Gpu) -> Self {
        Self { gpu, clock: Clock::new(gpu), load: Yardstick::load(gpu), copy: Yardstick::copy(gpu) }
    }
}

/// Everything that is measured on one batch.
pub struct Subject<'b> {
    bench: &'b Bench<'b>,
    pub layout: Layout,
    pub dtype: DType,
    /// The CPU engine's.
    pub loss: f64,
    logits: wgpu::Buffer,
    /// The gradient, or what a copy writes.
    other: wgpu::Buffer,
    targets: wgpu::Buffer,
    losses: wgpu::Buffer,
    summary: wgpu::Buffer,
    kernels: [Kernel; 3],
    /// The schedules of the yardsticks that are fastest on this batch.
    load: usize,
    copy: usize,
}

impl<'b> Subject<'b> {
    /// Makes the batch, and checks the kernels' losses and the load-only pass before anything is timed.
    ///
    /// # Errors
    /// It does not fit the device, or a value is wrong.
    pub fn new(bench: &'b Bench<'b>, layout: Layout, dtype: DType) -> Result<Self> {
        let gpu = bench.gpu;
        let bytes = (dtype.bytes() * layout.span()).next_multiple_of(16) + PADDING;
        let largest = gpu.device.limits().max_buffer_size;
        ensure!(bytes + SLACK <= largest, "a buffer of {} MB, at most {} are allowed", bytes >> 20, largest >> 20);
        let buffer = |label, size| {
            use wgpu::BufferUsages as Usage;
            let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let (logits, other) = (buffer("logits", bytes), buffer("gradient", bytes + SLACK));
        let values = data::logits(usize::try_from(layout.span())?);
        let targets = data::targets(layout.rows(), layout.classes());
        let loss = match dtype {
            DType::F32 => fill(gpu, &logits, Logits::F32(&values), layout, &targets)?,
            DType::F16 => {
                let values: Vec<f16> = values.par_iter().map(|&x| f16::from_f32(x)).collect();
                fill(gpu, &logits, Logits::F16(&values), layout, &targets)?
            }
            DType::Bf16 => {
                let values: Vec<bf16> = values.par_iter().map(|&x| bf16::from_f32(x)).collect();
                fill(gpu, &logits, Logits::Bf16(&values), layout, &targets)?
            }
        };
        let kernel = |gradient| {
            let request = Request { dtype, gradient, details: false, ..Request::default() };
            Kernel::new(&gpu.device, &CrossEntropy::default(), request)
        };
        let mut subject = Self {
            bench,
            layout,
            dtype,
            loss,
            logits,
            other,
            targets: gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("targets"),
                contents: bytemuck::cast_slice(&targets),
                usage: wgpu::BufferUsages::STORAGE,
            }),
            losses: buffer("losses", 4 * u64::from(layout.rows())),
            summary: buffer("summary", size_of::<Summary>() as u64),
            kernels: [kernel(Gradient::No)?, kernel(Gradient::Separate)?, kernel(Gradient::InPlace)?],
            load: 0,
            copy: 0,
        };
        if dtype == DType::F32 && layout.span() < 1 << 20 {
            subject.check_load(&values)?;
        }
        subject.load = bench.load.fastest(|schedule| subject.with_load(schedule))?;
        subject.copy = bench.copy.fastest(|schedule| subject.with_copy(schedule))?;
        for pass in [Pass::Forward, Pass::Gradient, Pass::InPlace] {
            subject.seconds(pass)?;
            let got = f64::from(gpu.read_summary(&subject.summary, layout.shape())?.loss);
            ensure!((got - loss).abs() <= TOLERANCE * loss, "{}: a loss of {got}, not {loss}", pass.name());
        }
        Ok(subject)
    }

    /// Runs a pass once.
    ///
    /// # Errors
    /// The device fails.
    pub fn seconds(&self, pass: Pass) -> Result<f64> {
        match pass {
            Pass::Load => self.with_load(self.load),
            Pass::Copy => self.with_copy(self.copy),
            Pass::Forward => self.with_kernel(0, &self.logits, None),
            Pass::Gradient => self.with_kernel(1, &self.logits, Some(&self.other)),
            Pass::InPlace => self.with_kernel(2, &self.other, None),
        }
    }

    fn with_load(&self, schedule: usize) -> Result<f64> {
        let Bench { gpu, load, .. } = self.bench;
        self.time(|encoder| {
            load.encode(schedule, gpu, encoder, &self.logits, &self.other);
            Ok(())
        })
    }

    fn with_copy(&self, schedule: usize) -> Result<f64> {
        let Bench { gpu, copy, .. } = self.bench;
        self.time(|encoder| {
            copy.encode(schedule, gpu, encoder, &self.logits, &self.other);
            Ok(())
        })
    }

    fn with_kernel(&self, kernel: usize, logits: &wgpu::Buffer, gradient: Option<&wgpu::Buffer>) -> Result<f64> {
        if *logits == self.other {
            // In place the logits are gone afterwards.
            let mut encoder = self.encoder();
            encoder.copy_buffer_to_buffer(&self.logits, 0, &self.other, 0, self.logits.size());
            self.bench.gpu.queue.submit([encoder.finish()]);
            wait(self.bench.gpu)?;
        }
        let whole = wgpu::Buffer::as_entire_buffer_binding;
        let inputs = Inputs::new(logits, &self.targets);
        let losses = Some(whole(&self.losses));
        let outputs = Outputs { losses, gradient: gradient.map(whole), ..Outputs::new(&self.summary) };
        self.time(|encoder| self.kernels[kernel].encode(encoder, self.layout, &inputs, &outputs))
    }

    fn time(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> logloss::Result<()>) -> Result<f64> {
        Ok(self.bench.clock.time(self.bench.gpu, record)?.device)
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.bench.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Whether a load-only pass reads all there is: every schedule adds up the logits.
    fn check_load(&self, values: &[f32]) -> Result<()> {
        let sum = |all: &[f32]| all.iter().map(|&x| f64::from(x)).sum::<f64>();
        let magnitude = values.iter().map(|&x| f64::from(x.abs())).sum::<f64>();
        for schedule in 0..self.bench.load.count() {
            let mut encoder = self.encoder();
            encoder.clear_buffer(&self.other, 0, None);
            self.bench.gpu.queue.submit([encoder.finish()]);
            self.with_load(schedule)?;
            let (got, expected) = (sum(&self.bench.gpu.read(&self.other)?), sum(values));
            // An invocation adds at most 256 times 4 vectors, one after the other: 2^8 rounding errors of 2^-24.
            ensure!((got - expected).abs() <= 2e-5 * magnitude, "schedule {schedule} adds up {got}, not {expected}");
        }
        Ok(())
    }
}

/// Uploads logits in pieces, and returns the CPU engine's loss.
fn fill(gpu: &Gpu, buffer: &wgpu::Buffer, logits: Logits<'_>, layout: Layout, targets: &[i32]) -> Result<f64> {
    let bytes = logits.as_bytes();
    for (i, piece) in bytes.chunks(1 << 24).enumerate() {
        let mut piece = piece.to_vec();
        piece.resize(piece.len().next_multiple_of(4), 0);
        gpu.queue.write_buffer(buffer, (i << 24) as u64, &piece);
        gpu.queue.submit([]);
        // Staging memory is given back.
        gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
    }
    let batch = Batch::new(layout, logits, targets);
    Ok(f64::from(cpu::evaluate_into(&CrossEntropy::default(), &batch, cpu::Outputs::default())?.loss))
}
