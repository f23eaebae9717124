//! A plain copy on the device under test: what its memory can do.

use std::num::NonZeroU64;

use logloss::gpu::Gpu;
use logloss::wgpu;

pub struct Copy {
    pipeline: wgpu::ComputePipeline,
    lanes: u32,
}

impl Copy {
    pub fn new(gpu: &Gpu) -> Self {
        let module = gpu.device.create_shader_module(wgpu::include_wgsl!("copy.wgsl"));
        // Narrow workgroups are faster on software adapters.
        let lanes = if gpu.info.device_type == wgpu::DeviceType::Cpu { 8 } else { 256 };
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("copy"),
            layout: None,
            module: &module,
            entry_point: Some("copy"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("WORKGROUP_SIZE", f64::from(lanes))],
                ..Default::default()
            },
            cache: None,
        });
        Self { pipeline, lanes }
    }

    /// Records a copy of all of `source`, in pieces that fit a binding.
    pub fn encode(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        source: &wgpu::Buffer,
        destination: &wgpu::Buffer,
    ) {
        let limits = gpu.device.limits();
        let piece = limits.max_storage_buffer_binding_size / 256 * 256;
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        let mut offset = 0;
        while offset < source.size() {
            let size = piece.min(source.size() - offset);
            let part = |buffer| {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: NonZeroU64::new(size) })
            };
            let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("copy"),
                layout: &self.pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: part(source) },
                    wgpu::BindGroupEntry { binding: 1, resource: part(destination) },
                ],
            });
            pass.set_bind_group(0, &group, &[]);
            let workgroups = u32::try_from(size.div_ceil(64 * u64::from(self.lanes))).expect("within a binding");
            let x = workgroups.min(limits.max_compute_workgroups_per_dimension);
            pass.dispatch_workgroups(x, workgroups.div_ceil(x), 1);
            offset += size;
        }
    }
}
