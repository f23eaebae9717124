//! Instructions of AVX-512 for powers of two: one looks up a table in two registers, another scales.

use super::{Simd, has_avx512};

/// Whether the processor has them.
#[inline(always)]
pub(super) const fn has_table<S: Simd>() -> bool {
    has_avx512::<S>()
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512d, _CMP_NLE_UQ, _mm512_castpd_si512, _mm512_castps_si512, _mm512_cmp_pd_mask, _mm512_cmp_ps_mask,
        _mm512_maskz_fmsub_ps, _mm512_maskz_scalef_pd, _mm512_maskz_scalef_ps, _mm512_permutex2var_pd,
        _mm512_permutex2var_ps,
    };
    use std::mem::transmute_copy;

    use super::{Simd, has_table};

    /// A function of such vectors, of float32 or of float64, where there are any.
    macro_rules! native {
        ($(#[$doc:meta])* $name:ident($($vector:ident),+): $of:ident as $native:ty, $value:expr) => {
            $(#[$doc])*
            #[inline(always)]
            pub(in crate::cpu::simd) fn $name<S: Simd>($($vector: S::$of),+) -> S::$of {
                #[target_feature(enable = "avx512f")]
                #[inline]
                fn of($($vector: $native),+) -> $native {
                    $value
                }
                assert!(has_table::<S>());
                // SAFETY: by the assertion these are vectors of AVX-512: who has them has the instructions, and the types have one
                // representation.
                unsafe { transmute_copy::<$native, S::$of>(&of($(transmute_copy(&$vector)),+)) }
            }
        };
    }

    native! {
        /// Of a table's two halves, the entry whose number is in the low bits of `sum`.
        looked_up(low, high, sum): f32s as __m512, _mm512_permutex2var_ps(low, _mm512_castps_si512(sum), high)
    }
    native! {
        /// As [`looked_up`], in float64.
        looked_up_64(low, high, sum): f64s as __m512d, _mm512_permutex2var_pd(low, _mm512_castpd_si512(sum), high)
    }
    native! {
        /// `d k - n`, where `d` is above `lowest` or NaN, and else 0.
        residue(d, k, n, lowest): f32s as __m512,
        _mm512_maskz_fmsub_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(d, lowest), d, k, n)
    }
    native! {
        /// `p * 2^floor(n)` for an `n` of any size, where `d` is above `lowest` or NaN, and else 0.
        ///
        /// Lanes that are 0 are not computed: on the way to a number below the normal ones a processor stops for a hundred cycles.
        scaled_above(p, n, d, lowest): f32s as __m512,
        _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(d, lowest), p, n)
    }
    native! {
        /// As [`scaled_above`], in float64.
        scaled_above_64(p, n, d, lowest): f64s as __m512d,
        _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask::<_CMP_NLE_UQ>(d, lowest), p, n)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx512::{looked_up, looked_up_64, residue, scaled_above, scaled_above_64};

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use super::Simd;

    macro_rules! no_native {
        ($($name:ident($($vector:ident),+): $of:ident),+) => {
            $(
                pub(in crate::cpu::simd) fn $name<S: Simd>($($vector: S::$of),+) -> S::$of {
                    let _ = ($($vector),+);
                    unreachable!("no other processor has a table")
                }
            )+
        };
    }

    no_native! {
        looked_up(low, high, sum): f32s,
        looked_up_64(low, high, sum): f64s,
        residue(d, k, n, lowest): f32s,
        scaled_above(p, n, d, lowest): f32s,
        scaled_above_64(p, n, d, lowest): f64s
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use elsewhere::{looked_up, looked_up_64, residue, scaled_above, scaled_above_64};
