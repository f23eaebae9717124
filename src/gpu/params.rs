//! The uniform block of `shaders/params.wgsl`, field by field.

use crate::checks::MAX_IGNORE_INDICES;
use crate::definition::{Definition, Mean, TargetKind, Unit};
use crate::{Layout, Reduction};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    pub rows: u32,
    pub classes: u32,
    pub inner: u32,
    pub outer_stride: u32,
    pub first_row: u32,
    pub group_rows: u32,
    pub logits_base: u32,
    pub gradient_base: u32,
    pub rows_base: u32,
    pub dense_base: u32,
    pub details_base: u32,
    pub flags: u32,
    pub ignore_count: u32,
    pub partial_base: u32,
    pub count: u32,
    pub first_element: u32,
    pub minus_infinity: f32,
    pub nan: f32,
    pub denominator: f32,
    pub softcap: f32,
    pub slice_chunks: u32,
    pub first_slice: u32,
    pub first_chunk: u32,
    pub some_class: u32,
    pub options: [f32; 8],
    pub ignore_index: [i32; 16],
}

// Spelled out above: rustc 1.95 fails on the named length inside a captured struct.
const _: () = assert!(MAX_IGNORE_INDICES == 16);

pub(crate) const HAS_CLASS_WEIGHTS: u32 = 1;
pub(crate) const HAS_ROW_WEIGHTS: u32 = 2;
const DIVIDE_BY_WEIGHTS: u32 = 4;
const EMPTY_IS_ZERO: u32 = 8;
pub(crate) const HAS_POS_WEIGHTS: u32 = 16;
const COUNT_ROWS: u32 = 32;
const IS_SURVEYED: u32 = 64;
const COUNT_UNITS: u32 = 128;
const SAMPLES_TOGETHER: u32 = 256;
const WITHOUT_BACKGROUND: u32 = 512;

impl Default for Params {
    fn default() -> Self {
        Self {
            minus_infinity: f32::NEG_INFINITY,
            nan: f32::NAN,
            denominator: 1.0,
            inner: 1,
            ..bytemuck::Zeroable::zeroed()
        }
    }
}

impl Params {
    /// Adds where the classes are.
    pub fn with_layout(mut self, layout: &Layout) -> Self {
        (self.rows, self.classes) = (layout.rows(), layout.classes());
        (self.inner, self.outer_stride) = (layout.inner(), layout.outer_stride());
        self
    }

    /// Adds how the summary divides, for targets of a kind that the loss takes.
    pub fn with_definition(mut self, definition: &Definition<'_>, targets: TargetKind, layout: &Layout) -> Self {
        match definition.denominator(layout) {
            // A count beyond 2^24 is rounded, by less than the sum of that many losses is.
            Some(denominator) => self.denominator = denominator as f32,
            None => self.flags |= DIVIDE_BY_WEIGHTS,
        }
        if definition.reduction == Reduction::MeanOrZero {
            self.flags |= EMPTY_IS_ZERO;
        }
        if definition.mean == Mean::Rows {
            self.flags |= COUNT_ROWS;
        }
        if definition.mean == Mean::Units {
            self.flags |= COUNT_UNITS;
            self.count = u32::try_from(definition.unit.count(layout)).unwrap_or(u32::MAX);
        }
        if targets == TargetKind::Classes {
            self.flags |= IS_SURVEYED;
        }
        if let Unit::Region(regions) = definition.unit {
            self.flags |= if regions.samples_together { SAMPLES_TOGETHER } else { 0 };
            self.flags |= if regions.without_background { WITHOUT_BACKGROUND } else { 0 };
        }
        self
    }

    /// Adds the list of ignore indices, already checked to fit.
    pub fn with_ignore_index(mut self, list: &[i32]) -> Self {
        for (slot, &index) in self.ignore_index.iter_mut().zip(list) {
            *slot = index;
            self.ignore_count += 1;
        }
        self
    }
}
