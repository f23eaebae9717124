//! Losses of every logit on its own.

use super::Evaluation;
use super::reduce::{weight, weighted};
use super::targets::dense_targets;
use crate::{Batch, Definition};

/// What a loss says of one logit, without weights.
pub(super) struct ElementLoss {
    pub(super) loss: f64,
    /// Derivative of `loss` by the logit.
    pub(super) gradient: f64,
}

impl ElementLoss {
    pub(super) const NAN: Self = Self { loss: f64::NAN, gradient: f64::NAN };
}

/// Evaluates every logit that is not NaN with `element_loss(logit, target, class)`, and reduces.
pub(super) fn evaluate(
    definition: &Definition<'_>,
    batch: &Batch<'_>,
    element_loss: impl Fn(f64, f64, usize) -> ElementLoss,
) -> Evaluation {
    let (targets, contiguous) = (dense_targets(batch), batch.layout.contiguous());
    let mut out = Evaluation::new(definition, batch);
    for row in 0..batch.layout.rows() {
        for class in 0..batch.layout.classes() {
            let unit = contiguous.element(row, class) as usize;
            let x = f64::from(batch.logit(row, class));
            let result =
                if x.is_nan() { ElementLoss::NAN } else { element_loss(x, targets[unit].into(), class as usize) };
            if result.loss.is_nan() {
                out.count_non_finite(row);
            }
            let w = weight(batch.row_weights, row as usize) * weight(batch.class_weights, class as usize);
            out.losses[unit] = weighted(w, result.loss);
            out.gradient[batch.layout.element(row, class) as usize] = weighted(w, result.gradient);
        }
    }
    out.reduce(definition.reduction, &batch.layout);
    out
}
