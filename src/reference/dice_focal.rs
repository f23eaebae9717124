//! Dice loss plus focal loss, in float64.

use super::combined::{self, PositionLoss, mean_over_classes};
use super::reduce::weight;
use super::row::{Row, Scale};
use super::sigmoid_focal::sigmoid_focal;
use super::{Evaluation, ReferenceLoss};
use crate::{Activation, Batch, DiceFocal, Result};

/// [`DiceFocal`] of a batch, literally.
///
/// Focal loss of a position with logits `x`, targets `t` and `p = softmax(x)` or `sigmoid(x)`:
///
/// ```text
/// loss = sum_c w_c * t_c * (1 - p_c)^gamma * -log p_c                                   softmax
/// loss = 1/K * sum_c w_c * (p_c * (1 - t_c) + (1 - p_c) * t_c)^gamma * bce(x_c, t_c)    sigmoid
/// ```
impl ReferenceLoss for DiceFocal {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let gamma = f64::from(self.gamma);
        let class_weight = |c| weight(batch.class_weights, c);
        combined::evaluate(&self.dice, self.lambda_dice, self.lambda_focal, batch, |x, t| match self.dice.activation {
            Activation::Softmax => {
                let row = Row::new(x, Scale::NONE);
                let factors: Vec<f64> = t.iter().enumerate().map(|(c, t)| class_weight(c) * t).collect();
                PositionLoss { loss: row.focal(&factors, gamma), gradient: row.focal_gradient(&factors, gamma) }
            }
            Activation::Sigmoid => {
                mean_over_classes((0..x.len()).map(|c| (class_weight(c), sigmoid_focal(x[c], t[c], gamma))))
            }
        })
    }
}
