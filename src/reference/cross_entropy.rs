//! Categorical cross-entropy against class indices, in float64.

use super::class_rows::{self, RowLoss};
use super::reduce::weight;
use super::row::{Row, Scale};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, CrossEntropy, Loss, Result};

/// [`CrossEntropy`] of a batch, literally.
///
/// For a row of logits `y = softcap * tanh(x / softcap) / temperature` with target `t`, `p = softmax(y)` and label smoothing
/// `e`:
///
/// ```text
/// a_c         = (1 - e) * w_t * [c = t]  +  e/K * w_c
/// loss        = row_weight * ( sum_c a_c * -log p_c  +  z_loss * lse(y)^2 )
/// dloss/dy_j  = row_weight * ( sum_c a_c * (p_j - [j = c])  +  2 * z_loss * lse(y) * p_j )
/// dy/dx       = sech^2(x / softcap) / temperature
/// ```
///
/// A term whose factor is 0 is 0 even if its log-probability is -inf.
impl ReferenceLoss for CrossEntropy {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        class_rows::evaluate(&self.definition(), batch, Scale::new(self.softcap, self.temperature), |row, target| {
            row.is_finite().then(|| row_loss(self, batch.class_weights, row, target))
        })
    }
}

fn row_loss(options: &CrossEntropy, class_weights: Option<&[f32]>, row: &Row, target: usize) -> RowLoss {
    let smoothing = f64::from(options.label_smoothing);
    let uniform = smoothing / row.classes() as f64;
    let factor = |c| {
        let on_target = if c == target { 1.0 - smoothing } else { 0.0 };
        (on_target + uniform) * weight(class_weights, c)
    };
    let factors: Vec<f64> = (0..row.classes()).map(factor).collect();
    let mut loss = row.cross_entropy(&factors);
    let mut gradient = row.cross_entropy_gradient(&factors);
    row.add_z_loss(options.z_loss, &mut loss, &mut gradient);
    RowLoss { loss, log_prob: -row.surprisal(target), gradient }
}
