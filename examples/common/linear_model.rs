//! A linear classifier as a wgpu program of its own: it knows buffers and pipelines, but no loss.

use anyhow::Result;
use logloss::wgpu::{self, util::DeviceExt};
use logloss::{Shape, Targets};

/// Gradient descent with momentum: `v = momentum * v + gradient`, then `parameters -= learning_rate * v`.
///
/// The defaults are stable on up to 76 standardised features. Over all rows, the second derivative of softmax
/// cross-entropy is at most half the largest eigenvalue of the features' covariance, which is at most their number n; and
/// heavy-ball momentum is stable while `learning_rate * second derivative < 2 * (1 + momentum)`. So n may be up to
/// `4 * (1 + momentum) / learning_rate`. Class weights of mean 1 divide that by the largest of them.
#[derive(Debug, Clone, Copy)]
pub struct Optimiser {
    /// Length of a step, per unit of velocity.
    pub learning_rate: f32,
    /// Share of the velocity that outlives a step, in [0, 1).
    pub momentum: f32,
}

impl Default for Optimiser {
    fn default() -> Self {
        Self { learning_rate: 0.1, momentum: 0.9 }
    }
}

/// Parameters on the GPU, and the two shaders that use them.
pub struct LinearModel {
    features: u32,
    classes: u32,
    layout: wgpu::BindGroupLayout,
    forward: wgpu::ComputePipeline,
    update: wgpu::ComputePipeline,
    parameters: wgpu::Buffer,
    velocity: wgpu::Buffer,
}

/// Rows of features on the host, and what is true of them.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Features, (rows, columns) row-major.
    pub features: &'a [f32],
    /// Class index of each row, or a value for each of its logits.
    pub targets: Targets<'a>,
    /// Number of rows and of logits of a row.
    pub shape: Shape,
}

/// Rows of features on the GPU, with room for their logits.
pub struct Rows {
    /// Shape of the logits.
    pub shape: Shape,
    /// Logits, float32, (rows, classes) row-major.
    pub logits: wgpu::Buffer,
    /// Class index of each row, int32, or a value for each logit, float32.
    pub targets: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

/// Invocations in a workgroup of `shaders/linear.wgsl`.
const WORKGROUP_SIZE: u32 = 64;

impl LinearModel {
    /// Parameters of 0, so that the first logits are 0 and the first loss is that of guessing: `ln(classes)`.
    pub fn new(device: &wgpu::Device, features: u32, classes: u32, optimiser: Optimiser) -> Self {
        let module = device.create_shader_module(wgpu::include_wgsl!("../shaders/linear.wgsl"));
        let entries = [true, false, false, false].into_iter().zip(0..).map(|(read_only, binding)| {
            let ty = wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            };
            wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
        });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("linear model"),
            entries: &entries.collect::<Vec<_>>(),
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("linear model"),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let constants = [
            ("FEATURES", features.into()),
            ("CLASSES", classes.into()),
            ("LEARNING_RATE", optimiser.learning_rate.into()),
            ("MOMENTUM", optimiser.momentum.into()),
        ];
        let pipeline = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
                cache: None,
            })
        };
        let parameters = (u64::from(features) + 1) * u64::from(classes);
        Self {
            forward: pipeline("forward"),
            update: pipeline("update"),
            parameters: zeros(device, "parameters", parameters),
            velocity: zeros(device, "velocity", parameters),
            features,
            classes,
            layout,
        }
    }

    /// Copies rows to the GPU.
    pub fn upload(&self, device: &wgpu::Device, Samples { features, targets, shape }: Samples) -> Result<Rows> {
        let fits = features.len() as u64 == u64::from(shape.rows) * u64::from(self.features);
        anyhow::ensure!(fits && shape.classes == self.classes, "the rows do not fit the model's features or classes");
        let features = storage(device, "features", features);
        let targets = match targets {
            Targets::Classes(classes) => storage(device, "targets", classes),
            Targets::Dense(values) => storage(device, "targets", values),
        };
        let logits = zeros(device, "logits", shape.elements());
        let buffers = [&features, &logits, &self.parameters, &self.velocity];
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("rows"),
            layout: &self.layout,
            entries: &entries,
        });
        Ok(Rows { shape, targets, logits, bindings })
    }

    /// Records `logits = X W + b`.
    pub fn forward(&self, encoder: &mut wgpu::CommandEncoder, rows: &Rows) {
        dispatch(encoder, &self.forward, rows, rows.shape.rows * self.classes);
    }

    /// Records a step of the parameters, once the loss has written its gradient over the logits.
    pub fn update(&self, encoder: &mut wgpu::CommandEncoder, rows: &Rows) {
        dispatch(encoder, &self.update, rows, (self.features + 1) * self.classes);
    }
}

fn dispatch(encoder: &mut wgpu::CommandEncoder, pipeline: &wgpu::ComputePipeline, rows: &Rows, invocations: u32) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &rows.bindings, &[]);
    pass.dispatch_workgroups(invocations.div_ceil(WORKGROUP_SIZE), 1, 1);
}

/// A storage buffer that holds `data`.
pub fn storage<T: bytemuck::Pod>(device: &wgpu::Device, label: &str, data: &[T]) -> wgpu::Buffer {
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some(label),
        contents: bytemuck::cast_slice(data),
        usage: wgpu::BufferUsages::STORAGE,
    })
}

/// A storage buffer of `length` 4-byte elements that can be read back. wgpu clears new buffers.
pub fn zeros(device: &wgpu::Device, label: &str, length: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: 4 * length,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}
