//! The loop that moves memory: a stretch of whole blocks, with no weights or the like.
//!
//! It contains no call, so that the statistics and the constants of the exponential stay in registers.

use super::partition::{Partition, largest};
use crate::cpu::simd::math::Exp;
use crate::cpu::simd::memory::{AHEAD, LINE, prefetch};
use crate::cpu::simd::{BLOCK, Block, Bytes, MAX_LANES, Simd, SimdBase, block_len, load, replaced, splat};
use crate::cpu::tensor::{LineWriter, Source};

/// Blocks whose maximum is the first reference: where rows are short, renewing it would cost more than they do.
const GLANCE: usize = 8;

/// Blocks of a row that is read, and of one that is written.
pub(super) struct Stretch<'s, 't> {
    pub(super) blocks: usize,
    pub(super) new: Option<Source>,
    /// The logit that is left out, counted from the first of the stretch.
    pub(super) hole: Option<usize>,
    /// The written row's exponentials, and where they go as its gradient.
    pub(super) old: Option<(*const f32, &'s mut LineWriter<'t>)>,
    /// A gradient that is not an exponential's, and where.
    pub(super) at_target: Option<(usize, f32)>,
    /// Where the read row's exponentials go, if they are kept. Of each block they are stored after the written row's are loaded,
    /// and after the logits are: all three may be one place.
    pub(super) kept: Option<*mut f32>,
    /// For each block the factor of the written row; then the reference of the read row, if that is kept.
    pub(super) levels: &'s mut [f32],
}

impl Stretch<'_, '_> {
    /// Adds the read row to the statistics and writes the other.
    ///
    /// # Safety
    /// `new`, `old` and `kept` are valid for all the blocks, and nobody else accesses them.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(self, simd: S, exp: Exp<S>, partition: &mut Partition<S>) {
        let is_bf16 = self.old.as_ref().is_some_and(|(_, writer)| writer.is_bf16());
        // Each is a function of its own: what is inlined into one function takes its stack all at once where nothing is optimised.
        macro_rules! blocks {
            ($logits:expr, $writes:literal, $bf16:literal, $keeps:literal) => {
                simd.vectorize(
                    #[inline(always)]
                    // SAFETY: the caller's promise.
                    || unsafe { self.blocks::<S, _, $writes, $bf16, $keeps>(simd, exp, $logits, partition) },
                )
            };
        }
        match (self.new, self.old.is_some(), self.kept.is_some()) {
            (None, _, _) if is_bf16 => blocks!(Nothing, true, true, false),
            (None, _, _) => blocks!(Nothing, true, false, false),
            (Some(Source::F32(x)), false, false) => blocks!(F32(x), false, false, false),
            (Some(Source::F32(x)), false, true) => blocks!(F32(x), false, false, true),
            (Some(Source::F32(x)), true, _) => blocks!(F32(x), true, false, true),
            (Some(Source::Bf16(x)), false, false) => blocks!(Bf16(x), false, false, false),
            (Some(Source::Bf16(x)), false, true) => blocks!(Bf16(x), false, false, true),
            (Some(Source::Bf16(x)), true, _) if is_bf16 => blocks!(Bf16(x), true, true, true),
            (Some(Source::Bf16(x)), true, _) => blocks!(Bf16(x), true, false, true),
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    #[inline(always)]
    unsafe fn blocks<S: Simd, X: Logits, const WRITES: bool, const BF16: bool, const KEEPS: bool>(
        self,
        simd: S,
        exp: Exp<S>,
        x: X,
        partition: &mut Partition<S>,
    ) {
        let Self { blocks, hole, mut old, at_target, kept, levels, .. } = self;
        assert!(levels.len() >= blocks || !(WRITES || KEEPS));
        let (lanes, length) = (S::f32s::LEN, block_len::<S>());
        let mut statistics = *partition;
        // Known to be there, it is not asked for again and again.
        let kept =
            if KEEPS { kept.unwrap_or_else(|| unreachable!("a place for what is kept")) } else { std::ptr::null_mut() };
        for b in 0..blocks {
            let first = b * length;
            if let Some((e, writer)) = old.as_mut().filter(|_| WRITES) {
                // SAFETY: the caller's promise; as many levels as blocks, by the assertion.
                let (e, factor) =
                    unsafe { (std::slice::from_raw_parts(e.add(first), length), *levels.get_unchecked(b)) };
                let factor = splat(simd, factor);
                let mut gradient = [factor; BLOCK];
                for (i, g) in gradient.iter_mut().enumerate() {
                    *g *= load(simd, e, i * lanes);
                }
                if let Some((at, value)) = at_target.filter(|(at, _)| at / length == b) {
                    gradient = replaced(simd, &gradient, at % length, value);
                }
                if BF16 {
                    writer.push_bf16::<S>(simd, &gradient);
                } else {
                    writer.push_f32::<S>(simd, &gradient);
                }
            }
            if !X::IS_SOME {
                continue;
            }
            // SAFETY: the caller's promise.
            let mut values = unsafe { x.block(simd, b, hole) };
            statistics.raise(simd, exp, &values, false);
            for (i, value) in values.iter_mut().enumerate() {
                if (i * lanes * X::BYTES).is_multiple_of(LINE) {
                    prefetch(x.address(first + i * lanes).wrapping_add(AHEAD));
                }
                *value = exp.of(*value - statistics.references());
                if KEEPS {
                    // SAFETY: the caller's promise.
                    value.store_slice(unsafe { std::slice::from_raw_parts_mut(kept.add(first + i * lanes), lanes) });
                }
            }
            statistics.add_exponentials(&values);
            if KEEPS {
                // SAFETY: as many levels as blocks, by the assertion.
                unsafe { *levels.get_unchecked_mut(b) = statistics.reference };
            }
        }
        *partition = statistics;
    }
}

/// Gives statistics of nothing their first reference: the largest logit of the first few blocks.
///
/// # Safety
/// `source` is valid for `blocks` blocks.
#[inline(always)]
pub(super) unsafe fn glance<S: Simd>(
    simd: S,
    exp: Exp<S>,
    source: Source,
    blocks: usize,
    hole: Option<usize>,
    partition: &mut Partition<S>,
) {
    let mut highest = splat(simd, f32::MIN);
    for b in 0..blocks.min(GLANCE) {
        // SAFETY: the caller's promise.
        let block = unsafe {
            match source {
                Source::F32(x) => F32(x).block(simd, b, hole),
                Source::Bf16(x) => Bf16(x).block(simd, b, hole),
            }
        };
        highest = highest.max(largest::<S>(&block));
    }
    partition.raise_to(simd, exp, highest, false);
}

/// Logits in memory.
trait Logits: Copy {
    const IS_SOME: bool = true;
    /// Of a logit.
    const BYTES: usize;

