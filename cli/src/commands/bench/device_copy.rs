//! A plain copy on the device: what the kernels are measured against.

use std::num::NonZeroU64;

use logloss::gpu::Gpu;
use logloss::{Error, wgpu};

use super::clock::{Clock, Lap};
use super::gpu::buffer;

/// Copies a large array with the shader of the library's own benchmark.
pub(super) struct DeviceCopy {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: (u32, u32),
    bytes: u64,
}

impl DeviceCopy {
    /// Makes two arrays of at most so many bytes, as far as a binding goes.
    ///
    /// # Errors
    /// The device has no room for them.
    pub fn new(gpu: &Gpu, bytes: u64) -> logloss::Result<Self> {
        let limits = gpu.device.limits();
        let bytes = bytes.min(limits.max_storage_buffer_binding_size).min(limits.max_buffer_size) / 256 * 256;
        // SAFETY: the shader clamps its indices to the shorter of two bindings of the same size, and its loop counts to a
        // constant. The kernels run without checks too, and a yardstick must not be slower than it could be.
        let module = unsafe {
            gpu.device.create_shader_module_trusted(
                wgpu::include_wgsl!("../../../../benches/yardsticks/copy.wgsl"),
                wgpu::ShaderRuntimeChecks::unchecked(),
            )
        };
        // A software adapter wants few and narrow workgroups, a GPU many and wide ones.
        let is_software = gpu.info.device_type == wgpu::DeviceType::Cpu;
        let (lanes, steps) = if is_software { (8_u32, 64_u32) } else { (256, 1) };
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("bench copy"),
            layout: None,
            module: &module,
            entry_point: Some("copy"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("WORKGROUP_SIZE", f64::from(lanes)), ("STEPS", f64::from(steps))],
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        let (from, to) = (buffer(gpu, "bench copy from", bytes)?, buffer(gpu, "bench copy to", bytes)?);
        let whole = |buffer| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size: NonZeroU64::new(bytes) })
        };
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("bench copy"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: whole(&from) },
                wgpu::BindGroupEntry { binding: 1, resource: whole(&to) },
            ],
        });
        // Four chunks of 16 bytes a lane and step.
        let workgroups = bytes.div_ceil(64 * u64::from(lanes * steps));
        let workgroups = u32::try_from(workgroups).map_err(|_| Error::Device("a binding beyond all bounds".into()))?;
        let x = workgroups.min(limits.max_compute_workgroups_per_dimension).max(1);
        Ok(Self { pipeline, group, workgroups: (x, workgroups.div_ceil(x)), bytes })
    }

    /// Bytes read and written.
    pub fn traffic(&self) -> f64 {
        2.0 * self.bytes as f64
    }

    /// Copies so many times.
    ///
    /// # Errors
    /// The device fails.
    pub fn run(&self, gpu: &Gpu, clock: &Clock, times: u32) -> logloss::Result<Lap> {
        clock.time(gpu, |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            let (x, y) = self.workgroups;
            (0..times).for_each(|_| pass.dispatch_workgroups(x, y, 1));
            Ok(())
        })
    }
}
