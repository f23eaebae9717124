//! Losses of rows against one value a logit, where a softmax couples the logits of a row.
//!
//! Their terms cancel where the two distributions nearly agree, so they are computed in float64.

use super::simd::{Kernel, Simd};
use super::softmax::cap_wide;
use super::tensor::{Part, Tensor};
use super::wide::{LANES, Statistics, softmax, weighted};
use super::{Job, LogitsMut, Outcome, RowTotals};
use crate::{Logits, Result, Targets, Unit};

/// A finite row.
pub(super) struct DenseRow<'a> {
    /// Logits, capped and over the temperature.
    pub(super) y: &'a [f64],
    /// `exp(y_c - max)`, and what that comes to.
    pub(super) e: &'a [f64],
    pub(super) statistics: Statistics,
    pub(super) targets: &'a [f32],
    pub(super) class_weights: Option<&'a [f32]>,
}

/// Memory for the results of a row, shape (classes), and for whatever a loss needs on the way.
#[derive(Default)]
pub(super) struct RowResult {
    /// Derivative of the loss by each `y`.
    pub(super) gradient: Vec<f64>,
    /// Losses of the classes, of a loss that has them.
    pub(super) losses: Vec<f64>,
    pub(super) spare: [Vec<f64>; 2],
}

/// A loss of a row of logits and a row of targets.
pub(super) trait DenseLoss: Sync {
    fn scale(&self) -> RowScale;

    /// The loss of a row without its weight; none if the targets make nothing of it. Every vector of `out` has the length of the
    /// row.
    fn row<S: Simd>(&self, simd: S, row: &DenseRow<'_>, out: &mut RowResult) -> Option<f64>;
}

/// How logits become `y`, and the factor of the squared log-partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowScale {
    pub(super) softcap: Option<f32>,
    pub(super) temperature: f32,
    pub(super) z_loss: f32,
}

/// Evaluates a loss of dense rows.
pub(super) fn run<L: DenseLoss>(loss: &L, mut job: Job<'_>) -> Result<Outcome> {
    let survey = job.survey()?;
    let layout = *job.tensor.layout();
    let contiguous = layout.contiguous();
    let classes = layout.classes() as usize;
    let targets = if let Targets::Dense(targets) = job.targets { targets } else { &[] };
    let targets = Tensor::separate(contiguous, Logits::F32(targets), None);
    let mut outputs = job.take_outputs();
    let of_elements = job.definition.unit == Unit::Element;
    let mut element_losses = outputs.losses.take_if(|_| of_elements).map(LogitsMut::F32);
    let element_losses = element_losses.as_mut().map(|losses| Tensor::in_place(contiguous, losses));
    let length = ((1 << 14) / classes.max(1)).clamp(1, 4096).next_power_of_two();
    let scale = survey.gradient_scale;
    let totals = job.for_rows(length, outputs, Scratch::default, |part, out, scratch| {
        let mut targets = part.twin(&targets);
        let losses = element_losses.as_ref().map(|losses| part.twin(losses));
        let kernel =
            PartKernel { loss, job: &job, scale, part, targets: &mut targets, losses, rows: out.losses, scratch };
        job.instructions.run(kernel)
    });
    let mut outcome = Outcome::of_rows(survey, &totals);
    if of_elements {
        outcome.non_finite = outcome.non_finite.saturating_mul(layout.classes());
    }
    Ok(outcome)
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    x: Vec<f32>,
    t: Vec<f32>,
    y: Vec<f64>,
    slope: Vec<f64>,
    e: Vec<f64>,
    result: RowResult,
    narrow: Vec<f32>,
}

