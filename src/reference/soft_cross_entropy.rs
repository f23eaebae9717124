//! Categorical cross-entropy against class probabilities, in float64.

use super::dense_rows::{self, RowLosses};
use super::reduce::weight;
use super::row::{Row, Scale};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, Result, SoftCrossEntropy};

/// [`SoftCrossEntropy`] of a batch, literally.
///
/// For a row of logits `y = softcap * tanh(x / softcap) / temperature` with targets `t`, `p = softmax(y)` and label smoothing
/// `e`:
///
/// ```text
/// a_c         = w_c * ( (1 - e) * t_c  +  e/K )
/// loss        = row_weight * ( sum_c a_c * -log p_c  +  z_loss * lse(y)^2 )
/// dloss/dy_j  = row_weight * ( sum_c a_c * (p_j - [j = c])  +  2 * z_loss * lse(y) * p_j )
/// ```
///
/// A term whose factor is 0 is 0 even if its log-probability is -inf.
impl ReferenceLoss for SoftCrossEntropy {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let scale = Scale::new(self.softcap, self.temperature);
        Ok(dense_rows::evaluate(&self.definition(), batch, scale, |row, targets| {
            row.is_finite().then(|| row_loss(self, batch.class_weights, row, targets))
        }))
    }
}

fn row_loss(options: &SoftCrossEntropy, class_weights: Option<&[f32]>, row: &Row, targets: &[f64]) -> RowLosses {
    let smoothing = f64::from(options.label_smoothing);
    let uniform = smoothing / row.classes() as f64;
    let factor = |(c, t): (usize, &f64)| weight(class_weights, c) * ((1.0 - smoothing) * t + uniform);
    let factors: Vec<f64> = targets.iter().enumerate().map(factor).collect();
    let mut loss = row.cross_entropy(&factors);
    let mut gradient = row.cross_entropy_gradient(&factors);
    row.add_z_loss(options.z_loss, &mut loss, &mut gradient);
    RowLosses { losses: vec![loss], gradient }
}
