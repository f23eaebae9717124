//! Mean squared error, in float64.

use super::elements::{self, ElementLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, Mse, Result};

/// [`Mse`] of a batch, literally: `(x - t)^2` and `2 * (x - t)`.
impl ReferenceLoss for Mse {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        Ok(elements::evaluate(&self.definition(), batch, |x, t, _| ElementLoss {
            loss: (x - t).powi(2),
            gradient: 2.0 * (x - t),
        }))
    }
}
