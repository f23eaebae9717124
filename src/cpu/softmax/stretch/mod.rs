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

mod read;
mod written;

pub(super) use read::{Read, glance};
pub(super) use written::{Old, Product};

use super::lanes::{Bf16, F16, F32, Logits, of_types};
use super::partition::{Partition, RECENT};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{BLOCK, MAX_BLOCK, Simd, block_len};
use crate::cpu::tensor::{Format, LineWriter, Source, Store, ToBf16, ToF16, ToF32, ToNativeBf16};

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

/// No logit of a row.
pub(super) const NOWHERE: usize = usize::MAX;

impl Stretch<'_, '_> {
    /// Adds the read row to the statistics and writes the other.
    ///
    /// # Safety
    /// `source` if it is read, `kept` and the exponentials are valid for the length, and nobody else accesses them.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(self, simd: S, exp: Exp<S>, partition: &mut Partition<S>) {
        // Each is a function of its own: what is inlined into one function takes its stack all at once where nothing is optimised.
        macro_rules! blocks {
            ($logits:expr, $output:ty, $reads:literal, $writes:literal, $keeps:literal) => {
                blocks!($logits, $output, $reads, $writes, $keeps, false)
            };
            ($logits:expr, $output:ty, $reads:literal, $writes:literal, $keeps:literal, $streams:literal) => {
                // SAFETY: the caller's promise.
                unsafe {
                    self.blocks::<S, _, $output, $reads, $writes, $keeps, $streams>(simd, exp, $logits, partition)
                }
            };
        }
        macro_rules! written {
            ($logits:expr, $output:ty, $streams:literal) => {
                blocks!($logits, $output, true, true, true, $streams)
            };
        }
        macro_rules! rest_written {
            ($output:ty, $streams:literal) => {
                blocks!(F32(std::ptr::null()), $output, false, true, false, $streams)
            };
        }
        let output = self.old.as_ref().map(|(_, writer)| (writer.format::<S>(), writer.streams()));
        // Which logits are not read does not matter, nor in which type they are not written.
        match (self.source, self.reads, output, self.kept.is_some()) {
            (_, false, None, _) => {}
            (_, false, Some((Format::F32, true)), _) => rest_written!(ToF32, true),
            (_, false, Some((Format::F32, false)), _) => rest_written!(ToF32, false),
            (_, false, Some((Format::F16, true)), _) => rest_written!(ToF16, true),
            (_, false, Some((Format::F16, false)), _) => rest_written!(ToF16, false),
            (_, false, Some((Format::Bf16, true)), _) => rest_written!(ToBf16, true),
            (_, false, Some((Format::Bf16, false)), _) => rest_written!(ToBf16, false),
            (_, false, Some((Format::NativeBf16, true)), _) => rest_written!(ToNativeBf16, true),
            (_, false, Some((Format::NativeBf16, false)), _) => rest_written!(ToNativeBf16, false),
            (source, true, Some(output), _) => of_types!(source, output, written),
            (Source::F32(x), true, None, false) => blocks!(F32(x), ToF32, true, false, false),
            (Source::F32(x), true, None, true) => blocks!(F32(x), ToF32, true, false, true),
            (Source::F16(x), true, None, false) => blocks!(F16(x), ToF32, true, false, false),
            (Source::F16(x), true, None, true) => blocks!(F16(x), ToF32, true, false, true),
            (Source::Bf16(x), true, None, false) => blocks!(Bf16(x), ToF32, true, false, false),
            (Source::Bf16(x), true, None, true) => blocks!(Bf16(x), ToF32, true, false, true),
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    #[inline(always)]
    unsafe fn blocks<
        S: Simd,
        X: Logits,
        O: Store,
        const READS: bool,
        const WRITES: bool,
        const KEEPS: bool,
        const STREAMS: bool,
    >(
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
        let head = old.as_ref().filter(|_| WRITES).map_or(0, |(_, writer)| writer.to_line().min(length));
        let n = if WRITES { (length - head) / block } else { whole };
        // SAFETY: the caller's promise; blocks before `n` are whole ones of both rows, the elements of the run have a place each, which
        // begin with a line if they are streamed.
        unsafe {
            let (mut written, mut to) = (Old::NONE, std::ptr::null_mut());
            if let Some((old, writer)) = &mut old {
                old.write_some::<S>(simd, levels, length, 0..head, writer);
                (written, to) = (*old, writer.take_lines(n * block).0);
            }
            simd.vectorize(
                #[inline(always)]
                || {
                    // Copies, which no store can change; and the length again, which is a constant here.
                    let (mut statistics, exp, read, written, to) = (*partition, exp, read, written, to);
                    let (block, mut memory) = (block_len::<S>(), [0.0; MAX_BLOCK]);
                    let mut b = 0;
                    macro_rules! blocks_while {
                        ($is_next:expr, $near:literal) => {
                            while b < n && $is_next {
                                let mut gradient = Product::none(simd);
                                if WRITES {
                                    gradient = written.product(simd, levels, head + b * block, &mut memory);
                                }
                                if READS {
                                    // Vector by vector, between the steps of the exponentials; what is there has no branch.
                                    read.block::<S, KEEPS, $near>(
                                        simd,
                                        exp,
                                        levels,
                                        b,
                                        &mut statistics,
                                        #[inline(always)]
                                        |i| {
                                            if WRITES {
                                                gradient.store_some::<O, STREAMS>(simd, i, to, b * block);
                                            }
                                        },
                                    );
                                } else {
                                    for i in 0..BLOCK {
                                        gradient.store_some::<O, STREAMS>(simd, i, to, b * block);
                                    }
                                }
                                b += 1;
                            }
                        };
                    }
                    if READS && !WRITES && !KEEPS {
                        while b < n && statistics.is_near() {
                            let end = n.min(b + RECENT);
                            read.blocks(simd, exp, b..end, &mut statistics);
                            b = end;
                        }
                    }
                    // Most rows are near 0 from the first block to the last: a subtraction less.
                    if READS {
                        blocks_while!(statistics.is_near(), true);
                    }
                    blocks_while!(true, false);
                    *partition = statistics;
                },
            );
            if let Some((old, writer)) = &mut old {
                old.write_some::<S>(simd, levels, length, head + n * block..length, writer);
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
