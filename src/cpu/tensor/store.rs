//! Storing blocks in the gradient's type.

use half::{bf16, f16};

use crate::cpu::simd::half::store_f16;
use crate::cpu::simd::memory::{store_block_at, stream_block, stream_vector};
use crate::cpu::simd::{Block, Bytes, Select, Simd, SimdBase};

/// An element type that blocks are stored in without a call.
pub(in crate::cpu) trait Store {
    /// Stores a block as elements `at..` behind `to`, rounded to nearest, ties to even; past the caches if it `streams`.
    ///
    /// # Safety
    /// It can be written, and is aligned to the size of a vector if it is streamed.
    unsafe fn store<S: Simd>(simd: S, values: &Block<S>, to: *mut u8, at: usize, streams: bool);
}

pub(in crate::cpu) struct ToF32;

impl Store for ToF32 {
    #[inline(always)]
    unsafe fn store<S: Simd>(_: S, values: &Block<S>, to: *mut u8, at: usize, streams: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.cast::<f32>().add(at);
            if streams {
                stream_block::<S>(values, to);
            } else {
                store_block_at::<S>(values, to);
            }
        }
    }
}

pub(in crate::cpu) struct ToF16;

impl Store for ToF16 {
    #[inline(always)]
    unsafe fn store<S: Simd>(_: S, values: &Block<S>, to: *mut u8, at: usize, streams: bool) {
        for (i, vector) in values.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { store_f16::<S>(*vector, to.cast::<f16>().add(at + i * S::f32s::LEN), streams) };
        }
    }
}

pub(in crate::cpu) struct ToBf16;

impl Store for ToBf16 {
    #[inline(always)]
    unsafe fn store<S: Simd>(simd: S, values: &Block<S>, to: *mut u8, at: usize, streams: bool) {
        let (lanes, upper) = (S::f32s::LEN, S::u32s::splat(simd, 0xffff_0000));
        for (i, pair) in values.as_chunks::<2>().0.iter().enumerate() {
            let [even, odd] = [pair[0].unzip_low(pair[1]), pair[0].unzip_high(pair[1])];
            let words = (rounded_to_bf16::<S>(simd, even) >> 16) | (rounded_to_bf16::<S>(simd, odd) & upper);
            // SAFETY: the caller's promise; a bfloat16 is 16 bits.
            unsafe {
                let to = to.cast::<bf16>().add(at + 2 * lanes * i);
                if streams {
                    stream_vector::<S>(words.bitcast(), to.cast());
                } else {
                    words.bitcast::<S::u16s>().store_slice(std::slice::from_raw_parts_mut(to.cast(), 2 * lanes));
                }
            }
        }
    }
}

/// The nearest bfloat16 in the upper halves, as [`bf16_from_f32`](super::convert::bf16_from_f32); the lower ones are any bits.
#[inline(always)]
fn rounded_to_bf16<S: Simd>(simd: S, values: S::f32s) -> S::u32s {
    let (half, one) = (S::u32s::splat(simd, 0x7fff), S::u32s::splat(simd, 1));
    let bits = values.bitcast::<S::u32s>();
    values.simd_eq(values).select(bits + half + ((bits >> 16) & one), S::u32s::splat(simd, 0x7fc0_0000))
}
