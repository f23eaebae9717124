//! Losses of rows against class indices.

use super::Evaluation;
use super::reduce::{weight, weighted};
use super::row::{Row, Scale};
use super::targets::class_targets;
use crate::{Batch, Definition, Mean, Result};

/// What a loss says of one finite row that counts, without the row's weight.
pub(super) struct RowLoss {
    pub(super) loss: f64,
    /// Log-probability of the target.
    pub(super) log_prob: f64,
    /// Shape (classes): derivative of `loss` by each scaled logit `y`.
    pub(super) gradient: Vec<f64>,
}

impl RowLoss {
    fn nan(classes: usize) -> Self {
        Self { loss: f64::NAN, log_prob: f64::NAN, gradient: vec![f64::NAN; classes] }
    }
}

/// Evaluates every row that counts with `row_loss(row, target)`, which is none for a non-finite row, and reduces.
pub(super) fn evaluate(
    definition: &Definition<'_>,
    batch: &Batch<'_>,
    scale: Scale,
    row_loss: impl Fn(&Row, usize) -> Option<RowLoss>,
) -> Result<Evaluation> {
    let mut out = Evaluation::new(definition, batch);
    for (r, target) in (0..).zip(class_targets(batch, definition.ignore_index)?) {
        let row = Row::of(batch, r, scale);
        out.lse.push(row.lse());
        out.argmax.push(row.argmax() as u32);
        let Some(target) = target else {
            out.ignore(r);
            out.log_prob.push(0.0);
            out.rank.push(u32::MAX);
            continue;
        };
        let row_weight = weight(batch.row_weights, r as usize);
        out.weight_sum += match definition.mean {
            Mean::Weights => row_weight * weight(batch.class_weights, target),
            Mean::Rows => row_weight,
            // Their number is known before the rows are.
            Mean::Units => 0.0,
        };
        let result = if let Some(result) = row_loss(&row, target) {
            out.rank.push(row.rank(target) as u32);
            result
        } else {
            out.count_non_finite(r);
            out.rank.push(u32::MAX);
            RowLoss::nan(row.classes())
        };
        out.losses[r as usize] = weighted(row_weight, result.loss);
        out.log_prob.push(result.log_prob);
        for (class, g) in result.gradient.iter().enumerate() {
            let element = batch.layout.element(r, class as u32) as usize;
            out.gradient[element] = weighted(row_weight, *g) * row.slope(class);
        }
    }
    out.reduce(definition.reduction, &batch.layout);
    Ok(out)
}

/// Shape (classes): `value` at the target, 0 elsewhere.
pub(super) fn at_target(classes: usize, target: usize, value: f64) -> Vec<f64> {
    let mut values = vec![0.0; classes];
    values[target] = value;
    values
}
