//! Losses of regions: how far predictions and targets overlap.
//!
//! A first pass adds up the overlaps, region by region; the losses are functions of those; a second pass turns their derivatives
//! into the gradient. Both are in float64.

use std::ops::Range;

use super::simd::exp64::exp_of_negative;
use super::simd::{Kernel, Simd};
use super::survey::tree_sum;
use super::tensor::{Part, Tensor};
use super::wide::{softmax, weighted};
use super::{Job, Outcome};
use crate::totals::Label;
use crate::{Activation, Logits, Reduction, Regions, Result, Targets, Unit};

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
    fn add(&mut self, other: &Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.fn_ += other.fn_;
        self.squares += other.squares;
        self.targets += other.targets;
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

/// A loss of one position.
#[derive(Debug, Clone, Copy)]
pub(super) enum PositionLoss {
    CrossEntropy,
    Focal(f64),
}

/// Memory for one position, shape (classes).
#[derive(Default)]
pub(super) struct Position {
    x: Vec<f32>,
    y: Vec<f64>,
    e: Vec<f64>,
    t: Vec<f64>,
    row: Vec<f32>,
    /// Predictions, and what they are short of 1.
    p: Vec<f64>,
    miss: Vec<f64>,
    /// Derivatives.
    by_prediction: Vec<f64>,
    by_logit: Vec<f64>,
    narrow: Vec<f32>,
}

/// What the batch's positions have in common.
struct Context<'a, L> {
    loss: &'a L,
    job: &'a Job<'a>,
    targets: Option<Tensor<'a>>,
    regions: Regions,
    /// Classes that are in regions.
    classes: Range<usize>,
}

/// Positions of a part, about.
const PART: usize = 1 << 14;

/// What a part adds up.
struct PartSums {
    /// Samples and the overlaps of their classes.
    overlaps: Vec<(usize, Vec<Overlap>)>,
    position_loss: f64,
    non_finite: Vec<usize>,
}

/// Evaluates a loss of regions.
pub(super) fn run<L: RegionLoss>(loss: &L, mut job: Job<'_>) -> Result<Outcome> {
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
    let context = Context { loss, job: &job, targets, regions, classes: classes.clone() };
    let length = (PART / all_classes.max(1)).clamp(1, 4096).next_power_of_two();
    let parts = (layout.rows() as usize).div_ceil(length);

    let sums = job.tensor.for_rows(length, vec![(); parts], Position::default, |part, (), position| {
        job.instructions.run(Sums { context: &context, part, position })
    });
    let (samples, per_sample) = regions.shape(&layout);
    let mut overlaps = vec![Overlap::default(); samples as usize * classes.len()];
    for (sample, of_part) in sums.iter().flat_map(|sums| &sums.overlaps) {
        let of_sample = &mut overlaps[sample * classes.len()..(sample + 1) * classes.len()];
        of_sample.iter_mut().zip(of_part).for_each(|(sum, overlap)| sum.add(overlap));
    }

    let (factor, position) = loss.position();
    let together = if regions.classes_together { classes.len() } else { 1 };
    let class_weight = |c: usize| job.class_weights.map_or(1.0, |w| f64::from(w[c]));
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
    let by_position = position.map(|(lambda, position)| {
        let denominator = if job.definition.reduction == Reduction::Mean { counted } else { 1.0 };
        (lambda, position, denominator)
    });
    let reduced = by_position.map(|(lambda, _, denominator)| {
        let sum = tree_sum(sums.len(), |i| sums[i].position_loss);
        // The first term has its factor already, which a NaN of no region has not.
        let of_regions =
            if factor == 0.0 && !loss_sum.is_nan() { 0.0 } else { survey.reduced(job.definition.reduction, loss_sum) };
        of_regions + weighted(lambda, sum / denominator)
    });
    let mut rows: Vec<usize> = sums.iter().flat_map(|sums| &sums.non_finite).copied().collect();
    rows.dedup();

    if job.tensor.has_gradient() {
        let scale = survey.gradient_scale;
        job.tensor.for_rows(length, vec![(); parts], Position::default, |part, (), position| {
            let derivatives = &overlaps;
            job.instructions.run(Gradients {
                context: &context,
                part,
                position,
                derivatives,
                factor,
                scale,
                by_position,
            });
        });
    }
    survey.ignored = survey.ignored.min(layout.rows());
    Ok(Outcome {
        survey,
        loss: reduced,
        loss_sum,
        non_finite: rows.len() as u32,
        first_non_finite: rows.first().map(|&row| row as u32),
    })
}

