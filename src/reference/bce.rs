//! Binary cross-entropy from probabilities, in float64.

use super::elements::{self, ElementLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Bce, Loss, Result};

/// [`Bce`] of a batch, literally.
///
/// For a probability `p` with target `t` and the weight `w` of its class and row:
///
/// ```text
/// loss     = w * -( t * max(log p, -100)  +  (1 - t) * max(log(1 - p), -100) )
/// dloss/dp = w * (p - t) / max(p * (1 - p), 1e-12)
/// ```
///
/// 1e-12 is the float32 next to it, as in PyTorch. NaN is not in [0, 1].
impl ReferenceLoss for Bce {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        Ok(elements::evaluate(&self.definition(), batch, |p, t, _| ElementLoss {
            loss: t * -p.ln().max(-100.0) + (1.0 - t) * -(-p).ln_1p().max(-100.0),
            gradient: (p - t) / (p * (1.0 - p)).max(1e-12_f32.into()),
        }))
    }
}
