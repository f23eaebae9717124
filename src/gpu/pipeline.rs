//! Pipelines, compiled once for each variant and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::caps::Caps;
use super::shader::{MOST_HELD, Shader};
use super::switch::Switches;

/// An entry point of a shader with its constants fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub shader: Shader,
    pub entry_point: &'static str,
    pub lanes: u32,
    pub min_subgroup_size: u32,
    /// Chunks of a row that a lane holds.
    pub held: u32,
    pub switches: Switches,
    /// With bounds checks and loop limits.
    pub checked: bool,
}

pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub label: String,
}

/// All pipelines of a device, compiled on first use.
pub(crate) struct Pipelines {
    device: wgpu::Device,
    modules: Mutex<HashMap<(Shader, bool), wgpu::ShaderModule>>,
    pipelines: Mutex<HashMap<Variant, Arc<Pipeline>>>,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device) -> Self {
        Self { device: device.clone(), modules: Mutex::default(), pipelines: Mutex::default() }
    }

    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub fn get(&self, variant: Variant) -> Arc<Pipeline> {
        // A panic elsewhere cannot leave the map half-written, so a poisoned lock is still good.
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.entry(variant).or_insert_with(|| Arc::new(self.compile(variant))).clone()
    }

    /// Compiles the variants of every shader that the device can run and `wanted` lets through, and returns how many there are.
    pub fn compile_all(&self, caps: &Caps, lanes: u32, checked: bool, wanted: impl Fn(Shader) -> bool) -> usize {
        let mut count = 0;
        for shader in Shader::all().into_iter().filter(|&shader| wanted(shader)) {
            if (shader.needs_subgroups() && !caps.subgroups)
                || (shader.needs_f16() && !caps.f16)
                || (shader.needs_int64() && !caps.int64)
            {
                continue;
            }
            for &entry_point in shader.entry_points() {
                for switches in Switches::samples(&shader.switches()) {
                    let min_subgroup_size = caps.min_subgroup_size;
                    let most = if shader.can_hold() { MOST_HELD } else { 0 };
                    for held in [0, most].into_iter().take(if most > 0 { 2 } else { 1 }) {
                        self.get(Variant { shader, entry_point, lanes, min_subgroup_size, held, switches, checked });
                        count += 1;
                    }
                }
            }
        }
        count
    }

    fn compile(&self, variant: Variant) -> Pipeline {
        let Variant { shader, entry_point, lanes, checked, .. } = variant;
        let label = format!("logloss {} {entry_point} x{lanes}", shader.label());
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let module = modules.entry((shader, checked)).or_insert_with(|| {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(&format!("logloss {}", shader.label())),
                source: wgpu::ShaderSource::Wgsl(shader.source()),
            };
            if checked {
                return self.device.create_shader_module(descriptor);
            }
            // SAFETY: every index into a buffer derives from the shape, and the caller's bindings were checked to hold it
            // (`Tensor::check`); a target is compared with the number of classes before it becomes an index; every loop
            // counts towards a bound. The tests run the same sources with the checks compiled in.
            unsafe { self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        });
        let uniform = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let storage = |(binding, read_only)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let mut entries = vec![uniform];
        entries.extend(shader.bindings(entry_point).into_iter().map(storage));
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants(variant),
                // Every fragment writes workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { pipeline, layout, label }
    }
}

fn constants(variant: Variant) -> Vec<(&'static str, f64)> {
    let Variant { shader, lanes, min_subgroup_size, held, switches: on, .. } = variant;
    let mut list = vec![("WORKGROUP_SIZE", f64::from(lanes))];
    if shader.needs_subgroups() {
        list.push(("MIN_SUBGROUP_SIZE", f64::from(min_subgroup_size)));
    }
    if shader.can_hold() {
        list.push(("HELD", f64::from(held)));
    }
    list.extend(shader.switches().into_iter().map(|switch| (switch.name(), f64::from(u8::from(on.has(switch))))));
    list
}
