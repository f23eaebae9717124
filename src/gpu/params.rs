//! The uniform block of `shaders/params.wgsl`, field by field.

use crate::reduction::{MAX_IGNORE_INDICES, Reduction};

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Params {
    pub rows: u32,
    pub classes: u32,
    pub first_row: u32,
    pub group_rows: u32,
    pub logits_base: u32,
    pub rows_base: u32,
    pub details_base: u32,
    pub flags: u32,
    pub ignore_count: u32,
    pub partial_base: u32,
    pub count: u32,
    pub first_element: u32,
    pub minus_infinity: f32,
    pub nan: f32,
    pub denominator: f32,
    pub reserved: u32,
    pub options: [f32; 8],
    pub ignore_index: [i32; 16],
}

// Spelled out above: rustc 1.95 fails on the named length inside a captured struct.
const _: () = assert!(MAX_IGNORE_INDICES == 16);

pub(crate) const HAS_CLASS_WEIGHTS: u32 = 1;
pub(crate) const HAS_ROW_WEIGHTS: u32 = 2;
const DIVIDE_BY_WEIGHTS: u32 = 4;
const EMPTY_IS_ZERO: u32 = 8;

impl Default for Params {
    fn default() -> Self {
        Self { minus_infinity: f32::NEG_INFINITY, nan: f32::NAN, denominator: 1.0, ..bytemuck::Zeroable::zeroed() }
    }
}

impl Params {
    /// Adds how the summary divides.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        match reduction {
            Reduction::None | Reduction::Sum | Reduction::BatchMean => {}
            Reduction::Mean => self.flags |= DIVIDE_BY_WEIGHTS,
            Reduction::MeanOrZero => self.flags |= DIVIDE_BY_WEIGHTS | EMPTY_IS_ZERO,
            Reduction::MeanOver(denominator) => self.denominator = denominator,
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
