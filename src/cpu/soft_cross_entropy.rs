//! Categorical cross-entropy against class probabilities on the CPU.

use super::dense_rows::{self, DenseLoss, DenseRow, RowResult, RowScale, cross_entropy};
use super::simd::Simd;
use super::{CpuLoss, Job, Outcome};
use crate::{Result, SoftCrossEntropy};

/// Cross-entropy of the factors `w_c * ((1 - e) * t_c + e/K)`.
impl DenseLoss for SoftCrossEntropy {
    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    #[inline(always)]
    fn row<S: Simd>(&self, _: S, row: &DenseRow<'_>, out: &mut RowResult) -> Option<f64> {
        let smoothing = f64::from(self.label_smoothing);
        let uniform = smoothing / row.targets.len() as f64;
        for (a, &t) in out.spare[0].iter_mut().zip(row.targets) {
            *a = (1.0 - smoothing) * f64::from(t) + uniform;
        }
        if let Some(weights) = row.class_weights {
            out.spare[0].iter_mut().zip(weights).for_each(|(a, &w)| *a *= f64::from(w));
        }
        Some(cross_entropy(row, out))
    }
}

impl CpuLoss for SoftCrossEntropy {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
