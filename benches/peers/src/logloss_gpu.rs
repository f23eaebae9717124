//! logloss's kernels on the adapter that wgpu finds.

use anyhow::{Context, Result};
use logloss::gpu::{AdapterChoice, Gpu, Inputs, Kernel, Outputs};
use logloss::wgpu::{self, util::DeviceExt};
use logloss::{CrossEntropy, Gradient, Request, Shape, Summary};
use logloss_turns::peer::{Data, Entry, Lap, Peer, lap};

/// The yardstick of what runs on a GPU.
pub struct LoglossGpu {
    gpu: Gpu,
    name: String,
    kernels: [Kernel; 2],
    batch: Option<Own>,
}

struct Own {
    shape: Shape,
    logits: wgpu::Buffer,
    targets: wgpu::Buffer,
    gradient: wgpu::Buffer,
    summary: wgpu::Buffer,
}

impl LoglossGpu {
    /// # Errors
    /// There is no adapter.
    pub fn open() -> Result<Self> {
        let gpu = Gpu::open(&AdapterChoice::Best)?;
        let kernel =
            |gradient| Kernel::new(&gpu.device, &CrossEntropy::default(), Request { gradient, ..Request::FORWARD });
        let kernels = [kernel(Gradient::No)?, kernel(Gradient::Separate)?];
        Ok(Self { name: format!("logloss, {}", gpu.info.name), kernels, batch: None, gpu })
    }
}

impl Peer for LoglossGpu {
    fn name(&self) -> &str {
        &self.name
    }

    fn peak_bytes(&self, logits: u64) -> u64 {
        3 * logits
    }

    fn prepare(&mut self, data: &Data) -> Result<Vec<Entry>> {
        let Gpu { device, queue, .. } = &self.gpu;
        let bytes: &[u8] = bytemuck::cast_slice(&data.logits);
        let buffer = |label, size| {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let logits = buffer("logits", bytes.len() as u64);
        for (i, piece) in bytes.chunks(1 << 24).enumerate() {
            queue.write_buffer(&logits, (i << 24) as u64, piece);
            queue.submit([]);
            // Staging memory is given back.
            device.poll(wgpu::PollType::wait_indefinitely())?;
        }
        self.batch = Some(Own {
            shape: data.shape,
            targets: device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("targets"),
                contents: bytemuck::cast_slice(&data.targets),
                usage: wgpu::BufferUsages::STORAGE,
            }),
            gradient: buffer("gradient", logits.size()),
            summary: buffer("summary", size_of::<Summary>() as u64),
            logits,
        });
        Ok(vec![Entry::new("", false), Entry::new("", true)])
    }

    fn run(&mut self, entry: usize) -> Result<Lap> {
        let own = self.batch.as_ref().context("no batch")?;
        let inputs = Inputs::new(&own.logits, &own.targets);
        let gradient = (entry == 1).then(|| own.gradient.as_entire_buffer_binding());
        let outputs = Outputs { gradient, ..Outputs::new(&own.summary) };
        // Until the host has the loss: the others are timed so, too.
        lap(|| {
            let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.kernels[entry].encode(&mut encoder, own.shape, &inputs, &outputs)?;
            self.gpu.queue.submit([encoder.finish()]);
            Ok(f64::from(self.gpu.read_summary(&own.summary, own.shape)?.loss))
        })
    }

    fn release(&mut self) {
        self.batch = None;
    }
}
