//! Kullback-Leibler divergence of a softmax from a target distribution on the CPU.

use super::dense_rows::{self, DenseLoss, DenseRow, RowResult, RowScale, cross_entropy};
use super::{CpuLoss, Job, Outcome};
use crate::{KlDiv, Result};

/// `t_c * (log t_c - log p_c)` of each class; the gradient is that of cross-entropy.
impl DenseLoss for KlDiv {
    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    #[inline(always)]
    fn row(&self, row: &DenseRow<'_>, out: &mut RowResult) -> Option<f64> {
        let log_target = self.log_target;
        let (factors, logs) = out.spare.split_at_mut(1);
        for ((a, log), &t) in factors[0].iter_mut().zip(&mut logs[0]).zip(row.targets) {
            let t = f64::from(t);
            (*a, *log) = if log_target { (t.exp(), t) } else { (t, t.ln()) };
        }
        cross_entropy(row, out);
        let (max, log_sum) = (row.statistics.max, row.statistics.rest.ln_1p());
        let terms = out.spare[0].iter().zip(&out.spare[1]).zip(row.y);
        let mut sum = 0.0;
        for (loss, ((&a, &log), &y)) in out.losses.iter_mut().zip(terms) {
            *loss = if a == 0.0 { 0.0 } else { a * (log + ((max - y) + log_sum)) };
            sum += *loss;
        }
        Some(sum)
    }
}

impl CpuLoss for KlDiv {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
