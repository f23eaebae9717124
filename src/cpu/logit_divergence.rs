//! Divergences between two rows of logits on the CPU.

use super::dense_rows::{self, DenseLoss, DenseRow, RowResult, RowScale};
use super::simd::Simd;
use super::wide::{Statistics, softmax};
use super::{CpuLoss, Job, Outcome};
use crate::{Divergence, LogitDivergence, Result};

/// With `q` and `p` the softmax of logits and targets, and `v = log(q_c / p_c)`:
///
/// ```text
/// KL(p || q)      = sum p (e^v - 1 - v),           dloss/dy_j = q_j - p_j
/// KL(q || p)      = sum q (e^-v - 1 + v),          dloss/dy_j = q_j (v_j - KL(q || p))
/// Jensen-Shannon  = half the sum of both with m = (p + q) / 2 for the second of each,
///                                                  dloss/dy_j = q_j (log(q_j / m_j) - KL(q || m)) / 2
/// ```
///
/// The added differences of probabilities sum to 0 and make every term at least 0, so that a small divergence is no difference
/// of large numbers. A class without probability under the first distribution contributes nothing.
impl DenseLoss for LogitDivergence {
    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, row: &DenseRow<'_>, out: &mut RowResult) -> Option<f64> {
        let temperature = f64::from(self.temperature);
        let [of_targets, scaled] = &mut out.spare;
        scaled.iter_mut().zip(row.targets).for_each(|(y, &t)| *y = f64::from(t) / temperature);
        let targets = softmax(simd, scaled, of_targets)?;
        let q_scale = row.statistics.scale();
        let p_scale = targets.scale();
        let class = |c: usize, of_targets: &[f64], scaled: &[f64]| {
            let (p, q) = (of_targets[c] * p_scale, row.e[c] * q_scale);
            (p, q, if p == 0.0 && q == 0.0 { 0.0 } else { log_ratio(row, &targets, scaled[c], c) })
        };
        let divergence = self.divergence;
        let mut sum = 0.0;
        for c in 0..row.y.len() {
            let (p, q, v) = class(c, of_targets, scaled);
            let (term, g) = match divergence {
                Divergence::Kl => (kl_term(p, q, v), q - p),
                Divergence::ReverseKl => (kl_term(q, p, -v), v),
                Divergence::JensenShannon => {
                    let (over_p, over_q) = (log_mean_exp(v), log_mean_exp(-v));
                    let mean = 0.5 * p + 0.5 * q;
                    (0.5 * (kl_term(p, mean, over_p) + kl_term(q, mean, over_q)), -0.5 * over_q)
                }
            };
            sum += term;
            out.gradient[c] = g;
        }
        if divergence != Divergence::Kl {
            // Through the softmax: q_j (g_j - sum q g).
            let mean = row.e.iter().zip(&out.gradient).fold(0.0, |sum, (e, g)| sum + times(e * q_scale, *g));
            for (g, e) in out.gradient.iter_mut().zip(row.e) {
                *g = times(e * q_scale, *g - mean);
            }
            if !sum.is_finite() {
                out.gradient.fill(f64::NAN);
            }
        }
        Some(sum)
    }
}

/// `log(q_c / p_c)`.
fn log_ratio(row: &DenseRow<'_>, targets: &Statistics, target: f64, c: usize) -> f64 {
    targets.surprisal(target) - row.statistics.surprisal(row.y[c])
}

/// `b - a + a log(a / b)` given `v = log(b / a)`.
fn kl_term(a: f64, b: f64, v: f64) -> f64 {
    match a {
        0.0 => b,
        _ if v.abs() < 1e-3 => a * v * v * (0.5 + v * (1.0 / 6.0 + v / 24.0)),
        _ => (b - a) - a * v,
    }
}

/// `log((1 + e^v) / 2)`.
fn log_mean_exp(v: f64) -> f64 {
    if v > 1.0 { v + ((-v).exp_m1() / 2.0).ln_1p() } else { (v.exp_m1() / 2.0).ln_1p() }
}

/// `probability * term`, where a class that does not occur contributes nothing.
fn times(probability: f64, term: f64) -> f64 {
    if probability == 0.0 { 0.0 } else { probability * term }
}

impl CpuLoss for LogitDivergence {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
