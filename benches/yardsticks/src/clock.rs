//! How long commands keep a device busy, and the host waiting.

use std::time::Instant;

use logloss::gpu::Gpu;
use logloss::{Error, wgpu};

/// Times commands on a device: by its own clock where it has one, else by the host's, from submission until it is idle.
pub struct Clock {
    stamps: Option<Stamps>,
}

/// Two time stamps, around the commands.
struct Stamps {
    queries: wgpu::QuerySet,
    /// 16 bytes: both stamps, in ticks.
    ticks: wgpu::Buffer,
    seconds_per_tick: f64,
}

/// How long commands took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lap {
    /// The device alone.
    pub device: f64,
    /// Recording, submitting and waiting, by the host's clock.
    pub call: f64,
}

impl Clock {
    /// With the device's clock, if it has one.
    #[must_use]
    pub fn new(gpu: &Gpu) -> Self {
        Self { stamps: Stamps::new(gpu) }
    }

    /// Without the device's clock.
    #[must_use]
    pub const fn of_host() -> Self {
        Self { stamps: None }
    }

    /// Whether the device's own clock is used.
    #[must_use]
    pub const fn is_of_device(&self) -> bool {
        self.stamps.is_some()
    }

    /// Records, submits, waits, and says how long that took.
    ///
    /// # Errors
    /// What `record` says; the device fails.
    pub fn time(
        &self,
        gpu: &Gpu,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> logloss::Result<()>,
    ) -> logloss::Result<Lap> {
        let start = Instant::now();
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("bench") });
        if let Some(stamps) = &self.stamps {
            stamps.write(&mut encoder, 0);
        }
        record(&mut encoder)?;
        if let Some(stamps) = &self.stamps {
            stamps.write(&mut encoder, 1);
            encoder.resolve_query_set(&stamps.queries, 0..2, &stamps.ticks, 0);
        }
        let commands = encoder.finish();
        let submitted = Instant::now();
        gpu.queue.submit([commands]);
        wait(gpu)?;
        let (busy, call) = (submitted.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
        let device = match &self.stamps {
            Some(stamps) => stamps.read(gpu)?,
            None => busy,
        };
        Ok(Lap { device, call })
    }
}

impl Stamps {
    fn new(gpu: &Gpu) -> Option<Self> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("bench"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let ticks = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("bench ticks"),
            size: 16,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        // In nanoseconds.
        let seconds_per_tick = 1e-9 * f64::from(gpu.queue.get_timestamp_period());
        Some(Self { queries, ticks, seconds_per_tick })
    }

    /// A compute pass that does nothing but take the time: what is timed opens passes of its own.
    fn write(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        let is_first = index == 0;
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("bench time stamp"),
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: is_first.then_some(index),
                end_of_pass_write_index: (!is_first).then_some(index),
            }),
        }));
    }

    fn read(&self, gpu: &Gpu) -> logloss::Result<f64> {
        match *gpu.read::<u64>(&self.ticks)? {
            [start, end] => Ok(end.saturating_sub(start) as f64 * self.seconds_per_tick),
            _ => Err(Error::Device("the time stamps came back short".into())),
        }
    }
}

/// Blocks until the device is idle.
///
/// # Errors
/// The device fails.
pub fn wait(gpu: &Gpu) -> logloss::Result<()> {
    gpu.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|error| Error::Device(error.to_string()))?;
    gpu.check()
}
