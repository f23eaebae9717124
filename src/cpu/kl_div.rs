//! Kullback-Leibler divergence of a softmax from a target distribution on the CPU.

use super::dense_rows::{self, DenseLoss, DenseRow, RowResult, RowScale, cross_entropy};
use super::simd::log64::logarithms;
use super::simd::{Simd, SimdBase};
use super::wide::total;
use super::{CpuLoss, Job, Outcome};
use crate::{KlDiv, Result};

/// `t_c * (log t_c - log p_c)` of each class; the gradient is that of cross-entropy.
impl DenseLoss for KlDiv {
    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    #[inline(always)]
    fn row<S: Simd>(&self, simd: S, row: &DenseRow<'_>, out: &mut RowResult) -> Option<f64> {
        let [factors, logs] = &mut out.spare;
        if self.log_target {
            for ((a, log), &t) in factors.iter_mut().zip(&mut *logs).zip(row.targets) {
                (*a, *log) = (f64::from(t).exp(), t.into());
            }
        } else {
            factors.iter_mut().zip(row.targets).for_each(|(a, &t)| *a = t.into());
            log(simd, factors, logs);
        }
        cross_entropy(row, out);
        let (max, log_sum) = (row.statistics.max, row.statistics.log_sum);
        let terms = out.spare[0].iter().zip(&out.spare[1]).zip(row.y);
        for (loss, ((&a, &log), &y)) in out.losses.iter_mut().zip(terms) {
            *loss = if a == 0.0 { 0.0 } else { a * (log + ((max - y) + log_sum)) };
        }
        Some(total(&out.losses))
    }
}

/// Logarithms of what is above 0; of 0 and less they are NaN.
#[inline(always)]
fn log<S: Simd>(simd: S, from: &[f64], to: &mut [f64]) {
    to.copy_from_slice(from);
    let mut chunks = to.chunks_exact_mut(S::f64s::LEN);
    for x in &mut chunks {
        logarithms(simd, S::f64s::from_slice(simd, x)).store_slice(x);
    }
    chunks.into_remainder().iter_mut().for_each(|x| *x = x.ln());
}

impl CpuLoss for KlDiv {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
