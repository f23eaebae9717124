//! Weights, and how losses become one number.

use super::Evaluation;
use crate::{Batch, Definition, Layout, Mean, Reduction};

/// Weight `i`; 1 where there are no weights.
pub(super) fn weight(weights: Option<&[f32]>, i: usize) -> f64 {
    weights.map_or(1.0, |weights| f64::from(weights[i]))
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
pub(super) fn weighted(weight: f64, term: f64) -> f64 {
    if weight == 0.0 && term.is_infinite() { 0.0 } else { weight * term }
}

impl Evaluation {
    /// An evaluation to fill in: every loss and gradient 0, and the weight sum of a mean over units.
    pub(super) fn new(definition: &Definition<'_>, batch: &Batch<'_>) -> Self {
        let units = definition.unit.count(&batch.layout);
        Self {
            loss: 0.0,
            losses: vec![0.0; units as usize],
            gradient: vec![0.0; batch.logits.len()],
            weight_sum: if definition.mean == Mean::Units { units as f64 } else { 0.0 },
            lse: Vec::new(),
            log_prob: Vec::new(),
            argmax: Vec::new(),
            rank: Vec::new(),
            ignored: 0,
            first_ignored: None,
            non_finite: 0,
            first_non_finite: None,
        }
    }

    /// Counts an ignored row; rows come in their order.
    pub(super) fn ignore(&mut self, row: u32) {
        self.ignored += 1;
        self.first_ignored.get_or_insert(row);
    }

    /// Counts a row that is not finite, or one of its elements; rows come in their order.
    pub(super) fn count_non_finite(&mut self, row: u32) {
        self.non_finite += 1;
        self.first_non_finite.get_or_insert(row);
    }

    /// Sets `loss`, and makes the gradient, which was that of the sum of `losses`, that of `loss`.
    pub(super) fn reduce(&mut self, reduction: Reduction, layout: &Layout) {
        let denominator = match reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Mean | Reduction::MeanOrZero => self.weight_sum,
            Reduction::BatchMean => f64::from(layout.outer()),
            Reduction::MeanOver(denominator) => f64::from(denominator),
        };
        if denominator == 0.0 {
            let is_zero = reduction == Reduction::MeanOrZero && self.non_finite == 0;
            self.loss = if is_zero { 0.0 } else { f64::NAN };
            self.gradient.fill(0.0);
        } else {
            self.loss = self.losses.iter().fold(0.0, |sum, loss| sum + loss) / denominator;
            self.gradient.iter_mut().for_each(|g| *g /= denominator);
        }
    }
}
