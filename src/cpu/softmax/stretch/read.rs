//! Reading: logits into the statistics, and their exponentials to where they are kept.

use std::ops::Range;

use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::memory::{AHEAD, LINE, fetch_in_steps, prefetch, store_vector};
use crate::cpu::simd::{Block, MAX_BLOCK, Simd, SimdBase, block_len, from, replaced, splat, store_block};
use crate::cpu::softmax::lanes::{Bf16, F16, F32, Logits};
use crate::cpu::softmax::partition::{Partition, largest, reference_near};
use crate::cpu::tensor::Source;

/// Blocks whose maximum is the first reference: where rows are short, renewing it would cost more than they do.
const GLANCE: usize = 16;

/// The row that is read.
#[derive(Clone, Copy)]
pub(in crate::cpu::softmax) struct Read<X> {
    pub(in crate::cpu::softmax) x: X,
    /// The logit that is left out, or [`NOWHERE`](super::NOWHERE).
    pub(in crate::cpu::softmax) hole: usize,
    /// Where exponentials go.
    pub(in crate::cpu::softmax) kept: *mut f32,
}

impl<X: Logits> Read<X> {
    /// Adds block `b` to the statistics, whose reference is 0 if they are `NEAR`, and does step by step whatever goes on between, one step a vector.
    ///
    /// # Safety
    /// As [`Stretch::run`](super::Stretch::run); there are levels for all blocks.
    #[inline(always)]
    pub(super) unsafe fn block<S: Simd, const KEEPS: bool, const NEAR: bool>(
        self,
        simd: S,
        exp: Exp<S>,
        levels: &mut [f32],
        b: usize,
        statistics: &mut Partition<S>,
        mut between: impl FnMut(usize),
    ) {
        let length = block_len::<S>();
        let first = b * length;
        let values = statistics.add::<NEAR, KEEPS>(
            simd,
            exp,
            // SAFETY: the caller's promise.
            #[inline(always)]
            || unsafe { self.logits::<S>(simd, first) },
            #[inline(always)]
            |i| {
                self.fetch::<S>(first, i);
                between(i);
            },
        );
        let Some(values) = values else { return };
        // SAFETY: the caller's promise.
        unsafe {
            for (i, vector) in X::in_order::<S>(&values).iter().enumerate() {
                store_vector::<S>(*vector, self.kept.add(first + i * S::f32s::LEN));
            }
            *levels.get_unchecked_mut(b) = statistics.reference;
        }
    }

    /// As [`block`](Self::block), of blocks that nobody keeps the exponentials of, while the reference is 0; as
    /// [`Partition::add_near`] takes them.
    ///
    /// # Safety
    /// As [`Stretch::run`](super::Stretch::run).
    #[inline(always)]
    pub(super) unsafe fn blocks<S: Simd>(
        self,
        simd: S,
        exp: Exp<S>,
        blocks: Range<usize>,
        statistics: &mut Partition<S>,
    ) {
        let length = block_len::<S>();
        let has_hole = (blocks.start * length..blocks.end * length).contains(&self.hole);
        let are_added = statistics.add_near(
            simd,
            blocks.len(),
            #[inline(always)]
            |i| {
                let first = (blocks.start + i) * length;
                // SAFETY: the caller's promise.
                let mut logits =
                    unsafe { if has_hole { self.logits::<S>(simd, first) } else { self.x.load(simd, first) } };
                exp.sum_of_block::<false>(
                    &mut logits,
                    #[inline(always)]
                    |line| self.fetch::<S>(first, line),
                )
            },
        );
        if !are_added {
            for b in blocks {
                // SAFETY: the caller's promise.
                unsafe { self.block::<S, false, false>(simd, exp, &mut [], b, statistics, |_| {}) };
            }
        }
    }

    /// Fetches what comes behind a line of the block whose first logit is `first`.
    #[inline(always)]
    pub(in crate::cpu::softmax) fn fetch<S: Simd>(self, first: usize, line: usize) {
        if line * LINE < block_len::<S>() * X::BYTES {
            fetch_in_steps(self.x.address(first).wrapping_add(line * LINE));
        }
    }

