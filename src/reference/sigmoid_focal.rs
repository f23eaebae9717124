//! Focal loss over sigmoids, in float64.

use super::bce_with_logits::bce_with_logits;
use super::elements::{self, ElementLoss};
use super::math::sigmoid;
use super::reduce::weighted;
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, Result, SigmoidFocal};

/// [`SigmoidFocal`] of a batch, literally: `alpha_t = alpha * t + (1 - alpha) * (1 - t)` times the loss without alpha.
impl ReferenceLoss for SigmoidFocal {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let alpha = self.alpha.map(f64::from);
        Ok(elements::evaluate(&self.definition(), batch, |x, t, _| {
            let alpha = alpha.map_or(1.0, |alpha| alpha * t + (1.0 - alpha) * (1.0 - t));
            let ElementLoss { loss, gradient } = sigmoid_focal(x, t, self.gamma.into());
            ElementLoss { loss: weighted(alpha, loss), gradient: alpha * gradient }
        }))
    }
}

/// For a logit `x`, target `t` and `p = sigmoid(x)`:
///
/// ```text
/// ce       = t * softplus(-x)  +  (1 - t) * softplus(x),    dce/dx   = (1 - t) * p  -  t * (1 - p)
/// miss     = p * (1 - t)  +  (1 - p) * t,                   dmiss/dx = (1 - 2 * t) * p * (1 - p)
/// loss     = miss^gamma * ce
/// dloss/dx = miss^gamma * dce/dx  +  gamma * miss^(gamma - 1) * dmiss/dx * ce
/// ```
///
/// The derivative is 0 where `miss` is 0, its limit for every `gamma`.
pub(super) fn sigmoid_focal(x: f64, t: f64, gamma: f64) -> ElementLoss {
    let ce = bce_with_logits(x, t, 1.0);
    let (p, not_p) = (sigmoid(x), sigmoid(-x));
    let miss = p * (1.0 - t) + not_p * t;
    let miss_by_x = (1.0 - 2.0 * t) * p * not_p;
    let gradient = if miss == 0.0 {
        0.0
    } else {
        miss.powf(gamma) * ce.gradient + gamma * miss.powf(gamma - 1.0) * weighted(miss_by_x, ce.loss)
    };
    ElementLoss { loss: weighted(miss.powf(gamma), ce.loss), gradient }
}
