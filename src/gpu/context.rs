//! A device with what was compiled for it: what every operation stands on.

use std::sync::Arc;

use super::caps::Caps;
use super::pipeline::{Pipeline, Pipelines, Variant};
use super::plan::Plan;
use super::shader::Shader;
use super::switch::Switches;
use super::tuning::Tuning;
use crate::{Error, Result};

pub(crate) struct Context {
    pub device: wgpu::Device,
    pub caps: Caps,
    pub tuning: Tuning,
    pipelines: Arc<Pipelines>,
}

impl Context {
    /// # Errors
    /// [`Error::Unsupported`] if the device lacks a limit that every kernel needs.
    pub fn new(pipelines: Arc<Pipelines>, tuning: Tuning) -> Result<Self> {
        let device = pipelines.device().clone();
        let caps = Caps::of(&device);
        if caps.max_storage_buffers < 8 {
            return Err(Error::Unsupported {
                variant: "a loss kernel".into(),
                needs: format!("8 storage buffers in a stage (it has {})", caps.max_storage_buffers),
            });
        }
        Ok(Self { device, caps, tuning, pipelines })
    }

    /// Bytes that a tensor's offset in its buffer is a multiple of.
    pub fn alignment(&self) -> u32 {
        self.caps.alignment()
    }

    /// Largest storage binding in bytes.
    pub fn max_binding(&self) -> u64 {
        self.tuning.max_binding(&self.caps)
    }

    /// Largest dimension of a dispatch in workgroups.
    pub fn max_workgroups(&self) -> u32 {
        self.tuning.max_workgroups.map_or(self.caps.max_workgroups, |w| w.min(self.caps.max_workgroups)).max(1)
    }

    /// The pipeline of an entry point, compiled if this is its first use.
    pub fn pipeline(
        &self,
        plan: &Plan,
        shader: Shader,
        entry_point: &'static str,
        switches: Switches,
    ) -> Arc<Pipeline> {
        self.pipelines.get(Variant {
            shader,
            entry_point,
            lanes: plan.lanes,
            held: if shader.can_hold() { plan.held } else { 0 },
            min_subgroup_size: self.caps.min_subgroup_size,
            switches,
            checked: self.tuning.checked,
        })
    }

    /// As [`pipeline`](Self::pipeline), for a shader without switches.
    pub fn pass(&self, plan: &Plan, shader: Shader, entry_point: &'static str) -> Arc<Pipeline> {
        self.pipeline(plan, shader, entry_point, Switches::default())
    }
}
