//! Four neighbours of each of some rows, a row a lane: pieces of 128 bits change places with lanes.

use super::{BLOCK, Block, Simd, SimdBase, has_avx512, splat};

/// Of as many rows as a vector has lanes, `stride` numbers apart, the first four: a vector of the first of each row, one of the
/// second, and so on.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(in crate::cpu) unsafe fn load_quads<S: Simd>(simd: S, from: *const f32, stride: usize) -> Block<S> {
    // SAFETY: the caller's promise.
    unsafe { load_quads_at::<S>(simd, from, native::anew(stride)) }
}

/// As [`load_quads`], the first eight, in two blocks.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(in crate::cpu) unsafe fn load_octets<S: Simd>(simd: S, from: *const f32, stride: usize) -> [Block<S>; 2] {
    let stride = native::anew(stride);
    // SAFETY: the caller's promise.
    unsafe {
        if has_avx512::<S>() {
            let [low, high] = native::load_halves::<S>(from, stride);
            native::sorted::<S>([turned(simd, low), turned(simd, high)])
        } else {
            [load_quads_at::<S>(simd, from, stride), load_quads_at::<S>(simd, from.add(BLOCK), stride)]
        }
    }
}

/// # Safety
/// As [`load_quads`].
#[inline(always)]
unsafe fn load_quads_at<S: Simd>(simd: S, from: *const f32, stride: usize) -> Block<S> {
    let mut quads = [splat(simd, 0.0); BLOCK];
    for (i, quad) in quads.iter_mut().enumerate() {
        // SAFETY: the caller's promise: rows i, i + 4, ...
        *quad = unsafe { native::load_pieces::<S>(simd, from.add(i * stride), BLOCK * stride) };
    }
    turned(simd, quads)
}

/// Stores what [`load_quads`] loads, in order of the rows: of what two of them have in common the later one's stays.
///
/// # Safety
/// The places can be written.
#[inline(always)]
pub(in crate::cpu) unsafe fn store_quads<S: Simd>(simd: S, quads: &Block<S>, to: *mut f32, stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { native::store_pieces::<S>(&turned(simd, *quads), to, stride) };
}

/// Within each piece of four lanes, the transpose.
#[inline(always)]
fn turned<S: Simd>(simd: S, [a, b, c, d]: Block<S>) -> Block<S> {
    let ([ac, ac_high], [bd, bd_high]) = (native::zipped(simd, a, c), native::zipped(simd, b, d));
    let ([x, y], [z, w]) = (native::zipped(simd, ac, bd), native::zipped(simd, ac_high, bd_high));
    [x, y, z, w]
}

/// Vectors of any width, fast where they are one piece.
mod portable {
    use super::{BLOCK, Block, Simd, SimdBase};
    use crate::cpu::simd::{MAX_LANES, load_lanes, to_lanes};

    #[inline(always)]
    pub(super) unsafe fn load_pieces<S: Simd>(simd: S, from: *const f32, stride: usize) -> S::f32s {
        let mut lanes = [0.0; MAX_LANES];
        for (p, piece) in lanes[..S::f32s::LEN].chunks_exact_mut(BLOCK).enumerate() {
            // SAFETY: the caller's promise.
            piece.copy_from_slice(unsafe { std::slice::from_raw_parts(from.add(p * stride), BLOCK) });
        }
        load_lanes(simd, &lanes)
    }

    #[inline(always)]
    pub(super) unsafe fn store_pieces<S: Simd>(rows: &Block<S>, to: *mut f32, stride: usize) {
        for p in 0..S::f32s::LEN / BLOCK {
            for (i, row) in rows.iter().enumerate() {
                let piece = &to_lanes::<S>(*row)[p * BLOCK..(p + 1) * BLOCK];
                // SAFETY: the caller's promise.
                unsafe { std::slice::from_raw_parts_mut(to.add((p * BLOCK + i) * stride), BLOCK) }
                    .copy_from_slice(piece);
            }
        }
    }

    #[inline(always)]
    pub(super) fn zipped<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        if S::f32s::LEN == BLOCK {
            return [a.zip_low(b), a.zip_high(b)];
        }
        let lanes = [to_lanes::<S>(a), to_lanes::<S>(b)];
        let mut halves = [[0.0; MAX_LANES]; 2];
        for (h, half) in halves.iter_mut().enumerate() {
            for (i, value) in half[..S::f32s::LEN].iter_mut().enumerate() {
                *value = lanes[i % 2][i / BLOCK * BLOCK + 2 * h + i % BLOCK / 2];
            }
        }
        [load_lanes(simd, &halves[0]), load_lanes(simd, &halves[1])]
    }
}

