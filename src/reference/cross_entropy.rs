//! Categorical cross-entropy against class indices, in float64.

use super::{Evaluation, ReferenceLoss, Row, RowLoss, evaluate_rows, weight, weighted};
use crate::{Batch, CrossEntropy, Result};

/// [`CrossEntropy`] of a batch, literally.
///
/// For a row of logits `y = x / temperature` with target `t`, `p = softmax(y)` and label smoothing `e`:
///
/// ```text
/// loss        = row_weight * ( (1 - e) * w_t * -log p_t  +  e/K * sum_c w_c * -log p_c  +  z_loss * lse(y)^2 )
/// dloss/dx_j  = row_weight / temperature
///               * ( (1 - e) * w_t * (p_j - [j = t])  +  e/K * (p_j * sum_c w_c - w_j)  +  2 * z_loss * lse(y) * p_j )
/// ```
///
/// A term whose factor is 0 is 0 even if its log-probability is -inf.
impl ReferenceLoss for CrossEntropy {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let temperature = f64::from(self.temperature);
        evaluate_rows(batch, &self.ignore_index, self.reduction, temperature, |row, target| {
            row.is_finite().then(|| row_loss(self, batch.class_weights, row, target))
        })
    }
}

fn row_loss(options: &CrossEntropy, class_weights: Option<&[f32]>, row: &Row, target: usize) -> RowLoss {
    let classes = row.classes();
    let smoothing = f64::from(options.label_smoothing);
    let z_loss = f64::from(options.z_loss);
    let uniform = smoothing / classes as f64;
    let on_target = (1.0 - smoothing) * weight(class_weights, target);
    let class_weight = |c| weight(class_weights, c);

    let nll = weighted(on_target, row.surprisal(target));
    let smooth = (0..classes).fold(0.0, |sum, c| sum + weighted(uniform * class_weight(c), row.surprisal(c)));
    let loss = nll + smooth + z_loss * row.lse().powi(2);

    let class_weight_sum = (0..classes).fold(0.0, |sum, c| sum + class_weight(c));
    let gradient = (0..classes).map(|j| {
        let p = row.probability(j);
        // p_t - 1 as -(1 - p_t), which a confident row needs.
        let nll = on_target * if j == target { -row.complement(j) } else { p };
        let smooth = uniform * (p * class_weight_sum - class_weight(j));
        nll + smooth + 2.0 * z_loss * row.lse() * p
    });
    RowLoss { loss, log_prob: -row.surprisal(target), gradient: gradient.collect() }
}
