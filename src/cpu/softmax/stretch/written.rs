//! Writing: exponentials times the factor of their block.

use std::ops::Range;

use crate::cpu::simd::{
    BLOCK, Block, MAX_BLOCK, Select, Simd, SimdBase, SimdFloat, block_len, load, numbers, replaced, splat, store_block,
};
use crate::cpu::softmax::lanes::{F32, Logits};
use crate::cpu::tensor::{LineWriter, Store};

/// The row that is written.
#[derive(Clone, Copy)]
pub(in crate::cpu::softmax) struct Old {
    pub(in crate::cpu::softmax) exponentials: *const f32,
    /// The factor of all exponentials, if there is but one; else each block has its own.
    pub(in crate::cpu::softmax) factor: Option<f32>,
    /// What is taken off of all of them then.
    pub(in crate::cpu::softmax) share: f32,
    /// The logit whose gradient is not an exponential's, or [`NOWHERE`](super::NOWHERE), and that gradient.
    pub(in crate::cpu::softmax) target: usize,
    pub(in crate::cpu::softmax) at_target: f32,
}

/// A block's length of the gradient: numbers, what each is multiplied by, and what is taken off.
#[derive(Clone, Copy)]
pub(in crate::cpu::softmax) struct Product<S: Simd> {
    numbers: *const f32,
    factor: S::f32s,
    share: S::f32s,
}

impl<S: Simd> Product<S> {
    #[inline(always)]
    pub(in crate::cpu::softmax) const fn new(numbers: *const f32, factor: S::f32s, share: S::f32s) -> Self {
        Self { numbers, factor, share }
    }

    /// Of nothing.
    #[inline(always)]
    pub(in crate::cpu::softmax) fn none(simd: S) -> Self {
        Self { numbers: std::ptr::null(), factor: splat(simd, 0.0), share: splat(simd, 0.0) }
    }

    /// Vector `i`.
    ///
    /// # Safety
    /// The numbers can be read.
    #[inline(always)]
    unsafe fn vector(self, simd: S, i: usize) -> S::f32s {
        let length = S::f32s::LEN;
        // SAFETY: the caller's promise.
        let numbers = load(simd, unsafe { std::slice::from_raw_parts(self.numbers.add(i * length), length) }, 0);
        numbers.mul_sub(self.factor, self.share)
    }

    /// Step `i` of [`Store::store`].
    ///
    /// # Safety
    /// As there, and the numbers can be read.
    #[inline(always)]
    pub(in crate::cpu::softmax) unsafe fn store_some<O: Store, const STREAMS: bool>(
        self,
        simd: S,
        i: usize,
        to: *mut u8,
        at: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            O::store_some::<S>(
                simd,
                #[inline(always)]
                |i| self.vector(simd, i),
                i,
                to,
                at,
                STREAMS,
            );
        }
    }
}

impl Old {
    /// Nothing, where no row is written.
    pub(super) const NONE: Self =
        Self { exponentials: std::ptr::null(), factor: None, share: 0.0, target: super::NOWHERE, at_target: 0.0 };

    /// The gradient of a block's length from logit `first` on. Of most blocks all exponentials have the same factor; of others, and
    /// of the target's, it is computed at once, in `memory`.
    ///
    /// # Safety
    /// As [`Stretch::run`](super::Stretch::run); there are levels for all blocks.
    #[inline(always)]
    pub(super) unsafe fn product<S: Simd>(
        self,
        simd: S,
        levels: &[f32],
        first: usize,
        memory: &mut [f32; MAX_BLOCK],
    ) -> Product<S> {
        let length = block_len::<S>();
        // SAFETY: the caller's promise.
        unsafe {
            let has_target = self.target.wrapping_sub(first) < length;
            let factor = self.factor.or_else(
                #[inline(always)]
                || {
                    let factor = *levels.get_unchecked(first / length);
                    (factor == *levels.get_unchecked(first.div_ceil(length))).then_some(factor)
                },
            );
            if let (Some(factor), false) = (factor, has_target) {
                return Product::new(self.exponentials.add(first), splat(simd, factor), splat(simd, self.share));
            }
            store_block::<S>(&self.gradient::<S>(simd, levels, first), memory);
            Product::new(memory.as_ptr(), splat(simd, 1.0), splat(simd, 0.0))
        }
    }

    /// Writes the next logits of `length`, those of `range`, less than two blocks, in windows of a block's length.
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
                    // As long again, so that the copy of what is written has a constant length.
                    let (mut memory, mut values) = ([0.0; MAX_BLOCK], [0.0; 2 * MAX_BLOCK]);
                    // SAFETY: the caller's promise.
                    unsafe {
                        let product = self.product(simd, levels, first, &mut memory);
                        for i in 0..BLOCK {
                            product.vector(simd, i).store_slice(&mut values[i * S::f32s::LEN..][..S::f32s::LEN]);
                        }
                    }
                    let values = values[at - first..].first_chunk().expect("a block behind the window");
                    writer.push_front(values, block.min(range.end - at));
                },
            );
        }
    }

    /// The gradient of a block's length from logit `first` on.
    ///
    /// # Safety
    /// As [`product`](Self::product).
    #[inline(always)]
    unsafe fn gradient<S: Simd>(self, simd: S, levels: &[f32], first: usize) -> Block<S> {
        let length = block_len::<S>();
        // SAFETY: the caller's promise.
        let (mut gradient, factor, next) = unsafe {
            let factor = *levels.get_unchecked(first / length);
            (F32(self.exponentials).load(simd, first), factor, *levels.get_unchecked(first.div_ceil(length)))
        };
        let share = splat(simd, self.share);
        if factor == next {
            let factor = splat(simd, factor);
            for g in &mut gradient {
                *g = g.mul_sub(factor, share);
            }
        } else {
            let end = S::u32s::splat(simd, (length - first % length) as u32);
            for (g, number) in gradient.iter_mut().zip(&numbers::<S>(simd)) {
                *g = g.mul_sub(number.simd_lt(end).select(splat(simd, factor), splat(simd, next)), share);
            }
        }
        if (first..first + length).contains(&self.target) {
            gradient = replaced::<S>(simd, &gradient, &numbers::<S>(simd), self.target - first, self.at_target);
        }
        gradient
    }
}
