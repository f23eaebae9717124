//! Kullback-Leibler divergence of a softmax from a target distribution on the CPU.

use super::dense_rows::{self, Classes, DenseLoss, RowScale, Terms};
use super::simd::Simd;
use super::simd::exp64::exponentials;
use super::simd::log64::logarithms;
use super::wide::times;
use super::{CpuLoss, Job, Outcome};
use crate::{KlDiv, Result};

/// `t_c * (log t_c - log p_c)`.
impl DenseLoss for KlDiv {
    fn scale(&self) -> RowScale {
        RowScale { softcap: self.softcap, temperature: self.temperature, z_loss: self.z_loss }
    }

    fn no_target(&self) -> f32 {
        if self.log_target { f32::NEG_INFINITY } else { 0.0 }
    }

    #[inline(always)]
    fn terms<S: Simd>(&self, simd: S, _: usize, of: &Classes<S>) -> Terms<S> {
        let (t, log) = if self.log_target { (exponentials(simd, of.t), of.t) } else { (of.t, logarithms(simd, of.t)) };
        Terms { loss: times(simd, t, log + of.surprisal), slope: -t }
    }
}

impl CpuLoss for KlDiv {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        dense_rows::run(self, job)
    }
}
