//! Four neighbours of each of some rows, a row a lane: pieces of 128 bits change places with lanes.

use super::{BLOCK, Block, Simd, SimdBase, splat};

/// Of as many rows as a vector has lanes, `stride` numbers apart, the first four: a vector of the first of each row, one of the
/// second, and so on.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(in crate::cpu) unsafe fn load_quads<S: Simd>(simd: S, from: *const f32, stride: usize) -> Block<S> {
    let stride = native::anew(stride);
    let mut quads = [splat(simd, 0.0); BLOCK];
    for (i, quad) in quads.iter_mut().enumerate() {
        // SAFETY: the caller's promise: rows i, i + 4, ...
        *quad = unsafe { native::load_pieces::<S>(simd, from.add(i * stride), BLOCK * stride) };
    }
    turned::<S>(quads)
}

/// Stores what [`load_quads`] loads, in order of the rows: of what two of them have in common the later one's stays.
///
/// # Safety
/// The places can be written.
#[inline(always)]
pub(in crate::cpu) unsafe fn store_quads<S: Simd>(quads: &Block<S>, to: *mut f32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { native::store_pieces::<S>(&turned::<S>(*quads), to, stride) };
}

/// Within each piece of four lanes, the transpose.
#[inline(always)]
fn turned<S: Simd>([a, b, c, d]: Block<S>) -> Block<S> {
    let ([ac, ac_high], [bd, bd_high]) = (native::zipped::<S>(a, c), native::zipped::<S>(b, d));
    let ([x, y], [z, w]) = (native::zipped::<S>(ac, bd), native::zipped::<S>(ac_high, bd_high));
    [x, y, z, w]
}

/// Vectors of four lanes are one piece.
mod narrow {
    use super::{Block, Simd, SimdBase};

    #[inline(always)]
    pub(super) unsafe fn load_pieces<S: Simd>(simd: S, from: *const f32) -> S::f32s {
        // SAFETY: the caller's promise.
        S::f32s::from_slice(simd, unsafe { std::slice::from_raw_parts(from, S::f32s::LEN) })
    }

    #[inline(always)]
    pub(super) unsafe fn store_pieces<S: Simd>(rows: &Block<S>, to: *mut f32, stride: usize) {
        for (i, row) in rows.iter().enumerate() {
            // SAFETY: the caller's promise.
            row.store_slice(unsafe { std::slice::from_raw_parts_mut(to.add(i * stride), S::f32s::LEN) });
        }
    }

    #[inline(always)]
    pub(super) fn zipped<S: Simd>(a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        [a.zip_low(b), a.zip_high(b)]
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{
        __m256, __m512, _mm_loadu_ps, _mm_storeu_ps, _mm256_castps128_ps256, _mm256_castps256_ps128,
        _mm256_extractf128_ps, _mm256_insertf128_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_castps128_ps512,
        _mm512_castps512_ps128, _mm512_extractf32x4_ps, _mm512_insertf32x4, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
    };
    use std::mem::transmute_copy;

    use super::{Block, Simd, SimdBase, narrow};

    /// The stride, which the compiler takes for another one every time. In a loop it would else work out the addresses of all rows
    /// before, for which there are not enough registers: sums of ten classes took 4 % longer.
    #[inline(always)]
    pub(super) fn anew(stride: usize) -> usize {
        let mut same = stride;
        // SAFETY: no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) same, options(pure, nomem, nostack, preserves_flags));
        }
        same
    }

