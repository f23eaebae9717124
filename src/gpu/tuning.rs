//! Choices that are planned where nobody forces them.

use super::caps::Caps;
use super::shader::Reduce;
use crate::{Error, Result};

/// Choices that tests and benches may force; absent ones are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tuning {
    /// Invocations in a workgroup: a power of two, at least 4.
    pub lanes: Option<u32>,
    /// How lanes combine; then a team is a workgroup, if nothing else is forced.
    pub reduce: Option<Reduce>,
    /// Who owns a row where the class axis is last.
    pub team: Option<Team>,
    /// Whether the lanes of a workgroup or a subgroup hold their row in registers.
    pub held: Option<bool>,
    /// Classes of a slice, a multiple of 4 (of 16-bit and wide logits 8), where the team is one a slice.
    pub slice: Option<u32>,
    /// float16 logits converted by the device (`true`) or by hand.
    pub native_f16: Option<bool>,
    /// float32 logits loaded as 64-bit words, two chunks at once, where the class axis is last.
    pub wide: Option<bool>,
    /// Largest storage binding in bytes, below the device's own limit: makes windows small.
    pub max_binding: Option<u64>,
    /// Largest dispatch dimension, below the device's own limit: makes dispatches two-dimensional.
    pub max_workgroups: Option<u32>,
    /// Compile bounds checks and loop limits in.
    pub checked: bool,
}

impl Tuning {
    /// Nothing is forced.
    pub const PLANNED: Self = Self {
        lanes: None,
        reduce: None,
        team: None,
        held: None,
        slice: None,
        native_f16: None,
        wide: None,
        max_binding: None,
        max_workgroups: None,
        checked: false,
    };

    /// Largest storage binding in bytes.
    pub(crate) fn max_binding(&self, caps: &Caps) -> u64 {
        self.max_binding.map_or(caps.max_binding, |forced| forced.min(caps.max_binding))
    }

    /// Whether the device converts float16.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if that is forced and the device cannot.
    pub(crate) fn native_f16(&self, caps: &Caps) -> Result<bool> {
        match self.native_f16 {
            Some(true) if !caps.f16 => {
                Err(Error::Unsupported { variant: "native float16".into(), needs: "Features::SHADER_F16".into() })
            }
            forced => Ok(forced.unwrap_or(caps.f16)),
        }
    }
}

/// A team of lanes that owns rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Team {
    /// A workgroup a slice of a row, which several of them share: very long rows.
    Slices,
    /// A workgroup: long rows.
    Workgroup,
    /// A subgroup of a workgroup that has several: rows that its lanes can hold.
    Subgroup,
    /// A lane by itself: many short rows.
    Lane,
}
