//! The soft cap of logits.

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

/// Caps `logits`. With `u = exp(-2 |x| / softcap)`:
///
/// ```text
/// |tanh| = (1 - u) / (1 + u),   1 - tanh^2 = 4 u / (1 + u)^2
/// ```
///
/// A logit of +-inf is at the cap, NaN stays NaN.
#[inline(always)]
pub(in crate::cpu) fn cap(logits: &[f32], softcap: f32, capped: &mut Capped) {
    for values in [&mut capped.high, &mut capped.low, &mut capped.slope] {
        values.resize(logits.len(), 0.0);
    }
    let softcap = f64::from(softcap);
    let outputs = capped.high.iter_mut().zip(&mut capped.low).zip(&mut capped.slope);
    for (((high, low), slope), &x) in outputs.zip(logits) {
        let a = f64::from(x) / softcap;
        let u = exp_of_negative(-2.0 * a.abs());
        let reciprocal = 1.0 / (1.0 + u);
        let y = (softcap * (1.0 - u) * reciprocal).copysign(a);
        *high = y as f32;
        *low = (y - f64::from(*high)) as f32;
        *slope = (4.0 * u * reciprocal * reciprocal) as f32;
    }
}

/// One logit, capped: `y` in float32, and what that rounds off.
pub(super) fn cap_one(logit: f32, softcap: f32) -> (f32, f32) {
    let mut capped = Capped::default();
    cap(&[logit], softcap, &mut capped);
    (capped.high[0], capped.low[0])
}

/// `exp(x)` for `x <= 0` within 1e-15 relative, 0 below -700; branches on nothing, so that loops over it vectorise.
///
/// `x = n log 2 + r` with `|r| <= 0.35`, and `exp(r)` is its series up to `r^12`, whose rest is below `0.35^13 / 13! = 2e-16`.
#[inline(always)]
pub(in crate::cpu) fn exp_of_negative(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
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
    let clamped = if x < -708.0 { -708.0 } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // log 2 in two parts, of which the first has 21 bits.
    let r = (clamped - n * 0.693_147_182_464_599_6) - n * -1.904_654_299_957_767_8e-9;
    let p = SERIES.iter().fold(0.0, |p, c| p * r + c);
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < -700.0 { 0.0 } else { p * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capped_logits_and_slopes() {
        let softcap = 30.0;
        let logits: Vec<f32> =
            (-4000..4000).map(|i| i as f32 / 16.0).chain([f32::INFINITY, f32::NEG_INFINITY]).collect();
        let mut capped = Capped::default();
        cap(&logits, softcap, &mut capped);
        for (i, &x) in logits.iter().enumerate() {
            let want = 30.0 * (f64::from(x) / 30.0).tanh();
            let got = f64::from(capped.high[i]) + f64::from(capped.low[i]);
            assert!((got - want).abs() <= 1e-12, "{x}: {got} is not {want}");
            let cosh = (f64::from(x) / 30.0).cosh();
            let want = 1.0 / (cosh * cosh);
            assert!((f64::from(capped.slope[i]) - want).abs() <= 1e-7 * want + 1e-30, "slope at {x}");
        }
        cap(&[f32::NAN], softcap, &mut capped);
        assert!(capped.high[0].is_nan());
    }
}
