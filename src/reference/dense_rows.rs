//! Losses of rows against one value a logit, where a softmax couples the logits of a row.

use super::Evaluation;
use super::reduce::{weight, weighted};
use super::row::{Row, Scale};
use super::targets::{dense_target, dense_targets};
use crate::{Batch, Definition, Unit};

/// What a loss says of one finite row, without the row's weight.
pub(super) struct RowLosses {
    /// One loss, or one a class where [`Unit::Element`] says so.
    pub(super) losses: Vec<f64>,
    /// Shape (classes): derivative of the sum of `losses` by each scaled logit `y`.
    pub(super) gradient: Vec<f64>,
}

/// Evaluates every row with `row_losses(row, targets)`, which is none for a non-finite row, and reduces.
pub(super) fn evaluate(
    definition: &Definition<'_>,
    batch: &Batch<'_>,
    scale: Scale,
    row_losses: impl Fn(&Row, &[f64]) -> Option<RowLosses>,
) -> Evaluation {
    let classes = batch.layout.classes() as usize;
    let losses_per_row = if definition.unit == Unit::Element { classes } else { 1 };
    let mut out = Evaluation::new(definition, batch);
    for r in 0..batch.layout.rows() {
        let row = Row::of(batch, r, scale);
        let result = row_losses(&row, &dense_target(dense_targets(batch), batch, r)).unwrap_or_else(|| {
            (0..losses_per_row).for_each(|_| out.count_non_finite(r));
            RowLosses { losses: vec![f64::NAN; losses_per_row], gradient: vec![f64::NAN; classes] }
        });
        let row_weight = weight(batch.row_weights, r as usize);
        for (class, loss) in (0..).zip(&result.losses) {
            let unit = if definition.unit == Unit::Element {
                batch.layout.contiguous().element(r, class) as usize
            } else {
                r as usize
            };
            out.losses[unit] = weighted(row_weight, *loss);
        }
        for (class, g) in result.gradient.iter().enumerate() {
            let element = batch.layout.element(r, class as u32) as usize;
            out.gradient[element] = weighted(row_weight, *g) * row.slope(class);
        }
    }
    out.reduce(definition.reduction, &batch.layout);
    out
}
