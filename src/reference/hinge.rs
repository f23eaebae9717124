//! Binary hinge loss, in float64.

use super::elements::{self, ElementLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Hinge, Loss, Result};

/// [`Hinge`] of a batch, literally: with `v = margin - y * x`, `v` and `-y` where `v > 0`, else 0 and 0.
impl ReferenceLoss for Hinge {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        Ok(elements::evaluate(&self.definition(), batch, |x, y, _| {
            let violation = f64::from(self.margin) - y * x;
            if violation > 0.0 {
                ElementLoss { loss: violation, gradient: -y }
            } else {
                ElementLoss { loss: 0.0, gradient: 0.0 }
            }
        }))
    }
}
