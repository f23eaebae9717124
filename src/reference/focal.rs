//! Focal loss over a softmax, in float64.

use super::class_rows::{self, RowLoss, at_target};
use super::reduce::weight;
use super::row::Scale;
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Focal, Loss, Result};

/// [`Focal`] of a batch, literally.
///
/// For a row of logits `y = softcap * tanh(x / softcap) / temperature` with target `t` and `p = softmax(y)`:
///
/// ```text
/// loss        = row_weight * ( w_t * (1 - p_t)^gamma * -log p_t  +  z_loss * lse(y)^2 )
/// dloss/dy_j  = row_weight * ( w_t * (p_j - [j = t])
///                              * ( (1 - p_t)^gamma  +  gamma * (1 - p_t)^(gamma - 1) * p_t * -log p_t )
///                              +  2 * z_loss * lse(y) * p_j )
/// ```
///
/// The first part of the derivative is 0 where `p_t` is 1, its limit for every `gamma`.
impl ReferenceLoss for Focal {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let gamma = f64::from(self.gamma);
        let scale = Scale::new(self.softcap, self.temperature);
        class_rows::evaluate(&self.definition(), batch, scale, |row, target| {
            row.is_finite().then(|| {
                let factors = at_target(row.classes(), target, weight(batch.class_weights, target));
                let mut loss = row.focal(&factors, gamma);
                let mut gradient = row.focal_gradient(&factors, gamma);
                row.add_z_loss(self.z_loss, &mut loss, &mut gradient);
                RowLoss { loss, log_prob: -row.surprisal(target), gradient }
            })
        })
    }
}
