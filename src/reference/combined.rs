//! Dice loss plus a loss of the positions.

use super::elements::ElementLoss;
use super::reduce::weighted;
use super::row::{Row, Scale, logits};
use super::targets::as_dense;
use super::{Evaluation, ReferenceLoss};
use crate::{Activation, Batch, Dice, Reduction, Result};

/// A loss of one position and its derivative by each of the position's logits.
pub(super) struct PositionLoss {
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
}

/// `lambda_dice * dice + lambda * position loss`, each reduced as `dice` says: the mean of the second is over the positions
/// that count.
pub(super) fn evaluate(
    dice: &Dice,
    lambda_dice: f32,
    lambda: f32,
    batch: &Batch<'_>,
    position_loss: impl Fn(&[f64], &[f64]) -> PositionLoss,
) -> Result<Evaluation> {
    let (lambda_dice, lambda) = (f64::from(lambda_dice), f64::from(lambda));
    let mut out = dice.reference(batch)?;
    (out.non_finite, out.first_non_finite) = (0, None);

    let mut sum = 0.0;
    let mut gradient = vec![0.0; out.gradient.len()];
    for (row, target) in (0..).zip(as_dense(batch, &dice.ignore_index)?) {
        let Some(target) = target else { continue };
        let x = logits(batch, row);
        let result = if is_finite(&x, dice.activation) {
            position_loss(&x, &target)
        } else {
            out.count_non_finite(row);
            PositionLoss { loss: f64::NAN, gradient: vec![f64::NAN; x.len()] }
        };
        sum += result.loss;
        for (class, g) in (0..).zip(result.gradient) {
            gradient[batch.layout.element(row, class) as usize] = g;
        }
    }
    let denominator =
        if dice.reduction == Reduction::Mean { f64::from(batch.layout.rows() - out.ignored) } else { 1.0 };

    // Without a position there is no gradient either, and the mean is 0/0.
    out.loss = weighted(lambda_dice, out.loss) + weighted(lambda, sum / denominator);
    out.losses.iter_mut().for_each(|loss| *loss = weighted(lambda_dice, *loss));
    for (out, g) in out.gradient.iter_mut().zip(gradient) {
        *out = weighted(lambda_dice, *out) + if g == 0.0 { 0.0 } else { weighted(lambda, g / denominator) };
    }
    Ok(out)
}

fn is_finite(logits: &[f64], activation: Activation) -> bool {
    match activation {
        Activation::Softmax => Row::new(logits, Scale::NONE).is_finite(),
        Activation::Sigmoid => !logits.iter().any(|x| x.is_nan()),
    }
}

/// `1/K * sum_c w_c * loss(x_c, t_c)`: the loss of a position whose classes are decisions of their own.
pub(super) fn mean_over_classes(terms: impl ExactSizeIterator<Item = (f64, ElementLoss)>) -> PositionLoss {
    let classes = terms.len() as f64;
    let mut out = PositionLoss { loss: 0.0, gradient: Vec::new() };
    for (weight, term) in terms {
        out.loss += weighted(weight, term.loss) / classes;
        out.gradient.push(weighted(weight, term.gradient) / classes);
    }
    out
}
