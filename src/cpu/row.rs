//! What the engine hands to a loss, and gets back.

use crate::totals::PairwiseSum;

/// One row that counts.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Shape (classes).
    pub(super) logits: &'a [f32],
    /// Class of the target, below the number of classes.
    pub(super) target: usize,
    pub(super) class_weights: ClassWeights<'a>,
    pub(super) row_weight: f64,
    /// One over the denominator of the reduction.
    pub(super) gradient_scale: f64,
}

/// What a loss says of a row.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Loss in nats, weights included.
    pub(super) loss: f64,
    /// Log-partition in nats, as in [`Details`](crate::Details).
    pub(super) lse: f64,
    /// Log-probability of the target in nats.
    pub(super) log_prob: f64,
}

/// Weight of each class, and their sum.
#[derive(Debug, Clone, Copy)]
pub struct ClassWeights<'a> {
    values: Option<&'a [f32]>,
    sum: f64,
}

impl<'a> ClassWeights<'a> {
    pub(super) fn new(values: Option<&'a [f32]>, classes: u32) -> Self {
        let total = |values: &[f32]| {
            let mut sum = PairwiseSum::default();
            values.iter().for_each(|&w| sum.push(w.into()));
            sum.total()
        };
        Self { values, sum: values.map_or(classes.into(), total) }
    }

    /// Shape (classes); none where every weight is 1.
    pub(super) const fn values(&self) -> Option<&'a [f32]> {
        self.values
    }

    pub(super) fn of(&self, class: usize) -> f64 {
        self.values.map_or(1.0, |w| w[class].into())
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
pub(super) fn weighted(weight: f64, term: f64) -> f64 {
    if weight == 0.0 && term.is_infinite() { 0.0 } else { weight * term }
}