struct PartKernel<'a, 'p, L> {
    loss: &'a L,
    job: &'a Job<'a>,
    scale: f64,
    part: &'a mut Part<'p>,
    targets: &'a mut Part<'a>,
    losses: Option<Part<'a>>,
    rows: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl<L: DenseLoss> Kernel for PartKernel<'_, '_, L> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { loss, job, scale, part, targets, mut losses, rows, scratch } = self;
        let Scratch { x, t, y, slope, e, result, narrow } = scratch;
        let classes = part.layout().classes() as usize;
        let options = loss.scale();
        let temperature = f64::from(options.temperature);
        let [first, second] = &mut result.spare;
        for values in [&mut result.gradient, &mut result.losses, first, second] {
            values.resize(classes, 0.0);
        }
        narrow.resize(classes, 0.0);
        let mut totals = RowTotals::new(part.rows());
        let mut writer = part.writer();
        let mut losses_writer = losses.as_ref().and_then(Part::writer);
        for r in part.rows() {
            scale_logits(part.row(r, x), &options, y, slope);
            let t = targets.row(r, t);
            let statistics = softmax(simd, y, e);
            let row_weight = job.row_weights.map_or(1.0, |w| f64::from(w[r]));
            let value = statistics.and_then(|statistics| {
                let row = DenseRow { y, e, statistics, targets: t, class_weights: job.class_weights };
                let value = loss.row(simd, &row, result)?;
                let (z_loss, lse) = (f64::from(options.z_loss), statistics.lse());
                if z_loss == 0.0 {
                    return Some(value);
                }
                let drawn = 2.0 * z_loss * lse * statistics.scale();
                result.gradient.iter_mut().zip(e.iter()).for_each(|(g, e)| *g += drawn * e);
                let share = z_loss * lse * lse / classes as f64;
                result.losses.iter_mut().for_each(|loss| *loss += share);
                Some(value + z_loss * lse * lse)
            });
            let sum = value.map_or(f64::NAN, |value| weighted(row_weight, value));
            if let Some(losses) = &mut losses {
                let of_class = |loss: &f64| weighted(row_weight, *loss) as f32;
                match value {
                    Some(_) => narrow.iter_mut().zip(&result.losses).for_each(|(to, loss)| *to = of_class(loss)),
                    None => narrow.fill(f32::NAN),
                }
                if let Some(writer) = &mut losses_writer {
                    losses.write_rows(writer, r, narrow);
                }
            }
            if job.definition.unit == Unit::Element {
                totals.push_sum(r, sum, value.is_some());
            } else {
                totals.push_loss(r, sum as f32, value.is_some(), rows);
            }
            if job.tensor.has_gradient() {
                let factor = row_weight * scale / temperature;
                match value {
                    _ if scale == 0.0 => narrow.fill(0.0),
                    None => narrow.fill(f32::NAN),
                    Some(_) => {
                        for ((to, g), slope) in narrow.iter_mut().zip(&result.gradient).zip(slope.iter()) {
                            *to = (g * factor * slope) as f32;
                        }
                    }
                }
                if let Some(writer) = &mut writer {
                    part.write_rows(writer, r, narrow);
                }
            }
        }
        totals
    }
}

/// `y = softcap * tanh(x / softcap) / T`, and the derivative `1 - tanh^2` of the cap.
#[inline(always)]
fn scale_logits(x: &[f32], options: &RowScale, y: &mut Vec<f64>, slope: &mut Vec<f64>) {
    y.resize(x.len(), 0.0);
    slope.resize(x.len(), 1.0);
    let temperature = f64::from(options.temperature);
    let Some(softcap) = options.softcap.map(f64::from) else {
        slope.fill(1.0);
        if temperature == 1.0 {
            return y.iter_mut().zip(x).for_each(|(y, &x)| *y = x.into());
        }
        return y.iter_mut().zip(x).for_each(|(y, &x)| *y = f64::from(x) / temperature);
    };
    for ((y, slope), &x) in y.iter_mut().zip(slope).zip(x) {
        (*y, *slope) = cap_wide(x.into(), softcap);
        *y /= temperature;
    }
}

/// Cross-entropy `sum_c a_c * -log p_c` for factors `a` in `spare[0]`: the loss, and `p_j * sum_c a_c - a_j`.
#[inline(always)]
pub(super) fn cross_entropy(row: &DenseRow<'_>, out: &mut RowResult) -> f64 {
    let Statistics { max, top, rest, log_sum } = row.statistics;
    let factors = &out.spare[0];
    // A class without a target contributes nothing, even at a logit of -inf.
    let term = |a: f64, y: f64| if a == 0.0 { 0.0 } else { a * ((max - y) + log_sum) };
    let ((a, a_tail), (y, y_tail)) = (factors.as_chunks::<LANES>(), row.y.as_chunks::<LANES>());
    let (mut sums, mut totals) = ([0.0; LANES], [0.0; LANES]);
    for (a, y) in a.iter().zip(y) {
        for i in 0..LANES {
            sums[i] += term(a[i], y[i]);
            totals[i] += a[i];
        }
    }
    let sum = a_tail.iter().zip(y_tail).fold(sums.iter().sum::<f64>(), |sum, (&a, &y)| sum + term(a, y));
    let total = a_tail.iter().fold(totals.iter().sum::<f64>(), |total, a| total + a);
    let scale = total * row.statistics.scale();
    for ((g, e), a) in out.gradient.iter_mut().zip(row.e).zip(factors) {
        *g = e * scale - a;
    }
    // Of the most probable class: what the others have, less what it is short of 1.
    let others = total - factors[top];
    out.gradient[top] = others - scale * rest;
    sum
}
