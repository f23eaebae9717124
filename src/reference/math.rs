//! Functions of one variable, each to a few roundings of its value.

/// `log(1 + exp(x))`.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `exp(u) - 1 - u`, which is at least 0 and about `u^2 / 2` near 0.
pub(super) fn exp_beyond_tangent(u: f64) -> f64 {
    if u.abs() > 1.0 {
        return u.exp_m1() - u;
    }
    // The power series: 1/22! is less than a rounding of 1/2!.
    let mut term = u * u / 2.0;
    let mut sum = term;
    for k in 3..=22 {
        term *= u / f64::from(k);
        sum += term;
    }
    sum
}

/// `log((1 + exp(u)) / 2)`: about `u / 2` near 0.
pub(super) fn log_mean_exp(u: f64) -> f64 {
    if u > 1.0 { u + ((-u).exp_m1() / 2.0).ln_1p() } else { (u.exp_m1() / 2.0).ln_1p() }
}

/// For each value the sum of all others, without subtracting it from the sum of all.
pub(super) fn sums_of_others(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; values.len()];
    let mut before = 0.0;
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += before;
        before += value;
    }
    let mut behind = 0.0;
    for (sum, value) in sums.iter_mut().zip(values).rev() {
        *sum += behind;
        behind += value;
    }
    sums
}

/// Derivative by each logit of a softmax `p`, from the derivative `g` by each probability:
///
/// ```text
/// p_j * (g_j - sum_c p_c * g_c)
/// ```
///
/// Taken relative to the `g` of the most probable class, so that a confident row keeps its digits: no term is large. A class of
/// probability 0 contributes nothing.
pub(super) fn through_softmax(p: &[f64], g: &[f64]) -> Vec<f64> {
    let top = (0..p.len()).fold(0, |top, c| if p[c] > p[top] { c } else { top });
    let term = |c: usize, value: f64| if p[c] == 0.0 { 0.0 } else { p[c] * value };
    let mean = (0..p.len()).fold(0.0, |sum, c| sum + term(c, g[c] - g[top]));
    (0..p.len()).map(|j| term(j, (g[j] - g[top]) - mean)).collect()
}
