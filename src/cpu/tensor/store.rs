//! Storing blocks in the gradient's type.

use half::{bf16, f16};

use crate::cpu::simd::half::store_f16;
use crate::cpu::simd::memory::{store_vector, stream_vector};
use crate::cpu::simd::{BLOCK, Block, Bytes, Select, Simd, SimdBase};

/// An element type that blocks are stored in without a call.
pub(in crate::cpu) trait Store {
    /// Stores a block as elements `at..` behind `to`, rounded to nearest, ties to even; past the caches if it `streams`.
    ///
    /// # Safety
    /// It can be written, and is aligned to the size of a vector if it is streamed.
    #[inline(always)]
    unsafe fn store<S: Simd>(simd: S, values: &Block<S>, to: *mut u8, at: usize, streams: bool) {
        for i in 0..BLOCK {
            // SAFETY: the caller's promise.
            unsafe {
                Self::store_some::<S>(
                    simd,
                    #[inline(always)]
                    |i| values[i],
                    i,
                    to,
                    at,
                    streams,
                );
            }
        }
    }

    /// Step `i` of [`store`](Self::store), one of as many as there are vectors: vector `i`, or at every second step two of them.
    /// `vector` gives each once.
    ///
    /// # Safety
    /// As [`store`](Self::store).
    unsafe fn store_some<S: Simd>(
        simd: S,
        vector: impl Fn(usize) -> S::f32s,
        i: usize,
        to: *mut u8,
        at: usize,
        streams: bool,
    );
}

pub(in crate::cpu) struct ToF32;

impl Store for ToF32 {
    #[inline(always)]
    unsafe fn store_some<S: Simd>(
        _: S,
        vector: impl Fn(usize) -> S::f32s,
        i: usize,
        to: *mut u8,
        at: usize,
        streams: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.cast::<f32>().add(at + i * S::f32s::LEN);
            if streams {
                stream_vector::<S>(vector(i), to);
            } else {
                store_vector::<S>(vector(i), to);
            }
        }
    }
}

pub(in crate::cpu) struct ToF16;

impl Store for ToF16 {
    #[inline(always)]
    unsafe fn store_some<S: Simd>(
        _: S,
        vector: impl Fn(usize) -> S::f32s,
        i: usize,
        to: *mut u8,
        at: usize,
        streams: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { store_f16::<S>(vector(i), to.cast::<f16>().add(at + i * S::f32s::LEN), streams) };
    }
}

pub(in crate::cpu) struct ToBf16;

impl Store for ToBf16 {
    #[inline(always)]
    unsafe fn store_some<S: Simd>(
        simd: S,
        vector: impl Fn(usize) -> S::f32s,
        i: usize,
        to: *mut u8,
        at: usize,
        streams: bool,
    ) {
        if i.is_multiple_of(2) {
            return;
        }
        let [low, high] = [rounded_to_bf16::<S>(simd, vector(i - 1)), rounded_to_bf16::<S>(simd, vector(i))];
        let words = low.bitcast::<S::u16s>().unzip_high(high.bitcast::<S::u16s>());
        // SAFETY: the caller's promise; a bfloat16 is 16 bits.
        unsafe {
            let to = to.cast::<bf16>().add(at + (i - 1) * S::f32s::LEN).cast();
            if streams {
                stream_vector::<S>(words.bitcast(), to);
            } else {
                store_vector::<S>(words.bitcast(), to);
            }
        }
    }
}

/// The nearest bfloat16 in the upper halves, as [`bf16_from_f32`](super::convert::bf16_from_f32); the lower ones are any bits.
#[inline(always)]
fn rounded_to_bf16<S: Simd>(simd: S, values: S::f32s) -> S::u32s {
    let of = |value| S::u32s::splat(simd, value);
    let bits = values.bitcast::<S::u32s>();
    let is_even = (bits & of(0x1_0000)).simd_eq(of(0));
    let rounded = is_even.select(bits + of(0x7fff), bits + of(0x8000));
    values.simd_eq(values).select(rounded, of(0x7fc0_0000))
}
