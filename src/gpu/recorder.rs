//! Collects the dispatches of an operation, then records them into the caller's encoder in one compute pass.

use std::sync::Arc;

use super::caps::Caps;
use super::context::Context;
use super::params::Params;
use super::pipeline::Pipeline;
use crate::{Error, Result};

/// One dispatch: a pipeline, its uniform block, its storage bindings, and how many workgroups.
#[derive(Clone)]
pub(crate) struct Step<'a> {
    pub pipeline: Arc<Pipeline>,
    pub params: Params,
    pub bindings: Vec<(u32, wgpu::BufferBinding<'a>)>,
    pub workgroups: u32,
}

pub(crate) struct Recorder<'a> {
    label: &'static str,
    steps: Vec<Step<'a>>,
}

impl<'a> Recorder<'a> {
    pub fn new(label: &'static str) -> Self {
        Self { label, steps: Vec::new() }
    }

    pub fn push(&mut self, step: Step<'a>) {
        self.steps.push(step);
    }

    /// Records everything. Dispatches run in order: wgpu puts a barrier where one reads what another wrote.
    ///
    /// # Errors
    /// [`Error::Device`] if the device is lost.
    pub fn record(self, context: &Context, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        let Context { device, caps, .. } = context;
        let max_workgroups = context.max_workgroups();
        let uniforms = self.uniforms(device, caps)?;
        let stride = uniform_stride(caps);
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(self.label), timestamp_writes: None });
        for (i, step) in (0u64..).zip(&self.steps) {
            if step.workgroups == 0 {
                continue;
            }
            let uniform = wgpu::BufferBinding {
                buffer: &uniforms,
                offset: i * stride,
                size: std::num::NonZeroU64::new(size_of::<Params>() as u64),
            };
            let mut entries =
                vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
            entries.extend(step.bindings.iter().map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: *binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            }));
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&step.pipeline.label),
                layout: &step.pipeline.layout,
                entries: &entries,
            });
            pass.set_pipeline(&step.pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            let x = step.workgroups.min(max_workgroups);
            pass.dispatch_workgroups(x, step.workgroups.div_ceil(x), 1);
        }
        Ok(())
    }

    /// All uniform blocks in one buffer, filled while it is created: no queue is needed.
    fn uniforms(&self, device: &wgpu::Device, caps: &Caps) -> Result<wgpu::Buffer> {
        let stride = usize::try_from(uniform_stride(caps)).unwrap_or(usize::MAX);
        let mut bytes = vec![0u8; stride * self.steps.len().max(1)];
        for (slot, step) in bytes.chunks_exact_mut(stride).zip(&self.steps) {
            slot[..size_of::<Params>()].copy_from_slice(bytemuck::bytes_of(&step.params));
        }
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(self.label),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: true,
        });
        // Fails on a lost device, where wgpu's own create_buffer_init would panic.
        buffer.get_mapped_range_mut(..).map_err(|e| Error::Device(e.to_string()))?.copy_from_slice(&bytes);
        buffer.unmap();
        Ok(buffer)
    }
}

fn uniform_stride(caps: &Caps) -> u64 {
    (size_of::<Params>() as u64).next_multiple_of(caps.uniform_alignment.into())
}