    /// The vector from `at` on.
    ///
    /// # Safety
    /// It can be read.
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> S::f32s;

    fn address(self, at: usize) -> *const u8;

    /// Block `b`, without a logit.
    ///
    /// # Safety
    /// It can be read.
    #[inline(always)]
    unsafe fn block<S: Simd>(self, simd: S, b: usize, hole: Option<usize>) -> Block<S> {
        let length = block_len::<S>();
        let mut values = [splat(simd, 0.0); BLOCK];
        for (i, value) in values.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *value = unsafe { self.load(simd, b * length + i * S::f32s::LEN) };
        }
        match hole {
            Some(hole) if hole / length == b => replaced(simd, &values, hole % length, f32::NEG_INFINITY),
            _ => values,
        }
    }
}

#[derive(Clone, Copy)]
struct F32(*const f32);

impl Logits for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> S::f32s {
        // SAFETY: the caller's promise.
        load(simd, unsafe { std::slice::from_raw_parts(self.0.add(at), S::f32s::LEN) }, 0)
    }

    #[inline(always)]
    fn address(self, at: usize) -> *const u8 {
        self.0.wrapping_add(at).cast()
    }
}

#[derive(Clone, Copy)]
struct Bf16(*const half::bf16);

impl Logits for Bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> S::f32s {
        let mut bits = [0; MAX_LANES];
        for (i, bits) in bits[..S::f32s::LEN].iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *bits = u32::from(unsafe { (*self.0.add(at + i)).to_bits() }) << 16;
        }
        S::u32s::from_slice(simd, &bits[..S::f32s::LEN]).bitcast::<S::f32s>()
    }

    #[inline(always)]
    fn address(self, at: usize) -> *const u8 {
        self.0.wrapping_add(at).cast()
    }
}

/// No row is read.
#[derive(Clone, Copy)]
struct Nothing;

impl Logits for Nothing {
    const IS_SOME: bool = false;
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, _: usize) -> S::f32s {
        splat(simd, 0.0)
    }

    #[inline(always)]
    fn address(self, _: usize) -> *const u8 {
        std::ptr::null()
    }
}
