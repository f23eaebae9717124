//! Categorical cross-entropy against class probabilities on the CPU.

use super::dense_rows::{self, Classes, DenseLoss, RowScale, Terms};
use super::simd::{Simd, SimdBase, SimdFloat};
use super::wide::times;
use super::{CpuLoss, Job, Outcome};
use crate::{Result, SoftCrossEntropy};

/// `a_c * -log p_c` with `a_c = w_c * ((1 - e) * t_c + e/K)`.
impl DenseLoss for SoftCrossEntropy {
    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    #[inline(always)]
    fn terms<S: Simd>(&self, simd: S, classes: usize, of: &Classes<S>) -> Terms<S> {
        let smoothing = f64::from(self.label_smoothing);
        let uniform = S::f64s::splat(simd, smoothing / classes as f64);
        let a = of.weight * of.t.mul_add(S::f64s::splat(simd, 1.0 - smoothing), uniform);
        Terms { loss: times(simd, a, of.surprisal), slope: -a }
    }
}

impl CpuLoss for SoftCrossEntropy {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
