//! Memory that vectors are stored in.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

/// float32 numbers, whole lines of them, from the start of a cache line on: a vector does not lie across two lines, which a core
/// stores and loads one after the other.
#[derive(Default)]
pub(super) struct Aligned {
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

const LANES: usize = super::simd::memory::LINE / size_of::<f32>();

impl Aligned {
    /// At least `n` zeros.
    pub(super) fn zeros(n: usize) -> Self {
        let mut zeros = Self::default();
        zeros.extend_to(n);
        zeros
    }

    /// Appends zeros up to a length of `n` at least.
    pub(super) fn extend_to(&mut self, n: usize) {
        if n > self.len() {
            self.lines.resize(n.div_ceil(LANES), Line::zeroed());
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }
}

impl DerefMut for Aligned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}