    /// A vector of the first four numbers, of those `stride` later, and so on.
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    pub(super) unsafe fn load_pieces<S: Simd>(simd: S, from: *const f32, stride: usize) -> S::f32s {
        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn load_512(from: *const f32, stride: usize) -> __m512 {
            // SAFETY: the caller's promise.
            unsafe {
                let [a, b, c, d] = [0, 1, 2, 3].map(
                    #[inline(always)]
                    |i| from.add(i * stride),
                );
                let all = _mm512_castps128_ps512(_mm_loadu_ps(a));
                let all = _mm512_insertf32x4::<1>(all, _mm_loadu_ps(b));
                let all = _mm512_insertf32x4::<2>(all, _mm_loadu_ps(c));
                _mm512_insertf32x4::<3>(all, _mm_loadu_ps(d))
            }
        }

        #[target_feature(enable = "avx")]
        #[inline]
        unsafe fn load_256(from: *const f32, stride: usize) -> __m256 {
            // SAFETY: the caller's promise.
            unsafe {
                let low = _mm256_castps128_ps256(_mm_loadu_ps(from));
                _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from.add(stride)))
            }
        }

        // SAFETY: the caller's promise. On x86-64 the only vectors of 16 lanes are those of AVX-512 and of 8 those of AVX2: who has
        // the vector has the instructions, and the types have one representation.
        unsafe {
            match S::f32s::LEN {
                16 => transmute_copy(&load_512(from, stride)),
                8 => transmute_copy(&load_256(from, stride)),
                _ => narrow::load_pieces::<S>(simd, from),
            }
        }
    }

    /// Stores rows: piece `p` of vector `i` is row `4 p + i`.
    ///
    /// # Safety
    /// The places can be written.
    #[inline(always)]
    pub(super) unsafe fn store_pieces<S: Simd>(rows: &Block<S>, to: *mut f32, stride: usize) {
        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn store_512(rows: &[__m512; 4], to: *mut f32, stride: usize) {
            macro_rules! store {
                ($piece:literal) => {
                    for (i, row) in rows.iter().enumerate() {
                        // SAFETY: the caller's promise.
                        unsafe {
                            _mm_storeu_ps(
                                to.add((4 * $piece + i) * stride),
                                if $piece == 0 {
                                    _mm512_castps512_ps128(*row)
                                } else {
                                    _mm512_extractf32x4_ps::<$piece>(*row)
                                },
                            );
                        }
                    }
                };
            }
            store!(0);
            store!(1);
            store!(2);
            store!(3);
        }

        #[target_feature(enable = "avx")]
        #[inline]
        unsafe fn store_256(rows: &[__m256; 4], to: *mut f32, stride: usize) {
            for (i, row) in rows.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { _mm_storeu_ps(to.add(i * stride), _mm256_castps256_ps128(*row)) };
            }
            for (i, row) in rows.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { _mm_storeu_ps(to.add((4 + i) * stride), _mm256_extractf128_ps::<1>(*row)) };
            }
        }

        // SAFETY: as in `load_pieces`.
        unsafe {
            match S::f32s::LEN {
                16 => store_512(&transmute_copy(rows), to, stride),
                8 => store_256(&transmute_copy(rows), to, stride),
                _ => narrow::store_pieces::<S>(rows, to, stride),
            }
        }
    }

    /// Lanes of the two in turn, of the first halves of their pieces and of the second ones.
    #[inline(always)]
    pub(super) fn zipped<S: Simd>(a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        #[target_feature(enable = "avx512f")]
        #[inline]
        fn of_512(a: __m512, b: __m512) -> [__m512; 2] {
            [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)]
        }

        #[target_feature(enable = "avx")]
        #[inline]
        fn of_256(a: __m256, b: __m256) -> [__m256; 2] {
            [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
        }

        // SAFETY: as in `load_pieces`.
        unsafe {
            match S::f32s::LEN {
                16 => transmute_copy(&of_512(transmute_copy(&a), transmute_copy(&b))),
                8 => transmute_copy(&of_256(transmute_copy(&a), transmute_copy(&b))),
                _ => narrow::zipped::<S>(a, b),
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod native {
    use super::{Block, Simd, SimdBase, narrow};

    pub(super) const fn anew(stride: usize) -> usize {
        stride
    }

    pub(super) unsafe fn load_pieces<S: Simd>(simd: S, from: *const f32, _: usize) -> S::f32s {
        const { assert!(S::f32s::LEN == 4) };
        // SAFETY: the caller's promise.
        unsafe { narrow::load_pieces::<S>(simd, from) }
    }

    pub(super) unsafe fn store_pieces<S: Simd>(rows: &Block<S>, to: *mut f32, stride: usize) {
        // SAFETY: the caller's promise.
        unsafe { narrow::store_pieces::<S>(rows, to, stride) };
    }

    pub(super) fn zipped<S: Simd>(a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        narrow::zipped::<S>(a, b)
    }
}
