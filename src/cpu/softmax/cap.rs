//! The soft cap of logits.

use crate::cpu::simd::{Bytes, Select, Simd, SimdBase, SimdFloat, SimdNarrow, SimdWiden, load_vector_up_to, to_lanes};

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
    let (y, _) = cap_wide(logit.into(), softcap.into());
    (y as f32, (y - f64::from(y as f32)) as f32)
}

/// `y` and `dy/dx` of a logit, in float64.
#[inline(always)]
pub(in crate::cpu) fn cap_wide(x: f64, softcap: f64) -> (f64, f64) {
    let u = exp_of_negative(x.abs() * (-2.0 / softcap));
    let reciprocal = 1.0 / (1.0 + u);
    ((softcap * (1.0 - u) * reciprocal).copysign(x), 4.0 * u * reciprocal * reciprocal)
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
    let (y, slope) = half(simd, x, softcap);
    let (y_high, slope_high) = half(simd, x_high, softcap);
    let rounded = y.narrow(y_high);
    let (back, back_high) = rounded.widen();
    [rounded, (y - back).narrow(y_high - back_high), slope.narrow(slope_high)]
}

/// As [`cap_wide`], of a vector.
#[inline(always)]
fn half<S: Simd>(simd: S, x: S::f64s, softcap: f64) -> (S::f64s, S::f64s) {
    let one = S::f64s::splat(simd, 1.0);
    let u = exp_of_negatives(simd, x.abs() * S::f64s::splat(simd, -2.0 / softcap));
    let reciprocal = one / (one + u);
    let y = S::f64s::splat(simd, softcap) * (one - u) * reciprocal;
    (y.copysign(x), S::f64s::splat(simd, 4.0) * u * reciprocal * reciprocal)
}

/// Rounds to an integer by addition.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// `log 2` in two parts, of which the first has 21 bits.
const LN_2: [f64; 2] = [0.693_147_182_464_599_6, -1.904_654_299_957_767_8e-9];

/// Below it the result is 0, as `2^n` would be soon.
const LOWEST: f64 = -700.0;

/// `exp(r) = sum r^k / k!` up to `r^12`, the highest first: the rest is below `0.35^13 / 13! = 2e-16` for `|r| <= 0.35`.
const SERIES: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// `exp(x)` for `x <= 0` within 1e-15 relative, 0 below -700; branches on nothing, so that loops over it vectorise.
///
/// `x = n log 2 + r` with `|r| <= 0.35`.
#[inline(always)]
pub(in crate::cpu) fn exp_of_negative(x: f64) -> f64 {
    let clamped = if x < LOWEST { LOWEST } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2[0]) - n * LN_2[1];
    let p = SERIES.iter().fold(0.0, |p, c| p * r + c);
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < LOWEST { 0.0 } else { p * scale }
}

/// As [`exp_of_negative`], with fused multiply-adds where there are any.
#[inline(always)]
fn exp_of_negatives<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    let lowest = S::f64s::splat(simd, LOWEST);
    let is_low = x.simd_lt(lowest);
    let clamped = is_low.select(lowest, x);
    let round = S::f64s::splat(simd, ROUND);
    let shifted = clamped.mul_add(S::f64s::splat(simd, std::f64::consts::LOG2_E), round);
    let n = shifted - round;
    let r = n.mul_add(S::f64s::splat(simd, -LN_2[0]), clamped);
    let r = n.mul_add(S::f64s::splat(simd, -LN_2[1]), r);
    let mut terms = [r; SERIES.len()];
    for (term, c) in terms.iter_mut().zip(SERIES.iter().rev()) {
        *term = S::f64s::splat(simd, *c);
    }
    // In pairs, since one term after the other would be a long chain.
    let (r_2, r_4) = (r * r, (r * r) * (r * r));
    let terms: [_; 7] = pairs(&terms, r);
    let terms: [_; 4] = pairs(&terms, r_2);
    let terms: [_; 2] = pairs(&terms, r_4);
    let [p] = pairs(&terms, r_4 * r_4);
    let exponents = shifted.bitcast::<S::u64s>() + S::u64s::splat(simd, 1023);
    is_low.select(S::f64s::splat(simd, 0.0), p * (exponents << 52).bitcast::<S::f64s>())
}

/// `a + b x` of each pair of neighbours; the last may have none.
#[inline(always)]
fn pairs<S: Simd, V: SimdFloat<S>, const N: usize, const M: usize>(terms: &[V; N], x: V) -> [V; M] {
    const { assert!(M == N.div_ceil(2)) };
    let mut pairs = [x; M];
    for (i, pair) in pairs.iter_mut().enumerate() {
        *pair = if 2 * i + 1 < N { terms[2 * i + 1].mul_add(x, terms[2 * i]) } else { terms[2 * i] };
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::{Capped, cap, exp_of_negative};
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

    #[test]
    fn exponentials_of_negative_numbers() {
        for i in 0..70_000 {
            let x = -0.01 * f64::from(i);
            let want = x.exp();
            let got = exp_of_negative(x);
            assert!((got - want).abs() <= 1e-15 * want, "{x}: {got}, not {want}");
        }
        assert_eq!((exp_of_negative(0.0), exp_of_negative(-701.0)), (1.0, 0.0));
        assert_eq!(exp_of_negative(f64::NEG_INFINITY), 0.0);
        assert!(exp_of_negative(f64::NAN).is_nan());
    }
}
