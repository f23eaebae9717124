//! Mutable slices of any element type.

use half::{bf16, f16};

use crate::{DType, Layout, Logits};

/// Logits or a gradient to write to, of any element type. Mutable slices convert into it.
#[derive(Debug, PartialEq)]
pub enum LogitsMut<'a> {
    /// float32.
    F32(&'a mut [f32]),
    /// float16.
    F16(&'a mut [f16]),
    /// bfloat16.
    Bf16(&'a mut [bf16]),
}

macro_rules! from_slices {
    ($variant:ident, $element:ty) => {
        impl<'a> From<&'a mut [$element]> for LogitsMut<'a> {
            fn from(values: &'a mut [$element]) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a> From<&'a mut Vec<$element>> for LogitsMut<'a> {
            fn from(values: &'a mut Vec<$element>) -> Self {
                Self::$variant(values)
            }
        }
    };
}
from_slices!(F32, f32);
from_slices!(F16, f16);
from_slices!(Bf16, bf16);

impl LogitsMut<'_> {
    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.as_logits().len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        self.as_logits().dtype()
    }

    /// The same elements, to read.
    #[must_use]
    pub const fn as_logits(&self) -> Logits<'_> {
        match self {
            Self::F32(values) => Logits::F32(values),
            Self::F16(values) => Logits::F16(values),
            Self::Bf16(values) => Logits::Bf16(values),
        }
    }

    /// Writes 0 into the gaps between the samples of a layout.
    pub(in crate::cpu) fn clear_gaps(&mut self, layout: &Layout) {
        if layout.is_contiguous() {
            return;
        }
        match self {
            Self::F32(values) => clear(values, layout, 0.0),
            Self::F16(values) => clear(values, layout, f16::ZERO),
            Self::Bf16(values) => clear(values, layout, bf16::ZERO),
        }
    }
}

fn clear<T: Copy>(values: &mut [T], layout: &Layout, zero: T) {
    let used = layout.contiguous().outer_stride() as usize;
    for sample in values.chunks_mut(layout.outer_stride() as usize) {
        let used = used.min(sample.len());
        sample[used..].fill(zero);
    }
}
