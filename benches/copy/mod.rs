//! A plain copy on the device under test: what its memory can do.

use std::num::NonZeroU64;

use logloss::gpu::Gpu;
use logloss::wgpu;

pub struct Copy {
    pipeline: wgpu::ComputePipeline,
    /// Bytes that a workgroup copies.
    workgroup_bytes: u64,
}

impl Copy {
    pub fn new(gpu: &Gpu) -> Self {
        // SAFETY: indices are clamped to the shorter of two bindings of the same size, and the loop counts to a constant. The
        // kernels run without checks too, and a yardstick must not be slower than it could be.
        let module = unsafe {
            gpu.device
                .create_shader_module_trusted(wgpu::include_wgsl!("copy.wgsl"), wgpu::ShaderRuntimeChecks::unchecked())
        };
        // A software adapter wants few and narrow workgroups, a GPU many and wide ones.
        let software = gpu.info.device_type == wgpu::DeviceType::Cpu;
        let (lanes, steps) = if software { (8u32, 64u32) } else { (256, 1) };
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("copy"),
            layout: None,
            module: &module,
            entry_point: Some("copy"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("WORKGROUP_SIZE", f64::from(lanes)), ("STEPS", f64::from(steps))],
                ..Default::default()
            },
            cache: None,
        });
        Self { pipeline, workgroup_bytes: 64 * u64::from(lanes * steps) }
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
            let workgroups = u32::try_from(size.div_ceil(self.workgroup_bytes)).expect("within a binding");
            let x = workgroups.min(limits.max_compute_workgroups_per_dimension);
            pass.dispatch_workgroups(x, workgroups.div_ceil(x), 1);
            offset += size;
        }
    }
}
