//! What the memory of the device under test can do: a plain copy, and a pass that only loads.

use std::num::NonZeroU64;

use logloss::gpu::Gpu;
use logloss::wgpu;

/// Workgroup sizes and steps of four chunks: a GPU wants many and wide workgroups, a software adapter few and narrow ones. The
/// first are those of who tries none.
const HARDWARE: [(u32, u32); 5] = [(256, 1), (256, 2), (256, 4), (256, 16), (64, 4)];
const SOFTWARE: [(u32, u32); 5] = [(8, 64), (8, 16), (8, 256), (16, 64), (32, 64)];

/// Bytes behind the data that a yardstick may read as well; they must be 0.
pub const PADDING: u64 = 16;

/// A copy or a load-only pass, in several schedules.
pub struct Yardstick {
    schedules: Vec<Schedule>,
    /// Writes what it reads; else one float32 an invocation.
    is_copy: bool,
}

struct Schedule {
    pipeline: wgpu::ComputePipeline,
    lanes: u32,
    steps: u32,
}

impl Schedule {
    /// Bytes that a workgroup reads.
    const fn workgroup_bytes(&self) -> u64 {
        64 * self.lanes as u64 * self.steps as u64
    }
}

impl Yardstick {
    /// A schedule that fits most devices of the kind.
    pub const USUAL: usize = 0;

    /// Reads and writes.
    #[must_use]
    pub fn copy(gpu: &Gpu) -> Self {
        Self { schedules: schedules(gpu, "copy", wgpu::include_wgsl!("copy.wgsl")), is_copy: true }
    }

    /// Only reads.
    #[must_use]
    pub fn load(gpu: &Gpu) -> Self {
        Self { schedules: schedules(gpu, "load", wgpu::include_wgsl!("load.wgsl")), is_copy: false }
    }

    /// How many schedules there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.schedules.len()
    }

    /// The schedule that takes the least time, by `time`, which runs one.
    ///
    /// # Errors
    /// The first of `time`.
    pub fn fastest<E>(&self, mut time: impl FnMut(usize) -> Result<f64, E>) -> Result<usize, E> {
        let mut best = (0, f64::INFINITY);
        for schedule in 0..self.count() {
            // The first run compiles; of two that do not, the better.
            time(schedule)?;
            let seconds = time(schedule)?.min(time(schedule)?);
            if seconds < best.1 {
                best = (schedule, seconds);
            }
        }
        Ok(best.0)
    }

    /// Records one pass over all of `source`, in pieces that fit a binding. `destination` takes the copy, or the sums of a
    /// load-only pass: at most 2 KiB more.
    ///
    /// # Panics
    /// There is no such schedule.
    pub fn encode(
        &self,
        schedule: usize,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        source: &wgpu::Buffer,
        destination: &wgpu::Buffer,
    ) {
        let schedule = &self.schedules[schedule];
        let limits = gpu.device.limits();
        let bytes = schedule.workgroup_bytes();
        let piece = limits.max_storage_buffer_binding_size / bytes * bytes;
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&schedule.pipeline);
        let mut offset = 0;
        while offset < source.size() {
            let size = piece.min(source.size() - offset);
            let workgroups = size.div_ceil(bytes);
            let written = if self.is_copy { size } else { 4 * u64::from(schedule.lanes) * workgroups };
            // Pieces are apart by what they read, which is more than they write.
            let part = |buffer, size| {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: NonZeroU64::new(size) })
            };
            let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("yardstick"),
                layout: &schedule.pipeline.get_bind_group_layout(0),
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: part(source, size) },
                    wgpu::BindGroupEntry { binding: 1, resource: part(destination, written) },
                ],
            });
            pass.set_bind_group(0, &group, &[]);
            let workgroups = u32::try_from(workgroups).expect("within a binding");
            let x = workgroups.min(limits.max_compute_workgroups_per_dimension);
            pass.dispatch_workgroups(x, workgroups.div_ceil(x), 1);
            offset += size;
        }
    }
}

fn schedules(gpu: &Gpu, name: &'static str, source: wgpu::ShaderModuleDescriptor<'_>) -> Vec<Schedule> {
    // SAFETY: indices are clamped to the shorter of two bindings of the same size, or compared with the length, and the loop
    // counts to a constant. The kernels run without checks too, and a yardstick must not be slower than it could be.
    let module = unsafe { gpu.device.create_shader_module_trusted(source, wgpu::ShaderRuntimeChecks::unchecked()) };
    let software = gpu.info.device_type == wgpu::DeviceType::Cpu;
    let tried = if software { SOFTWARE } else { HARDWARE };
    let schedule = |(lanes, steps)| {
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some(name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("WORKGROUP_SIZE", f64::from(lanes)), ("STEPS", f64::from(steps))],
                ..Default::default()
            },
            cache: None,
        });
        Schedule { pipeline, lanes, steps }
    };
    tried.map(schedule).into()
}
