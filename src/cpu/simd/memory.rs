//! Memory: fetching ahead, and storing past the caches.

use super::{Simd, SimdBase};

/// Bytes of a cache line.
pub(in crate::cpu) const LINE: usize = 64;

/// How far ahead of its use a line is fetched, in bytes: memory answers after some 100 ns, in which a core of 10 GB/s reads a
/// kilobyte. Measured on one processor from 2 to 8 KiB: farther was better up to here.
pub(in crate::cpu) const AHEAD: usize = 8192;

/// Asks for the line at an address, which may be any.
#[inline(always)]
pub(in crate::cpu) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault, whatever the address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// How far ahead a line that is on its way to the second cache is fetched from there: an answer from it takes some 15 ns.
pub(in crate::cpu) const SOON: usize = 2048;

/// Fetches what comes behind an address, a line: into the second cache [`AHEAD`] bytes before its use, and from there into the
/// first one shortly before. Of lines that are on their way from memory to the first cache a core has few, and streamed stores take
/// of them. Losses of elements took 5 to 9 % less time than with fetching into the first cache at once, from 2 to 16 KiB ahead, and
/// those of long rows 3 to 5 %.
#[inline(always)]
pub(in crate::cpu) fn fetch_in_steps(address: *const u8) {
    prefetch(address.wrapping_add(SOON));
    prefetch_second(address.wrapping_add(AHEAD));
}

/// As [`prefetch`], into the second cache.
#[inline(always)]
pub(in crate::cpu) fn prefetch_second(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: as in `prefetch`.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Stores a line past the caches. [`finish_streaming`] must follow before another thread reads it.
///
/// # Safety
/// `to` is the start of a cache line that can be written.
#[inline(always)]
pub(in crate::cpu) unsafe fn stream_line(line: &[u8; LINE], to: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        let (from, to) = (line.as_ptr().cast::<__m128i>(), to.cast::<__m128i>());
        // SAFETY: both are 64 bytes long, so four vectors, and `to` is aligned; SSE2 is part of x86-64.
        unsafe {
            let parts = [0, 1, 2, 3].map(|i| _mm_loadu_si128(from.add(i)));
            for (i, part) in parts.into_iter().enumerate() {
                _mm_stream_si128(to.add(i), part);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: `to` is 64 bytes long.
    unsafe {
        std::ptr::copy_nonoverlapping(line.as_ptr(), to, LINE);
    }
}

/// Loads a vector, where a slice would be asked for its length.
///
/// # Safety
/// As many float32 as there are lanes can be read there.
#[inline(always)]
pub(in crate::cpu) unsafe fn load_vector<S: Simd>(simd: S, from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise.
    S::f32s::from_slice(simd, unsafe { std::slice::from_raw_parts(from, S::f32s::LEN) })
}

/// Stores a vector, where a slice would be asked whether it is null or of another length.
///
/// # Safety
/// As many float32 as there are lanes can be written there.
#[inline(always)]
pub(in crate::cpu) unsafe fn store_vector<S: Simd>(vector: S::f32s, to: *mut f32) {
    // SAFETY: the caller's promise; an array of float32 is as long as its vector.
    unsafe { to.cast::<<S::f32s as SimdBase<S>>::Array>().write_unaligned(vector.into()) };
}

/// As [`stream_line`], of a vector.
///
/// # Safety
/// `to` is aligned to the vector's size and can be written.
#[inline(always)]
pub(in crate::cpu) unsafe fn stream_vector<S: Simd>(vector: S::f32s, to: *mut f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_stream_ps, _mm256_stream_ps, _mm512_stream_ps};
        use std::mem::transmute_copy;

        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn store_512(to: *mut f32, vector: std::arch::x86_64::__m512) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_stream_ps(to, vector) };
        }

        #[target_feature(enable = "avx")]
        #[inline]
        unsafe fn store_256(to: *mut f32, vector: std::arch::x86_64::__m256) {
            // SAFETY: the caller's promise.
            unsafe { _mm256_stream_ps(to, vector) };
        }

        // SAFETY: the caller's promise. On x86-64 the only vectors of 16 lanes are those of AVX-512, of 8 those of AVX2, and of 4
        // those of SSE: who has the vector has the instructions, and the two types have one representation.
        unsafe {
            match S::f32s::LEN {
                16 => store_512(to, transmute_copy(&vector)),
                8 => store_256(to, transmute_copy(&vector)),
                _ => _mm_stream_ps(to, transmute_copy(&vector)),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    vector.store_slice(unsafe { std::slice::from_raw_parts_mut(to, S::f32s::LEN) });
}

/// Orders streamed stores before everything that follows.
#[inline(always)]
pub(in crate::cpu) fn finish_streaming() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence has no operands; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
