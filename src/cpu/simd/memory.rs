//! Memory: fetching ahead, and storing past the caches.

/// Asks for the line at `offset` bytes from `values`, which may lie outside of it.
#[inline(always)]
pub(in crate::cpu) fn prefetch<T>(values: &[T], offset: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault, whatever the address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().wrapping_add(offset)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, offset);
}

/// Bytes of a cache line.
pub(in crate::cpu) const LINE: usize = 64;

/// Copies whole cache lines past the caches: a store that fills a line need not read it first.
///
/// The length is a multiple of [`LINE`], and `to` starts at one; otherwise it is a plain copy. [`finish_streaming`] must follow
/// before another thread reads.
#[inline(always)]
pub(in crate::cpu) fn stream(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len());
    #[cfg(target_arch = "x86_64")]
    if to.as_ptr().addr().is_multiple_of(LINE) && to.len().is_multiple_of(LINE) {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        for (from, to) in from.as_chunks::<LINE>().0.iter().zip(to.as_chunks_mut::<LINE>().0) {
            let (from, to) = (from.as_ptr().cast::<__m128i>(), to.as_mut_ptr().cast::<__m128i>());
            // SAFETY: both are 64 bytes long, so four vectors; `to` is aligned to 64; SSE2 is part of x86-64.
            unsafe {
                let line = [0, 1, 2, 3].map(|i| _mm_loadu_si128(from.add(i)));
                for (i, part) in line.into_iter().enumerate() {
                    _mm_stream_si128(to.add(i), part);
                }
            }
        }
        return;
    }
    to.copy_from_slice(from);
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
