//! Choices that are planned where nobody forces them.

use super::caps::Caps;
use super::shader::Reduce;
use crate::{Error, Layout, Result};

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

    /// Whether rows of float32 logits are loaded as 64-bit words.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if that is forced and the device cannot.
    pub(crate) fn wide(&self, layout: &Layout, caps: &Caps) -> Result<bool> {
        // A pair has 32 bytes, and windows start with one.
        let can = caps.int64 && caps.storage_alignment.is_multiple_of(32);
        match self.wide {
            Some(true) if !can => Err(Error::Unsupported {
                variant: "float32 logits as 64-bit words".into(),
                needs: "Features::SHADER_INT64, and storage offsets that are multiples of 32 bytes".into(),
            }),
            // Who forces a team, or how it combines, wants what other devices run.
            None if self.team.is_some() || self.reduce.is_some() => Ok(false),
            forced => {
                // Groups of rows that start elsewhere would be larger than those of a chunk, and need larger bindings.
                let suits = layout.classes() >= WIDE && layout.outer_stride().is_multiple_of(8);
                Ok(forced.unwrap_or(caps.software && can && suits))
            }
        }
    }
}

/// Classes from which a software adapter loads 64-bit words. It loads lane after lane, and then half as often: rows of 65,536 x 1000
/// take from 0.72 to 0.96 of the time, by what else the machine does, and those of fewer classes, which have more edges, up to 1.4.
const WIDE: u32 = 256;

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
