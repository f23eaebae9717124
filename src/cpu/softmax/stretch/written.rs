//! Writing: exponentials times the factor of their block.

use std::ops::Range;

use crate::cpu::simd::{Block, MAX_BLOCK, Select, Simd, SimdBase, block_len, numbers, replaced, splat, store_block};
use crate::cpu::softmax::lanes::{F32, Logits};
use crate::cpu::tensor::LineWriter;

/// The row that is written.
#[derive(Clone, Copy)]
pub(in crate::cpu::softmax) struct Old {
    pub(in crate::cpu::softmax) exponentials: *const f32,
    /// The logit whose gradient is not an exponential's, or [`NOWHERE`](super::NOWHERE), and that gradient.
    pub(in crate::cpu::softmax) target: usize,
    pub(in crate::cpu::softmax) at_target: f32,
}

impl Old {
    /// Writes the next logits of `length`, those of `range`, in windows of a block's length.
    ///
    /// # Safety
    /// As [`Stretch::run`](super::Stretch::run).
    pub(super) unsafe fn write_some<S: Simd>(
        self,
        simd: S,
        levels: &[f32],
        length: usize,
        range: Range<usize>,
        writer: &mut LineWriter<'_>,
    ) {
        let block = block_len::<S>();
        for at in range.clone().step_by(block) {
            let first = at.min(length - block);
            simd.vectorize(
                #[inline(always)]
                || {
                    let mut values = [0.0; MAX_BLOCK];
                    // SAFETY: the caller's promise.
                    store_block::<S>(&unsafe { self.gradient::<S>(simd, levels, first) }, &mut values);
                    writer.push(&values[at - first..block.min(range.end - first)]);
                },
            );
        }
    }

    /// The gradient of a block's length from logit `first` on.
    ///
    /// # Safety
    /// As [`Stretch::run`](super::Stretch::run); there are levels for all blocks.
    #[inline(always)]
    pub(super) unsafe fn gradient<S: Simd>(self, simd: S, levels: &[f32], first: usize) -> Block<S> {
        let length = block_len::<S>();
        // SAFETY: the caller's promise.
        let (mut gradient, factor, next) = unsafe {
            let factor = *levels.get_unchecked(first / length);
            (F32(self.exponentials).load(simd, first), factor, *levels.get_unchecked(first.div_ceil(length)))
        };
        if factor == next {
            let factor = splat(simd, factor);
            for g in &mut gradient {
                *g *= factor;
            }
        } else {
            let end = S::u32s::splat(simd, (length - first % length) as u32);
            for (g, number) in gradient.iter_mut().zip(&numbers::<S>(simd)) {
                *g *= number.simd_lt(end).select(splat(simd, factor), splat(simd, next));
            }
        }
        if (first..first + length).contains(&self.target) {
            gradient = replaced::<S>(simd, &gradient, &numbers::<S>(simd), self.target - first, self.at_target);
        }
        gradient
    }
}
