//! Binary cross-entropy from logits, in float64.

use super::elements::{self, ElementLoss};
use super::math::{sigmoid, softplus};
use super::reduce::{weight, weighted};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, BceWithLogits, Loss, Result};

/// [`BceWithLogits`] of a batch, literally.
impl ReferenceLoss for BceWithLogits {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        Ok(elements::evaluate(&self.definition(), batch, |x, t, class| {
            bce_with_logits(x, t, weight(batch.pos_weights, class))
        }))
    }
}

/// For a logit `x`, target `t` and positive weight `q`:
///
/// ```text
/// loss     = q * t * softplus(-x)  +  (1 - t) * softplus(x)
/// dloss/dx = (1 - t) * sigmoid(x)  -  q * t * sigmoid(-x)
/// ```
///
/// A term whose factor is 0 is 0 even at an infinite logit.
pub(super) fn bce_with_logits(x: f64, t: f64, pos_weight: f64) -> ElementLoss {
    let (positive, negative) = (pos_weight * t, 1.0 - t);
    ElementLoss {
        loss: weighted(positive, softplus(-x)) + weighted(negative, softplus(x)),
        gradient: negative * sigmoid(x) - positive * sigmoid(-x),
    }
}
