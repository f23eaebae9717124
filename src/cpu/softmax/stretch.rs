//! The loop that moves memory: a row with no weights or the like is read, and the gradient of another written.
//!
//! It contains no call and little else than arithmetic, so that the statistics and the constants of the exponential stay in
//! registers. What is not a whole block is done apart:
//!
//! ```text
//! read     |  block 0  |  block 1  |  ...  |  block n - 1  | rest |
//! written  | head |  block 0  |  block 1  |  ...  |  block n - 1  | tail |
//! ```
//!
//! Written blocks begin with a cache line, so that stores can go past the caches; a head fills the line that the gradient begins
//! in the middle of. The rest is read in a block that ends with the row, whose first logits are left out.

use std::ops::Range;

use super::lanes::{Bf16, F32, Logits};
use super::partition::{Partition, largest};
use crate::cpu::simd::math::Exp;
use crate::cpu::simd::memory::{AHEAD, LINE, prefetch, store_block_at};
use crate::cpu::simd::{
    Block, MAX_BLOCK, Select, Simd, SimdBase, block_len, from, numbers, replaced, splat, store_block,
};
use crate::cpu::tensor::{LineWriter, Source};

/// Blocks whose maximum is the first reference: where rows are short, renewing it would cost more than they do.
const GLANCE: usize = 16;

/// What is read and written.
pub(super) struct Stretch<'s, 't> {
    /// Logits of either row; at least a block.
    pub(super) length: usize,
    /// The logits of the row that is read, or would be.
    pub(super) source: Source,
    pub(super) reads: bool,
    /// The logit that is left out, or [`NOWHERE`].
    pub(super) hole: usize,
    /// Where the read row's exponentials go, if they are kept. Of each block they are stored after the written row's are loaded,
    /// and after the logits are: all three may be one place.
    pub(super) kept: Option<*mut f32>,
    pub(super) old: Option<(Old, &'s mut LineWriter<'t>)>,
    /// For each block the factor of the written row; then the reference of the read row, if that is kept.
    pub(super) levels: &'s mut [f32],
}

/// The row that is written.
#[derive(Clone, Copy)]
pub(super) struct Old {
    pub(super) exponentials: *const f32,
    /// The logit whose gradient is not an exponential's, or [`NOWHERE`], and that gradient.
    pub(super) target: usize,
    pub(super) at_target: f32,
}

/// No logit of a row.
pub(super) const NOWHERE: usize = usize::MAX;

