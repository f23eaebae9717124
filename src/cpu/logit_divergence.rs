//! Divergences between two rows of logits on the CPU.

use super::dense_rows::{self, DenseLoss, DenseRow, RowResult, RowScale};
use super::simd::exp64::exp_of_negatives;
use super::simd::log64::logarithms;
use super::simd::{Select, Simd, SimdBase, SimdFloat};
use super::wide::{LANES, softmax, total};
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
        let [e_targets, log_ratios] = &mut out.spare;
        log_ratios.iter_mut().zip(row.targets).for_each(|(y, &t)| *y = f64::from(t) / temperature);
        let targets = softmax(simd, log_ratios, e_targets)?;
        let (q_scale, p_scale) = (row.statistics.scale(), targets.scale());
        let probabilities = e_targets.iter().map(|e| e * p_scale).zip(row.e.iter().map(|e| e * q_scale));
        for ((v, y), (p, q)) in log_ratios.iter_mut().zip(row.y).zip(probabilities.clone()) {
            let log_ratio = targets.surprisal(*v) - row.statistics.surprisal(*y);
            *v = if p == 0.0 && q == 0.0 { 0.0 } else { log_ratio };
        }
        if self.divergence == Divergence::JensenShannon {
            log_means(simd, log_ratios, &mut out.gradient);
        }
        let classes = out.losses.iter_mut().zip(&mut out.gradient).zip(log_ratios.iter().zip(probabilities));
        match self.divergence {
            Divergence::Kl => classes.for_each(|((term, g), (&v, (p, q)))| (*term, *g) = (kl_term(p, q, v), q - p)),
            Divergence::ReverseKl => classes.for_each(|((term, g), (&v, (p, q)))| (*term, *g) = (kl_term(q, p, -v), v)),
            Divergence::JensenShannon => classes.for_each(|((term, g), (&v, (p, q)))| {
                // log(m / p) and log(m / q): of the smaller ratio, and as much more as the other is larger.
                let log_mean = *g;
                let (over_p, over_q) = (log_mean + v.max(0.0), log_mean + (-v).max(0.0));
                let mean = 0.5 * p + 0.5 * q;
                *term = 0.5 * (kl_term(p, mean, over_p) + kl_term(q, mean, over_q));
                *g = -0.5 * over_q;
            }),
        }
        let sum = total(&out.losses);
        if self.divergence != Divergence::Kl {
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

/// `b - a + a log(a / b)` given `v = log(b / a)`.
#[inline(always)]
fn kl_term(a: f64, b: f64, v: f64) -> f64 {
    let near = a * v * v * (0.5 + v * (1.0 / 6.0 + v / 24.0));
    let term = if v.abs() < 1e-3 { near } else { (b - a) - a * v };
    if a == 0.0 { b } else { term }
}

/// Fills `to` with `log((1 + e^-|v|) / 2)` of every `v`.
#[inline(always)]
fn log_means<S: Simd>(simd: S, v: &[f64], to: &mut [f64]) {
    let mut padded = [0.0; LANES];
    for (v, to) in v.chunks(LANES).zip(to.chunks_mut(LANES)) {
        padded[..v.len()].copy_from_slice(v);
        for v in padded.chunks_exact_mut(S::f64s::LEN) {
            log_mean(simd, S::f64s::from_slice(simd, v)).store_slice(v);
        }
        to.copy_from_slice(&padded[..to.len()]);
    }
}

/// `log((1 + e^-|v|) / 2)`, near 0 by its series, whose rest is below `v^6 / 2880 < 4e-16`.
#[inline(always)]
fn log_mean<S: Simd>(simd: S, v: S::f64s) -> S::f64s {
    let number = |x: f64| S::f64s::splat(simd, x);
    let size = v.abs();
    let far = logarithms(simd, exp_of_negatives(simd, -size).mul_add(number(0.5), number(0.5)));
    let near = size * size.mul_add((size * size).mul_add(number(-1.0 / 192.0), number(0.125)), number(-0.5));
    size.simd_lt(number(0.01)).select(near, far)
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
