//! Binary hinge loss, in float64.

use super::elements::{self, ElementLoss};
use super::targets::Domain;
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Hinge, Loss, Result};

/// A label of -1 or +1.
pub(super) const LABEL: Domain =
    Domain { tensor: "target", words: "-1 or +1", contains: |value| value == -1.0 || value == 1.0 };

/// [`Hinge`] of a batch, literally: with `v = margin - y * x`, `v` and `-y` where `v > 0`, else 0 and 0.
impl ReferenceLoss for Hinge {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        LABEL.check_targets(batch)?;
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
