//! Losses of regions: how far predictions and targets overlap.

use super::Evaluation;
use super::math::{sigmoid, through_softmax};
use super::row::{Row, Scale, logits};
use super::targets::as_dense;
use crate::{Activation, Batch, Definition, Result, Unit};

/// Sums over the positions of a class in a sample; or the derivatives of a loss by them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overlap {
    /// `sum p * t`.
    pub(super) tp: f64,
    /// `sum p * (1 - t)`.
    pub(super) fp: f64,
    /// `sum (1 - p) * t`.
    pub(super) fn_: f64,
    /// `sum (p - t)^2`.
    pub(super) squares: f64,
    /// `sum t`, by which nothing is derived.
    pub(super) targets: f64,
}

/// What a loss says of one region.
pub(super) struct RegionLoss {
    pub(super) loss: f64,
    /// Derivative of `loss` by the overlap of each class of the region.
    pub(super) gradient: Vec<Overlap>,
}

/// A prediction `p` and `1 - p`.
#[derive(Clone, Copy)]
struct Prediction {
    p: f64,
    miss: f64,
}

impl Prediction {
    /// Shape (classes): the predictions of a position.
    fn of(logits: &[f64], activation: Activation) -> Vec<Self> {
        match activation {
            Activation::Softmax => {
                let row = Row::new(logits, Scale::NONE);
                let of_class = |c| match row.is_finite() {
                    true => Self { p: row.probability(c), miss: row.complement(c) },
                    false => Self { p: f64::NAN, miss: f64::NAN },
                };
                (0..logits.len()).map(of_class).collect()
            }
            Activation::Sigmoid => logits.iter().map(|&x| Self { p: sigmoid(x), miss: sigmoid(-x) }).collect(),
        }
    }

    /// `p - t`, without loss of digits where both are 0 or both are 1.
    fn excess(self, t: f64) -> f64 {
        self.p * (1.0 - t) - self.miss * t
    }
}

/// Evaluates every region with `region_loss(first class, overlap of each class)`, and reduces.
///
/// Positions with an ignored target are in no region. A derivative by the overlaps becomes one by the logits in two steps:
///
/// ```text
/// dloss/dp_c = dloss/dtp * t + dloss/dfp * (1 - t) - dloss/dfn * t + dloss/dsquares * 2 * (p - t)
/// dloss/dx_j = p_j * (dloss/dp_j - sum_c p_c * dloss/dp_c)  (softmax),   dloss/dp_j * p_j * (1 - p_j)  (sigmoid)
/// ```
pub(super) fn evaluate(
    definition: &Definition<'_>,
    activation: Activation,
    batch: &Batch<'_>,
    region_loss: impl Fn(usize, &[Overlap]) -> RegionLoss,
) -> Result<Evaluation> {
    let Unit::Region(regions) = definition.unit else { unreachable!("{} is a loss of regions", definition.name) };
    let layout = batch.layout;
    let targets = as_dense(batch, definition.ignore_index)?;
    let predictions: Vec<_> = (0..layout.rows()).map(|row| Prediction::of(&logits(batch, row), activation)).collect();
    let classes = usize::from(regions.without_background).min(layout.classes() as usize)..layout.classes() as usize;
    let sample = |row: u32| if regions.samples_together { 0 } else { (row / layout.inner()) as usize };
    let (samples, regions_per_sample) = regions.shape(&layout);

    let mut out = Evaluation::new(definition, batch);
    let mut overlaps = vec![vec![Overlap::default(); classes.len()]; samples as usize];
    for (row, (t, p)) in (0..).zip(targets.iter().zip(&predictions)) {
        let Some(t) = t else {
            out.ignore(row);
            continue;
        };
        let in_regions = || p[classes.clone()].iter().zip(&t[classes.clone()]);
        for (overlap, (&p, &t)) in overlaps[sample(row)].iter_mut().zip(in_regions()) {
            overlap.add(p, t);
        }
        if in_regions().any(|(p, _)| p.p.is_nan()) {
            out.count_non_finite(row);
        }
    }

    let classes_per_region = if regions.classes_together { classes.len() } else { 1 };
    let mut derivatives: Vec<Vec<Overlap>> = Vec::new();
    for (s, overlaps) in overlaps.iter().enumerate() {
        let mut of_sample = Vec::new();
        for region in 0..regions_per_sample as usize {
            let first = region * classes_per_region;
            let result = region_loss(classes.start + first, &overlaps[first..first + classes_per_region]);
            out.losses[s * regions_per_sample as usize + region] = result.loss;
            of_sample.extend(result.gradient);
        }
        derivatives.push(of_sample);
    }

    for (row, (t, p)) in (0..).zip(targets.iter().zip(&predictions)) {
        let Some(t) = t else { continue };
        let mut by_prediction = vec![0.0; p.len()];
        for (c, derivative) in classes.clone().zip(&derivatives[sample(row)]) {
            by_prediction[c] = derivative.by_prediction(p[c], t[c]);
        }
        for (class, g) in (0..).zip(by_logit(&by_prediction, p, activation)) {
            out.gradient[layout.element(row, class) as usize] = g;
        }
    }
    out.reduce(definition.reduction, &layout);
    Ok(out)
}

impl Overlap {
    fn add(&mut self, p: Prediction, t: f64) {
        self.tp += p.p * t;
        self.fp += p.p * (1.0 - t);
        self.fn_ += p.miss * t;
        self.squares += p.excess(t).powi(2);
        self.targets += t;
    }

    /// `dloss/dp` at one position, where `self` is the derivative by the overlap.
    fn by_prediction(&self, p: Prediction, t: f64) -> f64 {
        self.tp * t + self.fp * (1.0 - t) - self.fn_ * t + self.squares * 2.0 * p.excess(t)
    }
}

/// Derivative by each logit of a position, from that by each prediction.
fn by_logit(by_prediction: &[f64], p: &[Prediction], activation: Activation) -> Vec<f64> {
    match activation {
        Activation::Sigmoid => {
            // Not even a NaN of the background reaches a loss without it.
            let by_logit = |(p, g): (&Prediction, &f64)| if *g == 0.0 { 0.0 } else { g * p.p * p.miss };
            p.iter().zip(by_prediction).map(by_logit).collect()
        }
        // Nor is a logit of -inf left out where its position's regions are spoilt.
        Activation::Softmax if by_prediction.iter().any(|g| g.is_nan()) => vec![f64::NAN; p.len()],
        Activation::Softmax => through_softmax(&p.iter().map(|p| p.p).collect::<Vec<_>>(), by_prediction),
    }
}
