//! Storing blocks in the gradient's type.

use half::{bf16, f16};

use crate::DType;
use crate::cpu::simd::half::{pack_bf16, rounds_to_bf16, store_f16};
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

/// The [`Store`] of a gradient, on a processor.
#[derive(Clone, Copy)]
pub(in crate::cpu) enum Format {
    F32,
    F16,
    Bf16,
    NativeBf16,
}

impl Format {
    /// That of a type.
    #[inline(always)]
    pub(super) fn of<S: Simd>(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Self::F32,
            DType::F16 => Self::F16,
            DType::Bf16 if rounds_to_bf16::<S>() => Self::NativeBf16,
            DType::Bf16 => Self::Bf16,
        }
    }
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

/// `NATIVE` with the processor's own instruction, which it [has](rounds_to_bf16).
pub(in crate::cpu) struct Rounding<const NATIVE: bool>;

pub(in crate::cpu) type ToBf16 = Rounding<false>;
pub(in crate::cpu) type ToNativeBf16 = Rounding<true>;

impl<const NATIVE: bool> Store for Rounding<NATIVE> {
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
        let [low, high] = [vector(i - 1), vector(i)];
        // SAFETY: the caller's promise; a bfloat16 is 16 bits.
        unsafe {
            let words = if NATIVE { pack_bf16::<S>(low, high) } else { rounded_to_bf16::<S>(simd, low, high) };
            let to = to.cast::<bf16>().add(at + (i - 1) * S::f32s::LEN).cast();
            if streams {
                stream_vector::<S>(words, to);
            } else {
                store_vector::<S>(words, to);
            }
        }
    }
}

/// As [`pack_bf16`], and as [`bf16_from_f32`](super::convert::bf16_from_f32).
#[inline(always)]
fn rounded_to_bf16<S: Simd>(simd: S, low: S::f32s, high: S::f32s) -> S::f32s {
    let of = |value| S::u32s::splat(simd, value);
    // In the upper halves; the lower ones are any bits.
    let mut halves: [S::u32s; 2] = [low.bitcast(), high.bitcast()];
    for (half, vector) in halves.iter_mut().zip([low, high]) {
        let bits = *half;
        let is_even = (bits & of(0x1_0000)).simd_eq(of(0));
        let rounded = is_even.select(bits + of(0x7fff), bits + of(0x8000));
        let rounded = (bits & of(0x7f80_0000)).simd_eq(of(0)).select(bits & of(0x8000_0000), rounded);
        *half = vector.simd_eq(vector).select(rounded, bits | of(0x0040_0000));
    }
    halves[0].bitcast::<S::u16s>().unzip_high(halves[1].bitcast::<S::u16s>()).bitcast()
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::{Format, Store, ToBf16, ToNativeBf16};
    use crate::DType;
    use crate::cpu::Instructions;
    use crate::cpu::simd::{Kernel, Simd, block_len, load_block};
    use crate::cpu::tensor::convert::bf16_from_f32;

    struct Rounded<'a>(&'a [f32]);

    impl Kernel for Rounded<'_> {
        type Output = Vec<bf16>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<bf16> {
            let mut rounded = vec![bf16::ZERO; self.0.len()];
            let to = rounded.as_mut_ptr().cast();
            for (b, values) in self.0.chunks_exact(block_len::<S>()).enumerate() {
                let (block, at) = (load_block(simd, values), b * block_len::<S>());
                // SAFETY: there is an element for each value.
                unsafe {
                    match Format::of::<S>(DType::Bf16) {
                        Format::NativeBf16 => ToNativeBf16::store::<S>(simd, &block, to, at, false),
                        _ => ToBf16::store::<S>(simd, &block, to, at, false),
                    }
                }
            }
            rounded
        }
    }

    /// A row's elements are rounded by vectors or one by one, wherever its lines begin.
    #[test]
    fn vectors_are_rounded_as_numbers_are() {
        let values: Vec<f32> = (0..1_u32 << 16).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761))).collect();
        let want: Vec<u16> = values.iter().map(|&value| bf16_from_f32(value).to_bits()).collect();
        for (value, want) in values.iter().zip(&want) {
            let nearest = if value.is_subnormal() { bf16::ZERO } else { bf16::from_f32(*value) };
            assert_eq!(want & 0x7fff, nearest.to_bits() & 0x7fff, "{value}");
        }
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let got: Vec<u16> = set.run(Rounded(&values)).into_iter().map(bf16::to_bits).collect();
            assert_eq!(got, want, "{set:?}");
        }
    }
}
