//! Negative log-likelihood from log-probabilities on the CPU.

use super::simd::{Kernel, Simd};
use super::survey::NO_CLASS;
use super::tensor::Part;
use super::{CpuLoss, Job, Outcome, RowOutputs, RowTotals, order};
use crate::{ABSENT, Details, Nll, Result};

/// Rows that are worked on together: a power of two.
const ROWS: usize = 64;

/// Numbers of their gradient, about: where a row's classes are neighbours, and where they lie apart, when each class is a run of
/// memory that should be long.
const NUMBERS: usize = 1 << 13;
const NUMBERS_OF_PLANES: usize = 1 << 17;

/// `loss = r * w_t * -x_t`, and its gradient is `-r * w_t` at the target and 0 elsewhere.
///
/// Only `x_t` is read: -inf there is a loss of +inf, NaN or +inf is not finite.
impl CpuLoss for Nll {
    fn run(&self, mut job: Job<'_>) -> Result<Outcome> {
        let survey = job.survey()?;
        let outputs = job.take_outputs();
        let classes = job.tensor.layout().classes() as usize;
        let numbers = if job.tensor.layout().inner() == 1 { NUMBERS } else { NUMBERS_OF_PLANES };
        // Without a gradient a row is one logit.
        let of_row = if job.tensor.has_gradient() { classes.max(1) } else { 1 };
        let together = 1 << (numbers / of_row).clamp(1, ROWS).ilog2();
        let length = ((1 << 16) / of_row).clamp(together, 4096).next_power_of_two();
        let scale = survey.gradient_scale;
        let totals = job.for_rows(length, outputs, Scratch::default, |part, out, scratch| {
            job.instructions.run(Rows { job: &job, scale, together, part, out, scratch })
        });
        Ok(Outcome::of_rows(survey, &totals))
    }
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    /// Between one group of rows and the next, zeros.
    gradient: Vec<f32>,
    row: Vec<f32>,
}

struct Rows<'a, 'p> {
    job: &'a Job<'a>,
    /// Of the gradient.
    scale: f64,
    together: usize,
    part: &'a mut Part<'p>,
    out: RowOutputs<'a>,
    scratch: &'a mut Scratch,
}

impl Kernel for Rows<'_, '_> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { job, scale, together, part, out, scratch: Scratch { gradient, row: buffer } } = self;
        let mut totals = RowTotals::new(part.rows());
        let (classes, are_planes) = (part.layout().classes() as usize, part.layout().inner() > 1);
        let mut writer = part.tile_writer();
        gradient.resize(if writer.is_some() { together * classes } else { 0 }, 0.0);
        // From row to row, and from class to class.
        let (row_step, class_step) = if are_planes { (1, together) } else { (classes, 1) };
        let (mut labels, mut class_weights, mut row_weights) = ([NO_CLASS; ROWS], [1.0; ROWS], [1.0; ROWS]);
        let (mut logits, mut weights, mut losses) = ([0.0; ROWS], [0.0; ROWS], [0.0; ROWS]);
        for first in part.rows().step_by(together) {
            let n = together.min(part.rows().end - first);
            let labels = &mut labels[..n];
            job.read_labels(first, labels, &mut class_weights, &mut row_weights);
            part.pick(first, labels, &mut logits);
            let mut are_finite = true;
            for i in 0..n {
                weights[i] =
                    if labels[i] == NO_CLASS { 0.0 } else { f64::from(row_weights[i]) * f64::from(class_weights[i]) };
                // A weight of 0 also removes an infinite term.
                losses[i] = if weights[i] == 0.0 { 0.0 } else { (weights[i] * -f64::from(logits[i])) as f32 };
                are_finite &= is_finite(logits[i]);
            }
            if are_finite {
                totals.push_losses::<ROWS>(first, &losses[..n], out.losses);
            } else {
                for i in 0..n {
                    losses[i] = if is_finite(logits[i]) { losses[i] } else { f32::NAN };
                    totals.push_loss(first + i, losses[i], is_finite(logits[i]), out.losses);
                }
            }
            if !out.details.is_empty() {
                for i in 0..n {
                    let x = part.row(first + i, buffer);
                    let (log_prob, rank) = match labels[i] {
                        NO_CLASS => (0.0, ABSENT),
                        _ if !is_finite(logits[i]) => (f32::NAN, ABSENT),
                        class => (logits[i], order::rank(x, class as usize)),
                    };
                    let details = Details { lse: 0.0, log_prob, argmax: order::argmax(x), rank };
                    out.details[first + i - totals.first()] = details;
                }
            }

            let Some(writer) = &mut writer else { continue };
            let (mut places, mut of_targets) = ([usize::MAX; ROWS], [0.0; ROWS]);
            for (i, &class) in labels.iter().enumerate() {
                let place = i * row_step + class as usize * class_step;
                places[i] = if class == NO_CLASS { usize::MAX } else { place };
                of_targets[i] = (-weights[i] * scale) as f32;
            }
            for (&place, &of_target) in places[..n].iter().zip(&of_targets) {
                if let Some(to) = gradient.get_mut(place) {
                    *to = of_target;
                }
            }
            if !are_finite && scale != 0.0 {
                for i in (0..n).filter(|&i| !is_finite(logits[i])) {
                    (0..classes).for_each(|c| gradient[i * row_step + c * class_step] = f32::NAN);
                }
            }
            if are_planes {
                part.write_columns(simd, writer, first..first + n, together, gradient, buffer);
            } else {
                part.write_rows(simd, writer, first, &gradient[..n * classes]);
            }
            if are_finite {
                for &place in &places[..n] {
                    if let Some(to) = gradient.get_mut(place) {
                        *to = 0.0;
                    }
                }
            } else {
                gradient.fill(0.0);
            }
        }
        totals
    }
}

/// -inf is a loss too.
#[inline(always)]
fn is_finite(logit: f32) -> bool {
    logit < f32::INFINITY
}
