//! Squared binary hinge loss, in float64.

use super::elements::{self, ElementLoss};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Loss, Result, SquaredHinge};

/// [`SquaredHinge`] of a batch, literally: with `v = max(0, margin - y * x)`, `v^2` and `-2 * y * v`.
impl ReferenceLoss for SquaredHinge {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        Ok(elements::evaluate(&self.definition(), batch, |x, y, _| {
            let violation = (f64::from(self.margin) - y * x).max(0.0);
            ElementLoss { loss: violation.powi(2), gradient: -2.0 * y * violation }
        }))
    }
}
