//! Kullback-Leibler divergence of a softmax from a target distribution, in float64.

use super::dense_rows::{self, RowLosses};
use super::reduce::weighted;
use super::row::{Row, Scale};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, KlDiv, Loss, Result};

/// [`KlDiv`] of a batch, literally.
///
/// For a row of K logits `y = softcap * tanh(x / softcap) / temperature` with targets `t`, or `t = exp(target)`, and
/// `p = softmax(y)`:
///
/// ```text
/// loss_c             = row_weight * ( t_c * (log t_c - log p_c)  +  z_loss / K * lse(y)^2 )
/// d(sum loss_c)/dy_j = row_weight * ( sum_c t_c * (p_j - [j = c])  +  2 * z_loss * lse(y) * p_j )
/// ```
///
/// Where `t_c` is 0 the first term is 0, even if `p_c` is 0 too. The terms of a row have either sign: where the targets are
/// nearly `p`, the sum is accurate to a few roundings of the targets, as PyTorch's is.
impl ReferenceLoss for KlDiv {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let scale = Scale::new(self.softcap, self.temperature);
        Ok(dense_rows::evaluate(&self.definition(), batch, scale, |row, targets| {
            row.is_finite().then(|| row_losses(self, row, targets))
        }))
    }
}

fn row_losses(options: &KlDiv, row: &Row, targets: &[f64]) -> RowLosses {
    let (mut z_loss, mut z_gradient) = (0.0, vec![0.0; row.classes()]);
    row.add_z_loss(options.z_loss, &mut z_loss, &mut z_gradient);

    let log = |&t: &f64| if options.log_target { t } else { t.ln() };
    let probabilities: Vec<f64> = targets.iter().map(|&t| if options.log_target { t.exp() } else { t }).collect();
    let term = |(c, t): (usize, &f64)| match probabilities[c] {
        0.0 => 0.0,
        probability => weighted(probability, log(t) + row.surprisal(c)),
    };
    let share = z_loss / row.classes() as f64;
    let losses = targets.iter().enumerate().map(|target| term(target) + share).collect();

    let gradient = row.cross_entropy_gradient(&probabilities);
    RowLosses { losses, gradient: gradient.iter().zip(z_gradient).map(|(g, z)| g + z).collect() }
}