impl Stretch<'_, '_> {
    /// Adds the read row to the statistics and writes the other.
    ///
    /// # Safety
    /// `source` if it is read, `kept` and the exponentials are valid for the length, and nobody else accesses them.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(self, simd: S, exp: Exp<S>, partition: &mut Partition<S>) {
        let is_bf16 = self.old.as_ref().is_some_and(|(_, writer)| writer.is_bf16());
        // Each is a function of its own: what is inlined into one function takes its stack all at once where nothing is optimised.
        macro_rules! blocks {
            ($logits:expr, $reads:literal, $writes:literal, $bf16:literal, $keeps:literal) => {
                // SAFETY: the caller's promise.
                unsafe { self.blocks::<S, _, $reads, $writes, $bf16, $keeps>(simd, exp, $logits, partition) }
            };
        }
        match (self.source, self.reads, self.old.is_some(), self.kept.is_some()) {
            (_, false, false, _) => {}
            // Which logits are not read does not matter.
            (_, false, true, _) if is_bf16 => blocks!(F32(std::ptr::null()), false, true, true, false),
            (_, false, true, _) => blocks!(F32(std::ptr::null()), false, true, false, false),
            (Source::F32(x), true, false, false) => blocks!(F32(x), true, false, false, false),
            (Source::F32(x), true, false, true) => blocks!(F32(x), true, false, false, true),
            (Source::F32(x), true, true, _) => blocks!(F32(x), true, true, false, true),
            (Source::Bf16(x), true, false, false) => blocks!(Bf16(x), true, false, false, false),
            (Source::Bf16(x), true, false, true) => blocks!(Bf16(x), true, false, false, true),
            (Source::Bf16(x), true, true, _) if is_bf16 => blocks!(Bf16(x), true, true, true, true),
            (Source::Bf16(x), true, true, _) => blocks!(Bf16(x), true, true, false, true),
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    #[inline(always)]
    unsafe fn blocks<S: Simd, X: Logits, const READS: bool, const WRITES: bool, const BF16: bool, const KEEPS: bool>(
        self,
        simd: S,
        exp: Exp<S>,
        x: X,
        partition: &mut Partition<S>,
    ) {
        let Self { length, hole, kept, mut old, levels, .. } = self;
        let (block, whole) = (block_len::<S>(), length / block_len::<S>());
        assert!(whole > 0 && (levels.len() >= length.div_ceil(block) || !(WRITES || KEEPS)));
        let read = Read { x, hole, kept: kept.unwrap_or(std::ptr::dangling_mut()) };
        let head = old.as_ref().filter(|_| WRITES).map_or(0, |(_, writer)| writer.to_line());
        let n = if WRITES { (length - head) / block } else { whole };
        // SAFETY: the caller's promise; blocks before `n` are whole ones of both rows, the elements of the run have a place each.
        unsafe {
            let mut to = None;
            if let Some((old, writer)) = &mut old {
                old.write_some::<S>(simd, levels, 0, 0..head, writer);
                to = Some((*old, writer.take_lines(n * block)));
            }
            simd.vectorize(
                #[inline(always)]
                || {
                    // Copies, which no store can change.
                    let (mut statistics, exp, read, to) = (*partition, exp, read, to);
                    for b in 0..n {
                        if let Some((old, to)) = to.filter(|_| WRITES) {
                            old.write::<S, BF16>(simd, levels, b, head, to);
                        }
                        if READS {
                            read.block::<S, KEEPS>(simd, exp, levels, b, &mut statistics);
                        }
                    }
                    *partition = statistics;
                },
            );
            if let Some((old, writer)) = &mut old {
                let tail = length - (head + n * block);
                old.write_some::<S>(simd, levels, length - block, block - tail..block, writer);
            }
            if READS {
                for first in (n..whole).map(|b| b * block) {
                    read.some::<S, KEEPS>(simd, exp, levels, first, 0, partition);
                }
                let rest = length - whole * block;
                if rest > 0 {
                    read.some::<S, KEEPS>(simd, exp, levels, length - block, block - rest, partition);
                }
            }
        }
    }
}

impl Old {
    /// Writes block `b`, counted from the first line on.
    ///
    /// # Safety
    /// As [`Stretch::run`]; a block can be written there, and a line begins there if it is streamed.
    #[inline(always)]
    unsafe fn write<S: Simd, const BF16: bool>(
        self,
        simd: S,
        levels: &[f32],
        b: usize,
        head: usize,
        (to, streams): (*mut u8, bool),
    ) {
        let first = b * block_len::<S>();
        // SAFETY: the caller's promise.
        unsafe {
            let gradient = self.gradient::<S>(simd, levels, head + first);
            if BF16 {
                LineWriter::store_bf16::<S>(simd, &gradient, to.cast::<half::bf16>().add(first), streams);
            } else {
                LineWriter::store_f32::<S>(&gradient, to.cast::<f32>().add(first), streams);
            }
        }
    }

    /// Writes the next logits, those of `range` counted from `first` on.
    ///
    /// # Safety
    /// As [`Stretch::run`].
    unsafe fn write_some<S: Simd>(
        self,
        simd: S,
        levels: &[f32],
        first: usize,
        range: Range<usize>,
        writer: &mut LineWriter<'_>,
    ) {
        if range.is_empty() {
            return;
        }
        simd.vectorize(
            #[inline(always)]
            || {
                let mut values = [0.0; MAX_BLOCK];
                // SAFETY: the caller's promise.
                store_block::<S>(&unsafe { self.gradient::<S>(simd, levels, first) }, &mut values);
                writer.push(&values[range]);
            },
        );
    }

