//! Multiplying by powers of two: by an instruction, where the processor has one, else by a number whose exponent is put together.

use super::{Simd, SimdBase, SimdFloat, splat};

/// 1.5 * 2^23 and the exponent's bias: adding it rounds to an integer, whose biased form is in the low bits of the sum.
pub(super) const ROUND: f32 = 12_582_912.0 + 127.0;

/// `p * 2^n` with the integer `n` of `sum = n + ROUND`.
///
/// With [the instruction](has_scale) `n` may be of any size, and the result is 0 where `d` is not above `lowest`; without it `n` must
/// be one from -127, whose power is 0, to 128, whose power is infinite.
#[inline(always)]
pub(super) fn scaled<S: Simd>(simd: S, p: S::f32s, sum: S::f32s, d: S::f32s, lowest: S::f32s) -> S::f32s {
    if has_scale::<S>() {
        scale_above::<S>(p, sum - splat(simd, ROUND), d, lowest)
    } else {
        p * S::f32s::from_bits(sum.to_bits() << 23)
    }
}

/// Whether the processor has an instruction that scales: with AVX-512.
#[inline(always)]
pub(super) const fn has_scale<S: Simd>() -> bool {
    // On x86-64 the only vectors of 16 lanes are those of AVX-512.
    cfg!(target_arch = "x86_64") && S::f32s::LEN == 16
}

/// `p * 2^n` for integers `n` of any size, where `d` is above `lowest` or NaN; 0 elsewhere.
///
/// Lanes that are 0 are not computed: on the way to a number below the normal ones a processor stops for a hundred cycles.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn scale_above<S: Simd>(p: S::f32s, n: S::f32s, d: S::f32s, lowest: S::f32s) -> S::f32s {
    use std::arch::x86_64::{__m512, _CMP_NLE_UQ, _mm512_cmp_ps_mask, _mm512_maskz_scalef_ps};
    use std::mem::transmute_copy;

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn of(p: __m512, n: __m512, d: __m512, lowest: __m512) -> __m512 {
        _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(d, lowest), p, n)
    }

    assert!(has_scale::<S>());
    // SAFETY: by the assertion these are vectors of AVX-512: who has them has the instructions, and the types have one
    // representation.
    unsafe {
        let scaled = of(transmute_copy(&p), transmute_copy(&n), transmute_copy(&d), transmute_copy(&lowest));
        transmute_copy::<__m512, S::f32s>(&scaled)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn scale_above<S: Simd>(_: S::f32s, _: S::f32s, _: S::f32s, _: S::f32s) -> S::f32s {
    unreachable!("no other processor has it")
}