impl<L: RegionLoss> Context<'_, L> {
    fn sample(&self, row: usize) -> usize {
        if self.regions.samples_together { 0 } else { row / self.job.tensor.layout().inner() as usize }
    }

    /// Reads a position's logits and targets and predicts: whether the predictions are finite, or none if it is ignored.
    #[inline(always)]
    fn read(&self, part: &mut Part<'_>, row: usize, at: &mut Position) -> Option<bool> {
        let classes = part.layout().classes() as usize;
        for values in [&mut at.t, &mut at.p, &mut at.miss, &mut at.by_prediction, &mut at.by_logit] {
            values.resize(classes, 0.0);
        }
        match &self.targets {
            Some(targets) => {
                let twin = part.twin(targets);
                at.t.iter_mut().zip(twin.row(row, &mut at.row)).for_each(|(to, &t)| *to = t.into());
            }
            None => match self.job.label(row) {
                Label::Class(target) => {
                    at.t.fill(0.0);
                    at.t[target] = 1.0;
                }
                Label::Ignored | Label::Bad => return None,
            },
        }
        let x = part.row(row, &mut at.x);
        at.y.clear();
        at.y.extend(x.iter().map(|&x| f64::from(x)));
        match self.loss.activation() {
            Activation::Softmax => {
                let Some(statistics) = softmax(&at.y, &mut at.e) else {
                    at.p.fill(f64::NAN);
                    at.miss.fill(f64::NAN);
                    return Some(false);
                };
                let scale = statistics.scale();
                for ((p, miss), e) in at.p.iter_mut().zip(&mut at.miss).zip(&at.e) {
                    *p = e * scale;
                    *miss = 1.0 - *p;
                }
                at.miss[statistics.top] = statistics.rest * scale;
                Some(true)
            }
            Activation::Sigmoid => {
                for ((p, miss), &x) in at.p.iter_mut().zip(&mut at.miss).zip(&at.y) {
                    let e = exp_of_negative(-x.abs());
                    let likely = 1.0 / (1.0 + e);
                    let (larger, smaller) = (likely, e * likely);
                    (*p, *miss) = if x > 0.0 { (larger, smaller) } else { (smaller, larger) };
                }
                Some(!at.y.iter().any(|x| x.is_nan()))
            }
        }
    }
}

struct Sums<'a, 'p, L> {
    context: &'a Context<'a, L>,
    part: &'a mut Part<'p>,
    position: &'a mut Position,
}

impl<L: RegionLoss> Kernel for Sums<'_, '_, L> {
    type Output = PartSums;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> PartSums {
        let Self { context, part, position: at } = self;
        let classes = context.classes.clone();
        let mut sums = PartSums { overlaps: Vec::new(), position_loss: 0.0, non_finite: Vec::new() };
        let mut position_losses = Vec::new();
        for row in part.rows() {
            let sample = context.sample(row);
            if sums.overlaps.last().is_none_or(|(last, _)| *last != sample) {
                sums.overlaps.push((sample, vec![Overlap::default(); classes.len()]));
            }
            let Some(is_finite) = context.read(part, row, at) else { continue };
            let (_, overlaps) = sums.overlaps.last_mut().unwrap_or_else(|| unreachable!("there is a sample"));
            let inputs = at.p[classes.clone()].iter().zip(&at.miss[classes.clone()]).zip(&at.t[classes.clone()]);
            for (sum, ((&p, &miss), &t)) in overlaps.iter_mut().zip(inputs) {
                let excess = p * (1.0 - t) - miss * t;
                sum.tp += p * t;
                sum.fp += p * (1.0 - t);
                sum.fn_ += miss * t;
                sum.squares += excess * excess;
                sum.targets += t;
            }
            let (_, position) = context.loss.position();
            // A NaN of the background reaches no loss without it, other than one of the positions.
            let reads_nan = at.p[classes.clone()].iter().any(|p| p.is_nan());
            if reads_nan || (position.is_some() && !is_finite) {
                sums.non_finite.push(row);
            }
            if let Some((_, position)) = position {
                position_losses.push(if is_finite { position.evaluate(context, at) } else { f64::NAN });
            }
        }
        sums.position_loss = tree_sum(position_losses.len(), |i| position_losses[i]);
        sums
    }
}

