//! Where the target stands among the classes. Of equal logits the lower class counts as larger, and NaN counts as -inf.

/// The class of the largest logit; without one above -inf it is class 0.
pub(super) fn argmax(logits: &[f32]) -> u32 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
    let is_largest = |&x: &f32| x == largest && largest > f32::NEG_INFINITY;
    logits.iter().position(is_largest).unwrap_or(0) as u32
}

/// How many logits stand before the target's, which is no NaN.
pub(super) fn rank(logits: &[f32], target: usize) -> u32 {
    let x_t = logits[target];
    let counts_as_equal = |x: f32| x.is_nan() && x_t == f32::NEG_INFINITY;
    let lower = logits[..target].iter().filter(|&&x| x >= x_t || counts_as_equal(x)).count();
    let higher = logits[target + 1..].iter().filter(|&&x| x > x_t).count();
    (lower + higher) as u32
}
