//! How the logits of a block lie in its lanes.

use bytemuck::Zeroable;

use crate::cpu::simd::half::load_f16;
use crate::cpu::simd::{BLOCK, Block, Bytes, MAX_BLOCK, Simd, SimdBase, load_block, numbers, splat};

/// Calls a macro with the logits of a source, the type that their gradient is stored as, and whether past the caches: a gradient is
/// of the logits' type, or float32 and beside them.
macro_rules! of_types {
    ($source:expr, $output:expr, $call:ident) => {
        match ($source, $output) {
            (Source::F32(x), (Format::F32, true)) => $call!(F32(x), ToF32, true),
            (Source::F32(x), (Format::F32, false)) => $call!(F32(x), ToF32, false),
            (Source::F16(x), (Format::F16, true)) => $call!(F16(x), ToF16, true),
            (Source::F16(x), (Format::F16, false)) => $call!(F16(x), ToF16, false),
            (Source::F16(x), (Format::F32, true)) => $call!(F16(x), ToF32, true),
            (Source::Bf16(x), (Format::Bf16, true)) => $call!(Bf16(x), ToBf16, true),
            (Source::Bf16(x), (Format::Bf16, false)) => $call!(Bf16(x), ToBf16, false),
            (Source::Bf16(x), (Format::NativeBf16, true)) => $call!(Bf16(x), ToNativeBf16, true),
            (Source::Bf16(x), (Format::NativeBf16, false)) => $call!(Bf16(x), ToNativeBf16, false),
            (Source::Bf16(x), (Format::F32, true)) => $call!(Bf16(x), ToF32, true),
            _ => unreachable!("a gradient is of the logits' type, or float32 and beside them"),
        }
    };
}
pub(super) use of_types;

/// Logits of a type that is loaded without a call.
pub(super) trait Logits: Copy {
    type Element: Copy + Zeroable;
    /// Bytes of a logit.
    const BYTES: usize = size_of::<Self::Element>();
    /// Whether of two neighbouring vectors one has the even logits and the other the odd ones.
    const IS_PAIRED: bool = false;

    /// The first logit.
    fn pointer(self) -> *const Self::Element;

    /// The address of a logit.
    #[inline(always)]
    fn address(self, at: usize) -> *const u8 {
        self.pointer().wrapping_add(at).cast()
    }

    /// The block from logit `at` on.
    ///
    /// # Safety
    /// It can be read.
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> Block<S>;

    /// As [`load`](Self::load), of `n` logits, less than a block, with any numbers behind them.
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    unsafe fn load_some<S: Simd>(self, simd: S, at: usize, n: usize) -> Block<S> {
        assert!(n < MAX_BLOCK);
        let mut some = [Self::Element::zeroed(); MAX_BLOCK];
        // SAFETY: the caller's promise, and there is room for them; then for a block, since a block is no longer.
        unsafe {
            std::ptr::copy_nonoverlapping(self.pointer().add(at), some.as_mut_ptr(), n);
            Self::of(some.as_ptr()).load(simd, 0)
        }
    }

    /// Logits from a pointer on.
    fn of(first: *const Self::Element) -> Self;

    /// Of each lane, which logit of the block it has.
    #[inline(always)]
    fn numbers<S: Simd>(simd: S) -> [S::u32s; BLOCK] {
        let mut numbers = numbers::<S>(simd);
        if Self::IS_PAIRED {
            for pair in numbers.as_chunks_mut::<2>().0 {
                *pair = [pair[0].unzip_low(pair[1]), pair[0].unzip_high(pair[1])];
            }
        }
        numbers
    }

    /// The values of a block in the order of its logits.
    #[inline(always)]
    fn in_order<S: Simd>(values: &Block<S>) -> Block<S> {
        if !Self::IS_PAIRED {
            return *values;
        }
        let mut ordered = *values;
        for pair in ordered.as_chunks_mut::<2>().0 {
            *pair = [pair[0].zip_low(pair[1]), pair[0].zip_high(pair[1])];
        }
        ordered
    }
}

#[derive(Clone, Copy)]
pub(super) struct F32(pub(super) *const f32);

impl Logits for F32 {
    type Element = f32;

    #[inline(always)]
    fn pointer(self) -> *const Self::Element {
        self.0
    }

    #[inline(always)]
    fn of(first: *const Self::Element) -> Self {
        Self(first)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> Block<S> {
        // SAFETY: the caller's promise.
        load_block(simd, unsafe { std::slice::from_raw_parts(self.0.add(at), BLOCK * S::f32s::LEN) })
    }
}

#[derive(Clone, Copy)]
pub(super) struct F16(pub(super) *const half::f16);

impl Logits for F16 {
    type Element = half::f16;

    #[inline(always)]
    fn pointer(self) -> *const Self::Element {
        self.0
    }

    #[inline(always)]
    fn of(first: *const Self::Element) -> Self {
        Self(first)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> Block<S> {
        let mut block = [splat(simd, 0.0); BLOCK];
        for (i, vector) in block.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *vector = unsafe { load_f16(simd, self.0.add(at + i * S::f32s::LEN)) };
        }
        block
    }
}

/// A word has two logits, each the upper half of a float32: a shift and a mask take them apart where they are.
#[derive(Clone, Copy)]
pub(super) struct Bf16(pub(super) *const half::bf16);

impl Logits for Bf16 {
    type Element = half::bf16;
    const IS_PAIRED: bool = true;

    #[inline(always)]
    fn pointer(self) -> *const Self::Element {
        self.0
    }

    #[inline(always)]
    fn of(first: *const Self::Element) -> Self {
        Self(first)
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(self, simd: S, at: usize) -> Block<S> {
        let length = 2 * S::f32s::LEN;
        let upper = S::u32s::splat(simd, 0xffff_0000);
        let mut block = [splat(simd, 0.0); BLOCK];
        for (i, pair) in block.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            // SAFETY: the caller's promise; a bfloat16 is 16 bits.
            let halves = unsafe { std::slice::from_raw_parts(self.0.add(at + i * length).cast::<u16>(), length) };
            let words = S::u16s::from_slice(simd, halves).bitcast::<S::u32s>();
            *pair = [(words << 16).bitcast(), (words & upper).bitcast()];
        }
        block
    }
}
