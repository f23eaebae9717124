//! Where the tiles of a group are.

use std::ops::Range;

use crate::cpu::simd::turn::TileRows;
use crate::cpu::simd::{Simd, SimdBase};
use crate::cpu::softmax::group::Group;

/// A group and its tiles in memory.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) group: Group,
    /// Numbers from class to class, from tile to tile, and from the first of a tile to behind the last.
    pub(super) stride: usize,
    step: usize,
    length: usize,
}

impl Place {
    #[inline(always)]
    pub(super) const fn of<S: Simd, const TURNED: bool>(group: Group, classes: usize) -> Self {
        let lanes = S::f32s::LEN;
        if TURNED {
            return Self { group, stride: lanes, step: classes * lanes, length: classes * lanes };
        }
        let stride = group.tiles::<S>() * lanes;
        Self { group, stride, step: lanes, length: (classes * stride).saturating_sub(stride - lanes) }
    }

    /// Numbers that its tiles take.
    #[inline(always)]
    pub(super) const fn values<S: Simd>(self, classes: usize) -> usize {
        self.group.tiles::<S>() * S::f32s::LEN * classes
    }

    /// Tile `k`.
    #[inline(always)]
    pub(super) const fn tile(self, k: usize) -> Range<usize> {
        k * self.step..k * self.step + self.length
    }

    /// The rows of tile `k`, of logits whose rows are next to one another.
    #[inline(always)]
    pub(super) fn rows<'a, S: Simd>(self, k: usize, logits: &'a [f32], padded: &'a mut [f32]) -> TileRows<'a> {
        let (lanes, classes) = (S::f32s::LEN, self.length / S::f32s::LEN);
        TileRows::new::<S>(&logits[k * self.length..], classes, lanes.min(self.group.n - k * lanes), padded)
    }
}
