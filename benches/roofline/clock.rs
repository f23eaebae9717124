//! How long commands keep the device busy.

use std::time::Instant;

use anyhow::{Result, bail};
use logloss::gpu::Gpu;
use logloss::wgpu;

/// The device's own clock where it has one, else the host's from submission until the device is idle.
pub struct Clock<'g> {
    gpu: &'g Gpu,
    stamps: Option<Stamps>,
}

/// Two time stamps, around the commands.
struct Stamps {
    queries: wgpu::QuerySet,
    /// Both stamps, in ticks.
    ticks: wgpu::Buffer,
    seconds_per_tick: f64,
}

impl<'g> Clock<'g> {
    pub fn new(gpu: &'g Gpu) -> Self {
        let has_stamps = gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        Self { gpu, stamps: has_stamps.then(|| Stamps::new(gpu)) }
    }

    pub const fn name(&self) -> &'static str {
        if self.stamps.is_some() { "timestamp queries" } else { "submission until idle" }
    }

    /// Runs `before`, which is not timed, and then `record`.
    pub fn seconds(
        &self,
        before: impl FnOnce(&mut wgpu::CommandEncoder),
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<f64> {
        let mut encoder = self.encoder();
        before(&mut encoder);
        self.submit(encoder)?;
        let mut encoder = self.encoder();
        if let Some(stamps) = &self.stamps {
            stamps.write(&mut encoder, 0);
        }
        record(&mut encoder);
        if let Some(stamps) = &self.stamps {
            stamps.write(&mut encoder, 1);
            encoder.resolve_query_set(&stamps.queries, 0..2, &stamps.ticks, 0);
        }
        let busy = self.submit(encoder)?;
        match &self.stamps {
            Some(stamps) => stamps.read(self.gpu),
            None => Ok(busy),
        }
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    fn submit(&self, encoder: wgpu::CommandEncoder) -> Result<f64> {
        let commands = encoder.finish();
        let start = Instant::now();
        self.gpu.queue.submit([commands]);
        self.gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(start.elapsed().as_secs_f64())
    }
}

impl Stamps {
    fn new(gpu: &Gpu) -> Self {
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("time stamps"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let ticks = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ticks"),
            size: 16,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        // The period is in nanoseconds.
        Self { queries, ticks, seconds_per_tick: 1e-9 * f64::from(gpu.queue.get_timestamp_period()) }
    }

    /// A compute pass that does nothing but take the time: what is timed opens passes of its own.
    fn write(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        let is_first = index == 0;
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("time stamp"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: is_first.then_some(index),
                end_of_pass_write_index: (!is_first).then_some(index),
            }),
        }));
    }

    fn read(&self, gpu: &Gpu) -> Result<f64> {
        match *gpu.read::<u64>(&self.ticks)? {
            [start, end] => Ok(end.saturating_sub(start) as f64 * self.seconds_per_tick),
            ref other => bail!("{} time stamps", other.len()),
        }
    }
}