    /// As [`block`](Self::block), of a block's length from logit `first` on, without the first few.
    ///
    /// # Safety
    /// As [`Stretch::run`](super::Stretch::run).
    pub(super) unsafe fn some<S: Simd, const KEEPS: bool>(
        self,
        simd: S,
        exp: Exp<S>,
        levels: &mut [f32],
        first: usize,
        skipped: usize,
        statistics: &mut Partition<S>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let length = block_len::<S>();
                // SAFETY: the caller's promise.
                let logits = unsafe { self.logits::<S>(simd, first) };
                let logits = from::<S>(simd, &logits, &X::numbers::<S>(simd), skipped, f32::NEG_INFINITY);
                for i in (skipped..length).step_by(LINE / X::BYTES) {
                    prefetch(self.x.address(first + i).wrapping_add(AHEAD));
                }
                let values = statistics.add::<false, KEEPS>(simd, exp, || logits, |_| {});
                if let Some(values) = values {
                    let mut all = [0.0; MAX_BLOCK];
                    store_block::<S>(&X::in_order::<S>(&values), &mut all);
                    let n = length - skipped;
                    // SAFETY: the caller's promise.
                    let kept = unsafe { std::slice::from_raw_parts_mut(self.kept.add(first + skipped), n) };
                    kept.copy_from_slice(&all[skipped..length]);
                    levels[(first + skipped) / length] = statistics.reference;
                }
            },
        );
    }

    /// A block's length of logits from `first` on, -inf in place of the hole.
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    pub(in crate::cpu::softmax) unsafe fn logits<S: Simd>(self, simd: S, first: usize) -> Block<S> {
        // SAFETY: the caller's promise.
        self.without_hole(simd, unsafe { self.x.load(simd, first) }, first)
    }

    /// Those logits, -inf in place of the hole.
    #[inline(always)]
    pub(in crate::cpu::softmax) fn without_hole<S: Simd>(self, simd: S, logits: Block<S>, first: usize) -> Block<S> {
        if (first..first + block_len::<S>()).contains(&self.hole) {
            replaced::<S>(simd, &logits, &X::numbers::<S>(simd), self.hole - first, f32::NEG_INFINITY)
        } else {
            logits
        }
    }
}

/// The first reference of a stretch: 0 if that is [near](reference_near), else the largest logit of its first few whole blocks,
/// or the lowest number. `factor` is one over the temperature.
///
/// # Safety
/// `source` is valid for `blocks` blocks.
pub(in crate::cpu::softmax) unsafe fn glance<S: Simd>(
    simd: S,
    source: Source,
    blocks: usize,
    hole: usize,
    factor: f32,
) -> f32 {
    let kept = std::ptr::dangling_mut();
    // SAFETY: the caller's promise.
    simd.vectorize(
        #[inline(always)]
        || unsafe {
            match source {
                Source::F32(x) => Read { x: F32(x), hole, kept }.reference::<S>(simd, blocks, factor),
                Source::F16(x) => Read { x: F16(x), hole, kept }.reference::<S>(simd, blocks, factor),
                Source::Bf16(x) => Read { x: Bf16(x), hole, kept }.reference::<S>(simd, blocks, factor),
            }
        },
    )
}

impl<X: Logits> Read<X> {
    /// # Safety
    /// As [`glance`].
    #[inline(always)]
    unsafe fn reference<S: Simd>(self, simd: S, blocks: usize, factor: f32) -> f32 {
        if blocks == 0 {
            return f32::MIN;
        }
        // SAFETY: the caller's promise.
        let first = unsafe { self.logits::<S>(simd, 0) };
        // SAFETY: the same.
        reference_near::<S>(simd, &first, factor).unwrap_or_else(|| unsafe { self.highest::<S>(simd, blocks) })
    }

    /// # Safety
    /// As [`glance`].
    #[cold]
    unsafe fn highest<S: Simd>(self, simd: S, blocks: usize) -> f32 {
        simd.vectorize(
            #[inline(always)]
            || {
                let mut highest = splat(simd, f32::MIN);
                for b in 0..blocks.min(GLANCE) {
                    // SAFETY: the caller's promise.
                    highest = highest.max(largest::<S>(&unsafe { self.logits::<S>(simd, b * block_len::<S>()) }));
                }
                highest.reduce_max()
            },
        )
    }
}
