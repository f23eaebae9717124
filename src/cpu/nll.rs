//! Negative log-likelihood from log-probabilities on the CPU.

use super::CpuLoss;
use super::row::{Outcome, Row, weighted};
use crate::Nll;

/// `loss = r * w_t * -x_t`, and its gradient is `-r * w_t` at the target and 0 elsewhere.
///
/// Only `x_t` is read: -inf there is a loss of +inf, NaN or +inf is not finite.
impl CpuLoss for Nll {
    fn row(&self, row: &Row<'_>, gradient: Option<&mut [f32]>) -> Option<Outcome> {
        let x_t = f64::from(row.logits[row.target]);
        if x_t.is_nan() || x_t == f64::INFINITY {
            return None;
        }
        let weight = row.row_weight * row.class_weights.of(row.target);
        if let Some(gradient) = gradient {
            gradient.fill(0.0);
            gradient[row.target] = (-weight * row.gradient_scale) as f32;
        }
        Some(Outcome { loss: weighted(weight, -x_t), lse: 0.0, log_prob: x_t })
    }

    fn lse(&self, _logits: &[f32]) -> f64 {
        0.0
    }
}
