//! Dice loss plus cross-entropy, in float64.

use super::bce_with_logits::bce_with_logits;
use super::combined::{self, PositionLoss, mean_over_classes};
use super::reduce::weight;
use super::row::{Row, Scale};
use super::{Evaluation, ReferenceLoss};
use crate::{Activation, Batch, DiceCrossEntropy, Result};

/// [`DiceCrossEntropy`] of a batch, literally.
///
/// Cross-entropy of a position with logits `x`, targets `t` and `p = softmax(x)`:
///
/// ```text
/// loss = sum_c w_c * t_c * -log p_c,               dloss/dx_j = sum_c w_c * t_c * (p_j - [j = c])
/// loss = 1/K * sum_c w_c * bce(x_c, t_c),          dloss/dx_j = w_j / K * (sigmoid(x_j) - t_j)        sigmoid
/// ```
impl ReferenceLoss for DiceCrossEntropy {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let class_weight = |c| weight(batch.class_weights, c);
        combined::evaluate(&self.dice, self.lambda_dice, self.lambda_cross_entropy, batch, |x, t| {
            match self.dice.activation {
                Activation::Softmax => {
                    let row = Row::new(x, Scale::NONE);
                    let factors: Vec<f64> = t.iter().enumerate().map(|(c, t)| class_weight(c) * t).collect();
                    PositionLoss { loss: row.cross_entropy(&factors), gradient: row.cross_entropy_gradient(&factors) }
                }
                Activation::Sigmoid => {
                    mean_over_classes((0..x.len()).map(|c| (class_weight(c), bce_with_logits(x[c], t[c], 1.0))))
                }
            }
        })
    }
}
