//! Pipelines, compiled once for each variant and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::caps::Caps;
use super::shader::{RowFragment, Shader};

/// An entry point of a shader with its constants fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    pub shader: Shader,
    pub entry_point: &'static str,
    pub lanes: u32,
    pub min_subgroup_size: u32,
    pub switches: Switches,
}

/// Parts of a loss fragment that are compiled in or left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Switches {
    pub details: bool,
    pub smoothing: bool,
    pub logarithm: bool,
}

impl Switches {
    /// Every combination of the switches that a shader has.
    fn all(shader: Shader) -> Vec<Self> {
        let row = if let Shader::Rows { row, .. } = shader { Some(row) } else { None };
        let either = |has| if has { vec![false, true] } else { vec![false] };
        let mut all = Vec::new();
        for details in either(matches!(row, Some(RowFragment::CrossEntropy | RowFragment::Nll))) {
            for smoothing in either(row == Some(RowFragment::CrossEntropy)) {
                for logarithm in either(row == Some(RowFragment::Softmax)) {
                    all.push(Self { details, smoothing, logarithm });
                }
            }
        }
        all
    }
}

pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub label: String,
}

/// All pipelines of a device, compiled on first use.
pub(crate) struct Pipelines {
    device: wgpu::Device,
    modules: Mutex<HashMap<Shader, wgpu::ShaderModule>>,
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

    /// Compiles every variant of every shader and returns how many there are.
    pub fn compile_all(&self, caps: &Caps, lanes: u32) -> usize {
        let mut count = 0;
        for shader in Shader::all() {
            if shader.needs_subgroups() && !caps.subgroups {
                continue;
            }
            for &entry_point in shader.entry_points() {
                for switches in Switches::all(shader) {
                    self.get(Variant {
                        shader,
                        entry_point,
                        lanes,
                        min_subgroup_size: caps.min_subgroup_size,
                        switches,
                    });
                    count += 1;
                }
            }
        }
        count
    }

    fn compile(&self, variant: Variant) -> Pipeline {
        let Variant { shader, entry_point, lanes, min_subgroup_size, switches } = variant;
        let label = format!("logloss {} {entry_point} x{lanes}", shader.label());
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let module = modules.entry(shader).or_insert_with(|| {
            self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(&format!("logloss {}", shader.label())),
                source: wgpu::ShaderSource::Wgsl(shader.source()),
            })
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
                constants: &constants(shader, lanes, min_subgroup_size, switches),
                ..Default::default()
            },
            cache: None,
        });
        Pipeline { pipeline, layout, label }
    }
}

fn constants(shader: Shader, lanes: u32, min_subgroup_size: u32, s: Switches) -> Vec<(&'static str, f64)> {
    use RowFragment as Row;
    let flag = |on: bool| f64::from(u8::from(on));
    let mut list = vec![("WORKGROUP_SIZE", f64::from(lanes))];
    if shader.needs_subgroups() {
        list.push(("MIN_SUBGROUP_SIZE", f64::from(min_subgroup_size)));
    }
    if let Shader::Rows { row, .. } = shader {
        match row {
            Row::CrossEntropy => list.extend([("DETAILS", flag(s.details)), ("SMOOTHING", flag(s.smoothing))]),
            Row::Nll => list.push(("DETAILS", flag(s.details))),
            Row::Softmax => list.push(("LOGARITHM", flag(s.logarithm))),
        }
    }
    list
}
