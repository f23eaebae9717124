//! A plain copy on the device: what the kernels are measured against.

use logloss::gpu::Gpu;
use logloss::wgpu;
use logloss_yardsticks::{Clock, Lap, Yardstick};

use super::gpu::buffer;

/// Copies a large array.
pub(super) struct DeviceCopy {
    yardstick: Yardstick,
    from: wgpu::Buffer,
    to: wgpu::Buffer,
}

impl DeviceCopy {
    /// Makes two arrays of at most so many bytes, as far as a binding goes.
    ///
    /// # Errors
    /// The device has no room for them.
    pub fn new(gpu: &Gpu, bytes: u64) -> logloss::Result<Self> {
        let limits = gpu.device.limits();
        let bytes = bytes.min(limits.max_storage_buffer_binding_size).min(limits.max_buffer_size) / 256 * 256;
        let (from, to) = (buffer(gpu, "bench copy from", bytes)?, buffer(gpu, "bench copy to", bytes)?);
        Ok(Self { yardstick: Yardstick::copy(gpu), from, to })
    }

    /// Bytes read and written.
    pub fn traffic(&self) -> f64 {
        2.0 * self.from.size() as f64
    }

    /// Copies so many times.
    ///
    /// # Errors
    /// The device fails.
    pub fn run(&self, gpu: &Gpu, clock: &Clock, times: u32) -> logloss::Result<Lap> {
        clock.time(gpu, |encoder| {
            (0..times).for_each(|_| self.yardstick.encode(Yardstick::USUAL, gpu, encoder, &self.from, &self.to));
            Ok(())
        })
    }
}