    /// The gradient of a block's length from logit `first` on.
    ///
    /// # Safety
    /// As [`Stretch::run`]; there are levels for all blocks.
    #[inline(always)]
    unsafe fn gradient<S: Simd>(self, simd: S, levels: &[f32], first: usize) -> Block<S> {
        let length = block_len::<S>();
        // SAFETY: the caller's promise.
        let (mut gradient, factor, next) = unsafe {
            let factor = *levels.get_unchecked(first / length);
            (F32(self.exponentials).load(simd, first), factor, *levels.get_unchecked((first + length - 1) / length))
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

/// The row that is read.
#[derive(Clone, Copy)]
struct Read<X> {
    x: X,
    hole: usize,
    kept: *mut f32,
}

impl<X: Logits> Read<X> {
    /// Adds block `b` to the statistics.
    ///
    /// # Safety
    /// As [`Stretch::run`]; there are levels for all blocks.
    #[inline(always)]
    unsafe fn block<S: Simd, const KEEPS: bool>(
        self,
        simd: S,
        exp: Exp<S>,
        levels: &mut [f32],
        b: usize,
        statistics: &mut Partition<S>,
    ) {
        let length = block_len::<S>();
        let first = b * length;
        // SAFETY: the caller's promise.
        let mut values = unsafe { self.logits::<S>(simd, first) };
        for i in (0..length).step_by(LINE / X::BYTES) {
            prefetch(self.x.address(first + i).wrapping_add(AHEAD));
        }
        statistics.add(simd, exp, &mut values);
        if KEEPS {
            // SAFETY: the caller's promise.
            unsafe {
                store_block_at::<S>(&X::in_order::<S>(&values), self.kept.add(first));
                *levels.get_unchecked_mut(b) = statistics.reference;
            }
        }
    }

    /// As [`block`](Self::block), of a block's length from logit `first` on, without the first few.
    ///
    /// # Safety
    /// As [`Stretch::run`].
    unsafe fn some<S: Simd, const KEEPS: bool>(
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
                let mut values = from::<S>(simd, &logits, &X::numbers::<S>(simd), skipped, f32::NEG_INFINITY);
                for i in (skipped..length).step_by(LINE / X::BYTES) {
                    prefetch(self.x.address(first + i).wrapping_add(AHEAD));
                }
                statistics.add(simd, exp, &mut values);
                if KEEPS {
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
    unsafe fn logits<S: Simd>(self, simd: S, first: usize) -> Block<S> {
        // SAFETY: the caller's promise.
        let logits = unsafe { self.x.load(simd, first) };
        if (first..first + block_len::<S>()).contains(&self.hole) {
            replaced::<S>(simd, &logits, &X::numbers::<S>(simd), self.hole - first, f32::NEG_INFINITY)
        } else {
            logits
        }
    }
}

/// The first reference of a stretch: the largest logit of its first few whole blocks, or the lowest number.
///
/// # Safety
/// `source` is valid for `blocks` blocks.
pub(super) unsafe fn glance<S: Simd>(simd: S, source: Source, blocks: usize, hole: usize) -> f32 {
    let (blocks, kept) = (blocks.min(GLANCE), std::ptr::dangling_mut());
    // SAFETY: the caller's promise.
    simd.vectorize(
        #[inline(always)]
        || unsafe {
            match source {
                Source::F32(x) => Read { x: F32(x), hole, kept }.highest::<S>(simd, blocks),
                Source::Bf16(x) => Read { x: Bf16(x), hole, kept }.highest::<S>(simd, blocks),
            }
        },
    )
}

impl<X: Logits> Read<X> {
    /// # Safety
    /// As [`glance`].
    #[inline(always)]
    unsafe fn highest<S: Simd>(self, simd: S, blocks: usize) -> f32 {
        let mut highest = splat(simd, f32::MIN);
        for b in 0..blocks {
            // SAFETY: the caller's promise.
            highest = highest.max(largest::<S>(&unsafe { self.logits::<S>(simd, b * block_len::<S>()) }));
        }
        highest.reduce_max()
    }
}
