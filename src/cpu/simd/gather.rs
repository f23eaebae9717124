//! Lanes that lie apart in memory.

use super::{MAX_LANES, Simd, SimdBase, has_avx512, load_lanes};

/// Of each lane, the number at `at` behind `from`.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(in crate::cpu) unsafe fn gather<S: Simd>(simd: S, from: *const f32, at: S::u32s) -> S::f32s {
    if has_avx512::<S>() {
        // SAFETY: the caller's promise, and what was asked.
        return unsafe { native::gather::<S>(from, at) };
    }
    let mut lanes = [0.0; MAX_LANES];
    for (lane, &at) in lanes.iter_mut().zip(at.as_slice()) {
        // SAFETY: the caller's promise.
        *lane = unsafe { *from.add(at as usize) };
    }
    load_lanes(simd, &lanes)
}

/// Stores each lane at `at` behind `to`. No two lanes have one place.
///
/// # Safety
/// The places can be written.
#[inline(always)]
pub(in crate::cpu) unsafe fn scatter<S: Simd>(values: S::f32s, to: *mut f32, at: S::u32s) {
    if has_avx512::<S>() {
        // SAFETY: the caller's promise, and what was asked.
        return unsafe { native::scatter::<S>(values, to, at) };
    }
    for (&value, &at) in values.as_slice().iter().zip(at.as_slice()) {
        // SAFETY: the caller's promise.
        unsafe { *to.add(at as usize) = value };
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{__m512, __m512i, _mm512_i32gather_ps, _mm512_i32scatter_ps};
    use std::mem::transmute_copy;

    use super::Simd;

    /// # Safety
    /// As [`super::gather`], and the vectors are those of AVX-512.
    #[inline(always)]
    pub(super) unsafe fn gather<S: Simd>(from: *const f32, at: S::u32s) -> S::f32s {
        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn of(from: *const f32, at: __m512i) -> __m512 {
            // SAFETY: the caller's promise.
            unsafe { _mm512_i32gather_ps::<4>(at, from) }
        }
        // SAFETY: the caller's promise; the types have one representation.
        unsafe { transmute_copy(&of(from, transmute_copy(&at))) }
    }

    /// # Safety
    /// As [`super::scatter`], and the vectors are those of AVX-512.
    #[inline(always)]
    pub(super) unsafe fn scatter<S: Simd>(values: S::f32s, to: *mut f32, at: S::u32s) {
        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn of(values: __m512, to: *mut f32, at: __m512i) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_i32scatter_ps::<4>(to, at, values) };
        }
        // SAFETY: the caller's promise; the types have one representation.
        unsafe { of(transmute_copy(&values), to, transmute_copy(&at)) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod native {
    use super::Simd;

    pub(super) unsafe fn gather<S: Simd>(_: *const f32, _: S::u32s) -> S::f32s {
        unreachable!("no other processor has it")
    }

    pub(super) unsafe fn scatter<S: Simd>(_: S::f32s, _: *mut f32, _: S::u32s) {
        unreachable!("no other processor has it")
    }
}
