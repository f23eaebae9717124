//! The soft cap of logits.

use crate::cpu::simd::exp64::{exp_of_negative, exp_of_negatives};
use crate::cpu::simd::{Simd, SimdBase, SimdFloat, SimdNarrow, SimdWiden, load_vector_up_to, to_lanes};

/// Capped logits `y = softcap * tanh(x / softcap)`, to more digits than float32 has.
///
/// A softmax sees differences of logits: the rounding of a capped logit near 30 would be 1e-6 of its exponential.
#[derive(Debug, Default)]
pub(in crate::cpu) struct Capped {
    /// `y` in float32, and what that rounds off.
    pub(in crate::cpu) high: Vec<f32>,
    pub(in crate::cpu) low: Vec<f32>,
    /// `dy/dx = 1 - tanh^2`.
    pub(in crate::cpu) slope: Vec<f32>,
}

/// Caps `logits`.
#[inline(always)]
pub(in crate::cpu) fn cap<S: Simd>(simd: S, logits: &[f32], softcap: f32, capped: &mut Capped) {
    for values in [&mut capped.high, &mut capped.low, &mut capped.slope] {
        values.resize(logits.len(), 0.0);
    }
    simd.vectorize(
        #[inline(always)]
        || {
            let lanes = S::f32s::LEN;
            let to =
                capped.high.chunks_mut(lanes).zip(capped.low.chunks_mut(lanes)).zip(capped.slope.chunks_mut(lanes));
            for (x, ((high, low), slope)) in logits.chunks(lanes).zip(to) {
                let of_chunk = vector(simd, load_vector_up_to(simd, x, 0.0), softcap.into());
                for (vector, to) in of_chunk.into_iter().zip([high, low, slope]) {
                    if to.len() == lanes {
                        vector.store_slice(to);
                    } else {
                        to.copy_from_slice(&to_lanes::<S>(vector)[..x.len()]);
                    }
                }
            }
        },
    );
}

/// One logit, capped: `y` in float32, and what that rounds off.
pub(super) fn cap_one(logit: f32, softcap: f32) -> (f32, f32) {
    let (x, softcap) = (f64::from(logit), f64::from(softcap));
    let u = exp_of_negative(x.abs() * (-2.0 / softcap));
    let y = (softcap * (1.0 - u) * (1.0 / (1.0 + u))).copysign(x);
    (y as f32, (y - f64::from(y as f32)) as f32)
}

/// Of a vector, `y` in float32, what that rounds off, and `dy/dx`. With `u = exp(-2 |x| / softcap)`:
///
/// ```text
/// |tanh| = (1 - u) / (1 + u),   1 - tanh^2 = 4 u / (1 + u)^2
/// ```
///
/// A logit of +-inf is at the cap, NaN stays NaN.
#[inline(always)]
fn vector<S: Simd>(simd: S, x: S::f32s, softcap: f64) -> [S::f32s; 3] {
    let (x, x_high) = x.widen();
    let (y, slope) = cap_vector(simd, x, softcap);
    let (y_high, slope_high) = cap_vector(simd, x_high, softcap);
    let rounded = y.narrow(y_high);
    let (back, back_high) = rounded.widen();
    [rounded, (y - back).narrow(y_high - back_high), slope.narrow(slope_high)]
}

/// As [`cap_one`], in float64 and with the derivative.
#[inline(always)]
pub(in crate::cpu) fn cap_vector<S: Simd>(simd: S, x: S::f64s, softcap: f64) -> (S::f64s, S::f64s) {
    let one = S::f64s::splat(simd, 1.0);
    let u = exp_of_negatives(simd, x.abs() * S::f64s::splat(simd, -2.0 / softcap));
    let reciprocal = one / (one + u);
    let y = S::f64s::splat(simd, softcap) * (one - u) * reciprocal;
    (y.copysign(x), S::f64s::splat(simd, 4.0) * u * reciprocal * reciprocal)
}

#[cfg(test)]
mod tests {
    use super::{Capped, cap};
    use crate::cpu::Instructions;
    use crate::cpu::simd::{Kernel, Simd};

    const SOFTCAP: f32 = 30.0;

    struct Caps<'a>(&'a [f32]);

    impl Kernel for Caps<'_> {
        type Output = Capped;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Capped {
            let mut capped = Capped::default();
            cap(simd, self.0, SOFTCAP, &mut capped);
            capped
        }
    }

    #[test]
    fn capped_logits_and_slopes() {
        let softcap = f64::from(SOFTCAP);
        let logits: Vec<f32> = (-4000..4000)
            .map(|i| i as f32 / 16.0)
            .chain([f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e5, 1e-30, f32::NAN])
            .collect();
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let capped = set.run(Caps(&logits));
            for (i, &x) in logits.iter().enumerate() {
                let got = f64::from(capped.high[i]) + f64::from(capped.low[i]);
                if x.is_nan() {
                    assert!(got.is_nan(), "{set:?}: {got}");
                    continue;
                }
                let want = softcap * (f64::from(x) / softcap).tanh();
                assert!((got - want).abs() <= 1e-12, "{set:?}, {x}: {got} is not {want}");
                let cosh = (f64::from(x) / softcap).cosh();
                let want = 1.0 / (cosh * cosh);
                let slope = f64::from(capped.slope[i]);
                assert!((slope - want).abs() <= 1e-7 * want + 1e-30, "{set:?}: slope {slope} at {x}, not {want}");
            }
        }
    }
}