struct Gradients<'a, 'p, L> {
    context: &'a Context<'a, L>,
    part: &'a mut Part<'p>,
    position: &'a mut Position,
    /// By the overlaps, shape (samples, classes).
    derivatives: &'a [Overlap],
    factor: f64,
    scale: f64,
    by_position: Option<(f64, PositionLoss, f64)>,
}

impl<L: RegionLoss> Kernel for Gradients<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { context, part, position: at, derivatives, factor, scale, by_position } = self;
        let classes = context.classes.clone();
        let mut writer = part.writer();
        for row in part.rows() {
            let is_finite = context.read(part, row, at);
            at.narrow.clear();
            at.narrow.resize(part.layout().classes() as usize, 0.0);
            if let Some(is_finite) = is_finite {
                let of_sample = &derivatives[context.sample(row) * classes.len()..][..classes.len()];
                at.by_prediction.fill(0.0);
                for (c, by) in classes.clone().zip(of_sample) {
                    let (p, miss, t) = (at.p[c], at.miss[c], at.t[c]);
                    let excess = p * (1.0 - t) - miss * t;
                    at.by_prediction[c] = by.tp * t + by.fp * (1.0 - t) - by.fn_ * t + by.squares * 2.0 * excess;
                }
                through_activation(context.loss.activation(), at);
                for (to, g) in at.narrow.iter_mut().zip(&at.by_logit) {
                    *to = weighted(factor, if scale == 0.0 { 0.0 } else { g * scale }) as f32;
                }
                if let Some((lambda, position, denominator)) = by_position {
                    if is_finite {
                        position.evaluate(context, at);
                    } else {
                        at.by_logit.fill(f64::NAN);
                    }
                    for (to, &g) in at.narrow.iter_mut().zip(&at.by_logit) {
                        let of_position = if g == 0.0 { 0.0 } else { weighted(lambda, g / denominator) };
                        *to = (f64::from(*to) + of_position) as f32;
                    }
                }
            }
            let narrow = std::mem::take(&mut at.narrow);
            if let Some(writer) = &mut writer {
                part.write_rows(writer, row, &narrow);
            }
            at.narrow = narrow;
        }
    }
}

/// From the derivative by each prediction to that by each logit: `p_j (g_j - sum_c p_c g_c)`, or `g p (1 - p)`.
#[inline(always)]
fn through_activation(activation: Activation, at: &mut Position) {
    match activation {
        Activation::Sigmoid => {
            for c in 0..at.p.len() {
                let g = at.by_prediction[c];
                at.by_logit[c] = if g == 0.0 { 0.0 } else { g * at.p[c] * at.miss[c] };
            }
        }
        Activation::Softmax if at.by_prediction.iter().any(|g| g.is_nan()) => at.by_logit.fill(f64::NAN),
        Activation::Softmax => {
            // Relative to the most probable class, so that no term of a confident position is large.
            let top = (0..at.p.len()).fold(0, |top, c| if at.p[c] > at.p[top] { c } else { top });
            let of_top = at.by_prediction.get(top).copied().unwrap_or(0.0);
            let mean = (0..at.p.len())
                .fold(0.0, |sum, c| sum + if at.p[c] == 0.0 { 0.0 } else { at.p[c] * (at.by_prediction[c] - of_top) });
            for c in 0..at.p.len() {
                let g = at.by_prediction[c] - of_top - mean;
                at.by_logit[c] = if at.p[c] == 0.0 { 0.0 } else { at.p[c] * g };
            }
        }
    }
}

