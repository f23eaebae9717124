//! 16-bit elements to float32, which is exact, and back, rounded to nearest even. Loops without a branch, so that they vectorise.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::Pointer;

/// A bfloat16 in float32.
#[inline(always)]
pub(super) fn f32_from_bf16(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// The nearest bfloat16, as processors round that can: 0 for a number below the normal ones; NaN stays NaN.
#[inline(always)]
pub(super) fn bf16_from_f32(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    let rounded = if x.is_subnormal() { bits & 0x8000_0000 } else { rounded };
    bf16::from_bits(((if x.is_nan() { bits | 0x0040_0000 } else { rounded }) >> 16) as u16)
}

/// The `n` elements from `at` on in float32: where they lie, or converted into `buffer`.
///
/// # Safety
/// The elements can be read, and nobody writes them while the slice lives.
#[inline(always)]
pub(super) unsafe fn widen(from: Pointer, at: usize, n: usize, buffer: &mut [f32]) -> &[f32] {
    // SAFETY: the caller's promise.
    unsafe {
        match from {
            Pointer::F32(p) => return std::slice::from_raw_parts(p.add(at), n),
            Pointer::F16(p) => std::slice::from_raw_parts(p.add(at), n).convert_to_f32_slice(&mut buffer[..n]),
            Pointer::Bf16(p) => {
                for (to, from) in buffer[..n].iter_mut().zip(std::slice::from_raw_parts(p.add(at), n)) {
                    *to = f32_from_bf16(*from);
                }
            }
        }
    }
    &buffer[..n]
}

/// Rounds values into as many elements.
#[inline(always)]
pub(super) fn narrow_f16(from: &[f32], to: &mut [f16]) {
    to.convert_from_f32_slice(from);
}

/// As [`narrow_f16`].
#[inline(always)]
pub(super) fn narrow_bf16(from: &[f32], to: &mut [bf16]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = bf16_from_f32(from);
    }
}
