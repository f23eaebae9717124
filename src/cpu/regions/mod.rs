//! Losses of regions: how far predictions and targets overlap.
//!
//! A first pass adds up the overlaps, region by region; the losses are functions of those; a second pass turns their derivatives
//! into the gradient. Both are in float64.

mod gradient;
mod position;
mod sums;
mod tile;

pub(super) use position::PositionLoss;

use std::ops::Range;

use super::survey::tree_sum;
use super::tensor::Tensor;
use super::wide::{MAX_WIDE, weighted};
use super::{Job, Outcome};
use crate::{Activation, Logits, Reduction, Regions, Result, Targets, Unit};
use gradient::Gradients;
use sums::Sums;

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

impl Overlap {
    /// How many sums these are.
    const SUMS: usize = 5;

    fn add(&mut self, other: &Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.fn_ += other.fn_;
        self.squares += other.squares;
        self.targets += other.targets;
    }
}

impl From<[f64; Overlap::SUMS]> for Overlap {
    fn from([tp, fp, fn_, squares, targets]: [f64; Self::SUMS]) -> Self {
        Self { tp, fp, fn_, squares, targets }
    }
}

/// A loss of regions.
pub(super) trait RegionLoss: Sync {
    fn activation(&self) -> Activation;

    /// The loss of a region, given the overlap of each of its classes from `first` on; these become the derivatives by them.
    fn region(&self, class_weight: impl Fn(usize) -> f64, first: usize, overlaps: &mut [Overlap]) -> f64;

    /// Factor of the loss of regions, and that of the positions with its factor.
    fn position(&self) -> (f64, Option<(f64, PositionLoss)>) {
        (1.0, None)
    }
}

/// What the batch's positions have in common.
struct Context<'a> {
    activation: Activation,
    /// The loss of the positions, with its factor.
    position: Option<(f64, PositionLoss)>,
    job: &'a Job<'a>,
    targets: Option<Tensor<'a>>,
    regions: Regions,
    /// Classes that are in regions.
    classes: Range<usize>,
}

/// Logits of a part, about.
const PART: usize = 1 << 14;

/// Evaluates a loss of regions.
pub(super) fn run(loss: &impl RegionLoss, mut job: Job<'_>) -> Result<Outcome> {
    let mut survey = job.survey()?;
    let layout = *job.tensor.layout();
    let Unit::Region(regions) = job.definition.unit else {
        unreachable!("{} is a loss of regions", job.definition.name)
    };
    let losses = job.take_outputs().losses;
    let all_classes = layout.classes() as usize;
    let targets = match job.targets {
        Targets::Dense(targets) => Some(Tensor::separate(layout.contiguous(), Logits::F32(targets), None)),
        Targets::Classes(_) => None,
    };
    let classes = usize::from(regions.without_background).min(all_classes)..all_classes;
    let (factor, position) = loss.position();
    let activation = loss.activation();
    let context = Context { activation, position, job: &job, targets, regions, classes: classes.clone() };
    let length = (PART / all_classes.max(1)).clamp(MAX_WIDE, 4096).next_power_of_two();
    let parts = (layout.rows() as usize).div_ceil(length);

    let sums = job.tensor.for_rows(length, vec![(); parts], sums::Scratch::default, |part, (), scratch| {
        job.instructions.run(Sums { context: &context, part, scratch })
    });
    let (samples, per_sample) = regions.shape(&layout);
    let mut overlaps = vec![Overlap::default(); samples as usize * classes.len()];
    for of_part in &sums {
        let first = of_part.first_sample * classes.len();
        overlaps[first..].iter_mut().zip(&of_part.overlaps).for_each(|(sum, overlap)| sum.add(overlap));
    }

    let together = if regions.classes_together { classes.len() } else { 1 };
    let class_weight = |c: usize| context.class_weight(c);
    let mut values = Vec::with_capacity(samples as usize * per_sample as usize);
    for sample in 0..samples as usize {
        for region in 0..per_sample as usize {
            let first = region * together;
            let at = sample * classes.len() + first;
            let value = loss.region(class_weight, classes.start + first, &mut overlaps[at..at + together]);
            values.push(weighted(factor, value));
        }
    }
    if let Some(losses) = losses {
        losses.iter_mut().zip(&values).for_each(|(to, value)| *to = *value as f32);
    }
    let loss_sum = tree_sum(values.len(), |i| values[i]);
    let counted = f64::from(layout.rows() - survey.ignored);
    let of_positions = position.map(|(lambda, _)| {
        let denominator = if job.definition.reduction == Reduction::Mean { counted } else { 1.0 };
        (lambda, denominator)
    });
    let reduced = of_positions.map(|(lambda, denominator)| {
        let sum = tree_sum(sums.len(), |i| sums[i].position_loss);
        // The first term has its factor already, which a NaN of no region has not.
        let of_regions =
            if factor == 0.0 && !loss_sum.is_nan() { 0.0 } else { survey.reduced(job.definition.reduction, loss_sum) };
        of_regions + weighted(lambda, sum / denominator)
    });
    if job.tensor.has_gradient() {
        let scale = survey.gradient_scale;
        job.tensor.for_rows(length, vec![(); parts], gradient::Scratch::default, |part, (), scratch| {
            let derivatives = &overlaps;
            job.instructions.run(Gradients {
                context: &context,
                part,
                scratch,
                derivatives,
                factor,
                scale,
                of_positions,
            });
        });
    }
    survey.ignored = survey.ignored.min(layout.rows());
    Ok(Outcome {
        survey,
        loss: reduced,
        loss_sum,
        non_finite: sums.iter().map(|sums| sums.non_finite).sum(),
        first_non_finite: sums.iter().find_map(|sums| sums.first_non_finite).map(|row| row as u32),
    })
}

impl Context<'_> {
    fn sample(&self, row: usize) -> usize {
        if self.regions.samples_together { 0 } else { row / self.job.tensor.layout().inner() as usize }
    }

    fn all_classes(&self) -> usize {
        self.job.tensor.layout().classes() as usize
    }

    fn class_weight(&self, class: usize) -> f64 {
        self.job.class_weights.map_or(1.0, |w| f64::from(w[class]))
    }
}
