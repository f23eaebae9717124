//! float16 and float32 vectors, by the processor's conversions where it has them.

use half::f16;

use super::{Lanes, MAX_LANES, Simd, SimdBase};

/// As many float16 as a vector has lanes, in float32.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(in crate::cpu) unsafe fn load_f16<S: Simd>(simd: S, from: *const f16) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            __m256, __m512, _mm_loadu_si128, _mm256_cvtph_ps, _mm256_loadu_si256, _mm512_cvtph_ps,
        };
        use std::mem::transmute_copy;

        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn load_512(from: *const f16) -> __m512 {
            // SAFETY: the caller's promise.
            _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(from.cast()) })
        }

        #[target_feature(enable = "avx,f16c")]
        #[inline]
        unsafe fn load_256(from: *const f16) -> __m256 {
            // SAFETY: the caller's promise.
            _mm256_cvtph_ps(unsafe { _mm_loadu_si128(from.cast()) })
        }

        // SAFETY: the caller's promise. On x86-64 the only vectors of 16 lanes are those of AVX-512 and of 8 those of AVX2, whose
        // level includes F16C: who has the vector has the instructions, and the two types have one representation.
        unsafe {
            match S::f32s::LEN {
                16 => return transmute_copy(&load_512(from)),
                8 => return transmute_copy(&load_256(from)),
                _ => {}
            }
        }
    }
    let mut lanes: Lanes = [0.0; MAX_LANES];
    for (i, lane) in lanes[..S::f32s::LEN].iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *lane = unsafe { *from.add(i) }.to_f32();
    }
    S::f32s::from_slice(simd, &lanes[..S::f32s::LEN])
}

/// Stores a vector, rounded to the nearest float16, ties to even; past the caches, if it `streams` and the processor converts.
///
/// # Safety
/// As many can be written as there are lanes, and `to` is aligned to their size if they are streamed.
#[inline(always)]
pub(in crate::cpu) unsafe fn store_f16<S: Simd>(vector: S::f32s, to: *mut f16, streams: bool) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            __m256, __m512, _MM_FROUND_TO_NEAREST_INT, _mm_storeu_si128, _mm_stream_si128, _mm256_cvtps_ph,
            _mm256_storeu_si256, _mm256_stream_si256, _mm512_cvtps_ph,
        };
        use std::mem::transmute_copy;

        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn store_512(vector: __m512, to: *mut f16, streams: bool) {
            let half = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(vector);
            // SAFETY: the caller's promise.
            unsafe { if streams { _mm256_stream_si256(to.cast(), half) } else { _mm256_storeu_si256(to.cast(), half) } }
        }

        #[target_feature(enable = "avx,f16c")]
        #[inline]
        unsafe fn store_256(vector: __m256, to: *mut f16, streams: bool) {
            let half = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(vector);
            // SAFETY: the caller's promise.
            unsafe { if streams { _mm_stream_si128(to.cast(), half) } else { _mm_storeu_si128(to.cast(), half) } }
        }

        // SAFETY: as in `load_f16`.
        unsafe {
            match S::f32s::LEN {
                16 => return store_512(transmute_copy(&vector), to, streams),
                8 => return store_256(transmute_copy(&vector), to, streams),
                _ => {}
            }
        }
    }
    // Nowhere else does a store go past the caches.
    let _ = streams;
    let mut lanes: Lanes = [0.0; MAX_LANES];
    vector.store_slice(&mut lanes[..S::f32s::LEN]);
    for (i, lane) in lanes[..S::f32s::LEN].iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(f16::from_f32(*lane)) };
    }
}

/// Whether the processor rounds vectors to bfloat16.
#[inline(always)]
pub(in crate::cpu) fn rounds_to_bf16<S: Simd>() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has_instruction = is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let has_instruction = false;
    super::has_avx512::<S>() && has_instruction
}

/// Two vectors as one of bfloat16, rounded to nearest, ties to even; below the normal numbers 0.
///
/// # Safety
/// The processor [rounds to bfloat16](rounds_to_bf16).
#[inline(always)]
pub(in crate::cpu) unsafe fn pack_bf16<S: Simd>(low: S::f32s, high: S::f32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    if super::has_avx512::<S>() {
        use std::arch::asm;
        use std::arch::x86_64::__m512;
        use std::mem::transmute_copy;

        // Not the intrinsic: a function with this instruction set could not be inlined where there is AVX-512 alone.
        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn pack(low: __m512, high: __m512) -> __m512 {
            let packed;
            // SAFETY: the caller's promise; the instruction has no effect but its result.
            unsafe {
                asm!(
                    "vcvtne2ps2bf16 {packed}, {high}, {low}",
                    packed = lateout(zmm_reg) packed,
                    high = in(zmm_reg) high,
                    low = in(zmm_reg) low,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            packed
        }

        // SAFETY: the caller's promise; the types have one representation.
        return unsafe { transmute_copy(&pack(transmute_copy(&low), transmute_copy(&high))) };
    }
    let _ = (low, high);
    unreachable!("no other processor packs bfloat16")
}