impl PositionLoss {
    /// The loss of a finite position; its derivatives go to `by_logit`.
    #[inline(always)]
    fn evaluate<L: RegionLoss>(self, context: &Context<'_, L>, at: &mut Position) -> f64 {
        let weight = |c: usize| context.job.class_weights.map_or(1.0, |w| f64::from(w[c]));
        match context.loss.activation() {
            Activation::Softmax => self.of_softmax(weight, at),
            Activation::Sigmoid => self.of_sigmoid(weight, at),
        }
    }

    /// `sum_c w_c t_c (1 - p_c)^gamma * -log p_c`. With `s_c = -log p_c` and `k_c` the derivative by it, that by `x_j` is
    /// `p_j sum_c k_c - k_j`.
    #[inline(always)]
    fn of_softmax(self, weight: impl Fn(usize) -> f64, at: &mut Position) -> f64 {
        let statistics = softmax(&at.y, &mut at.e).unwrap_or_else(|| unreachable!("a finite position"));
        let (mut sum, mut total) = (0.0, 0.0);
        for c in 0..at.p.len() {
            let a = weight(c) * at.t[c];
            let s = statistics.surprisal(at.y[c]);
            let (p, miss) = (at.p[c], at.miss[c]);
            let (term, slope) = match self {
                _ if a == 0.0 => (0.0, 0.0),
                Self::CrossEntropy => (s, 1.0),
                Self::Focal(0.0) => (s, 1.0),
                Self::Focal(_) if miss == 0.0 => (0.0, 0.0),
                Self::Focal(gamma) => {
                    let modulation = miss.powf(gamma);
                    (modulation * s, modulation * (1.0 + if p == 0.0 { 0.0 } else { gamma * p * s / miss }))
                }
            };
            sum += if a == 0.0 { 0.0 } else { a * term };
            at.by_prediction[c] = a * slope;
            total += a * slope;
        }
        for c in 0..at.p.len() {
            at.by_logit[c] = at.p[c] * total - at.by_prediction[c];
        }
        // Of the most probable class: what the others have, less what it is short of 1.
        let top = statistics.top;
        let others = (0..at.p.len()).filter(|&c| c != top).fold(0.0, |sum, c| sum + at.by_prediction[c]);
        at.by_logit[top] = others - total * at.miss[top];
        sum
    }

    /// `1/K sum_c w_c miss_c^gamma bce(x_c, t_c)` with `miss = p (1 - t) + (1 - p) t`.
    #[inline(always)]
    fn of_sigmoid(self, weight: impl Fn(usize) -> f64, at: &mut Position) -> f64 {
        let classes = at.p.len() as f64;
        let mut sum = 0.0;
        for c in 0..at.p.len() {
            let (x, t, p, not_p) = (at.y[c], at.t[c], at.p[c], at.miss[c]);
            let log = exp_of_negative(-x.abs()).ln_1p();
            let softplus = |x: f64| if x > 0.0 { x + log } else { log };
            let ce = weighted(t, softplus(-x)) + weighted(1.0 - t, softplus(x));
            let by_x = (1.0 - t) * p - t * not_p;
            let (term, g) = match self {
                Self::CrossEntropy => (ce, by_x),
                Self::Focal(gamma) => {
                    let miss = p * (1.0 - t) + not_p * t;
                    let modulation = miss.powf(gamma);
                    let by_miss = gamma * (1.0 - 2.0 * t) * p * not_p;
                    let slope = by_x + if by_miss == 0.0 { 0.0 } else { by_miss * ce / miss };
                    (weighted(modulation, ce), if miss == 0.0 { 0.0 } else { modulation * slope })
                }
            };
            let w = weight(c);
            sum += weighted(w, term) / classes;
            at.by_logit[c] = weighted(w, g) / classes;
        }
        sum
    }
}
