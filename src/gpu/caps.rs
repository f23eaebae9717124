//! What a device can do, as plain data, so that planning needs no device.

/// The properties of a device that decide which variant runs and how it is sized.
#[derive(Debug, Clone, PartialEq)]
pub struct Caps {
    /// A software rasteriser such as lavapipe, where a workgroup is a loop and narrow ones are best.
    pub software: bool,
    /// `Features::SUBGROUP` is enabled.
    pub subgroups: bool,
    /// `Features::SHADER_F16` is enabled.
    pub f16: bool,
    /// `Features::SHADER_INT64` is enabled.
    pub int64: bool,
    /// Smallest subgroup that a dispatch may get.
    pub min_subgroup_size: u32,
    /// Largest subgroup that a dispatch may get.
    pub max_subgroup_size: u32,
    /// Invocations in a workgroup.
    pub max_invocations: u32,
    /// Workgroups in one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Bytes in one storage binding.
    pub max_binding: u64,
    /// Bytes in one buffer.
    pub max_buffer: u64,
    /// Storage buffers in one stage.
    pub max_storage_buffers: u32,
    /// A storage binding's offset is a multiple of this many bytes.
    pub storage_alignment: u32,
    /// A uniform binding's offset is a multiple of this many bytes.
    pub uniform_alignment: u32,
}

impl Caps {
    /// The capabilities that `device` was created with.
    #[must_use]
    pub fn of(device: &wgpu::Device) -> Self {
        let (limits, info) = (device.limits(), device.adapter_info());
        Self {
            software: info.device_type == wgpu::DeviceType::Cpu,
            subgroups: device.features().contains(wgpu::Features::SUBGROUP),
            f16: device.features().contains(wgpu::Features::SHADER_F16),
            int64: device.features().contains(wgpu::Features::SHADER_INT64),
            min_subgroup_size: info.subgroup_min_size,
            max_subgroup_size: info.subgroup_max_size,
            max_invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            storage_alignment: limits.min_storage_buffer_offset_alignment,
            uniform_alignment: limits.min_uniform_buffer_offset_alignment,
        }
    }

    /// Lanes of a subgroup, if there are subgroups and all have as many.
    pub(crate) fn subgroup_size(&self) -> Option<u32> {
        let is_one = self.subgroups && self.min_subgroup_size == self.max_subgroup_size;
        (is_one && self.min_subgroup_size.is_power_of_two()).then_some(self.min_subgroup_size)
    }

    /// Bytes that a tensor's offset in its buffer is a multiple of: the device's rule, and a chunk of logits.
    pub(crate) fn alignment(&self) -> u32 {
        self.storage_alignment.max(16)
    }
}