#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{
        __m256, __m512, _mm_loadu_ps, _mm_storeu_ps, _mm256_castps_pd, _mm256_castps128_ps256, _mm256_castps256_ps128,
        _mm256_extractf128_ps, _mm256_insertf128_ps, _mm256_loadu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
        _mm512_castpd_ps, _mm512_castps_pd, _mm512_castps128_ps512, _mm512_castps256_ps512, _mm512_castps512_ps128,
        _mm512_extractf32x4_ps, _mm512_insertf32x4, _mm512_insertf64x4, _mm512_setzero_ps, _mm512_shuffle_f32x4,
        _mm512_unpackhi_ps, _mm512_unpacklo_ps,
    };
    use std::mem::transmute_copy;

    use super::{Block, Simd, SimdBase, portable};

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
                _ => portable::load_pieces::<S>(simd, from, stride),
            }
        }
    }

    /// Eight numbers each of rows `i` and `4 + i`, for `i` from 0 to 3, and of rows `8 + i` and `12 + i`.
    ///
    /// # Safety
    /// They can be read, and the vectors are those of AVX-512.
    #[inline(always)]
    pub(super) unsafe fn load_halves<S: Simd>(from: *const f32, stride: usize) -> [Block<S>; 2] {
        #[target_feature(enable = "avx512f")]
        #[inline]
        unsafe fn load(from: *const f32, stride: usize) -> [[__m512; 4]; 2] {
            let mut halves = [[_mm512_setzero_ps(); 4]; 2];
            for (h, half) in halves.iter_mut().enumerate() {
                for (i, rows) in half.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    let [low, high] = unsafe {
                        let low = from.add((8 * h + i) * stride);
                        [_mm256_loadu_ps(low), _mm256_loadu_ps(low.add(4 * stride))]
                    };
                    let both = _mm512_castps_pd(_mm512_castps256_ps512(low));
                    *rows = _mm512_castpd_ps(_mm512_insertf64x4::<1>(both, _mm256_castps_pd(high)));
                }
            }
            halves
        }
        // SAFETY: the caller's promise; the types have one representation.
        unsafe { transmute_copy(&load(from, stride)) }
    }

    /// Of [`load_halves`], turned: classes 0 to 3 of all rows, and classes 4 to 7.
    ///
    /// # Safety
    /// The vectors are those of AVX-512.
    #[inline(always)]
    pub(super) unsafe fn sorted<S: Simd>(halves: [Block<S>; 2]) -> [Block<S>; 2] {
        #[target_feature(enable = "avx512f")]
        #[inline]
        fn of([low, high]: [[__m512; 4]; 2]) -> [[__m512; 4]; 2] {
            let mut sorted = [low, high];
            for (i, (low, high)) in low.into_iter().zip(high).enumerate() {
                sorted[0][i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(low, high);
                sorted[1][i] = _mm512_shuffle_f32x4::<0b11_01_11_01>(low, high);
            }
            sorted
        }
        // SAFETY: the caller's promise; the types have one representation.
        unsafe { transmute_copy(&of(transmute_copy(&halves))) }
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
                _ => portable::store_pieces::<S>(rows, to, stride),
            }
        }
    }

    /// Lanes of the two in turn, of the first halves of their pieces and of the second ones.
    #[inline(always)]
    pub(super) fn zipped<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
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
                _ => portable::zipped(simd, a, b),
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod native {
    pub(super) use super::portable::{load_pieces, store_pieces, zipped};
    use super::{Block, Simd};

    pub(super) const fn anew(stride: usize) -> usize {
        stride
    }

    pub(super) unsafe fn load_halves<S: Simd>(_: *const f32, _: usize) -> [Block<S>; 2] {
        unreachable!("no other processor has it")
    }

    pub(super) unsafe fn sorted<S: Simd>(_: [Block<S>; 2]) -> [Block<S>; 2] {
        unreachable!("no other processor has it")
    }
}

#[cfg(test)]
mod tests {
    use super::{load_octets, load_quads, store_quads};
    use crate::cpu::Instructions;
    use crate::cpu::simd::{BLOCK, Block, Kernel, MAX_LANES, Simd, SimdBase, to_lanes};

    const STRIDE: usize = 11;
    const LENGTH: usize = MAX_LANES * STRIDE;

    /// Numbers `class + STRIDE row`, turned in and out again.
    struct Turned;

    impl Kernel for Turned {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let check = |block: &Block<S>, first: usize| {
                for (i, vector) in block.iter().enumerate() {
                    for (row, &value) in to_lanes::<S>(*vector)[..S::f32s::LEN].iter().enumerate() {
                        assert_eq!(value, (STRIDE * row + first + i) as f32, "row {row}, class {}", first + i);
                    }
                }
            };
            let numbers: Vec<f32> = (0..LENGTH).map(|i| i as f32).collect();
            let mut rows = [0.0; LENGTH];
            for first in 0..=STRIDE - BLOCK {
                // SAFETY: the last row has as many classes behind the first.
                unsafe {
                    let quads = load_quads(simd, numbers.as_ptr().add(first), STRIDE);
                    check(&quads, first);
                    store_quads(simd, &quads, rows.as_mut_ptr().add(first), STRIDE);
                }
            }
            let stored = S::f32s::LEN * STRIDE;
            assert_eq!(rows[..stored], numbers[..stored]);
            for first in 0..=STRIDE - 2 * BLOCK {
                // SAFETY: as above.
                let [low, high] = unsafe { load_octets(simd, numbers.as_ptr().add(first), STRIDE) };
                check(&low, first);
                check(&high, first + BLOCK);
            }
        }
    }

    #[test]
    fn rows_are_turned_in_order() {
        Instructions::ALL.into_iter().filter(|set| set.is_available()).for_each(|set| set.run(Turned));
    }
}
