//! Divergences between two rows of logits on the CPU.

use super::dense_rows::{self, Classes, DenseLoss, RowScale, Terms};
use super::simd::exp64::exp_of_negatives;
use super::simd::log64::logarithms;
use super::simd::{Select, Simd, SimdBase, SimdFloat};
use super::wide::times;
use super::{CpuLoss, Job, Outcome};
use crate::{Divergence, LogitDivergence, Result};

/// With `q` and `p` the softmax of logits and targets, and `v = log(q_c / p_c)`, terms and their derivatives by `log q`:
///
/// ```text
/// KL(p || q)      p (e^v - 1 - v),   -p
/// KL(q || p)      q (e^-v - 1 + v),  q v
/// Jensen-Shannon  half of both with m = (p + q) / 2 for the second of each,  q log(q / m) / 2
/// ```
///
/// The added differences of probabilities sum to 0 and make every term at least 0, so that a small divergence is no difference
/// of large numbers. A class without probability under the first distribution contributes nothing.
impl DenseLoss for LogitDivergence {
    const LOGIT_TARGETS: bool = true;

    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    fn no_target(&self) -> f32 {
        f32::NEG_INFINITY
    }

    #[inline(always)]
    fn terms<S: Simd>(&self, simd: S, _: usize, of: &Classes<S>) -> Terms<S> {
        let number = |value: f64| S::f64s::splat(simd, value);
        let (q, p, zero, half) = (of.q, of.t, number(0.0), number(0.5));
        let v = (p.simd_eq(zero) & q.simd_eq(zero)).select(zero, of.target_surprisal - of.surprisal);
        match self.divergence {
            Divergence::Kl => Terms { loss: kl_term(simd, p, q, v), slope: -p },
            Divergence::ReverseKl => {
                let slope = times(simd, q, v);
                // Where a target has no probability, the loss is infinite and has no gradient.
                let is_finite = slope.abs().simd_lt(number(f64::INFINITY));
                Terms { loss: kl_term(simd, q, p, -v), slope: is_finite.select(slope, number(f64::NAN)) }
            }
            Divergence::JensenShannon => {
                // log(m / p) and log(m / q): of the smaller ratio, and as much more as the other is larger.
                let log_mean = log_mean(simd, v);
                let (over_p, over_q) = (log_mean + v.max(zero), log_mean + (-v).max(zero));
                let mean = half * p + half * q;
                let terms = kl_term(simd, p, mean, over_p) + kl_term(simd, q, mean, over_q);
                Terms { loss: half * terms, slope: times(simd, q, -half * over_q) }
            }
        }
    }
}

/// `b - a + a log(a / b)` given `v = log(b / a)`.
#[inline(always)]
fn kl_term<S: Simd>(simd: S, a: S::f64s, b: S::f64s, v: S::f64s) -> S::f64s {
    let number = |value: f64| S::f64s::splat(simd, value);
    let series = v.mul_add(v.mul_add(number(1.0 / 24.0), number(1.0 / 6.0)), number(0.5));
    let term = v.abs().simd_lt(number(1e-3)).select(a * v * v * series, (b - a) - a * v);
    a.simd_eq(number(0.0)).select(b, term)
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

impl CpuLoss for LogitDivergence {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
