//! Multi-class margin loss on the CPU.

use super::wide::{LogPartition, weighted};
use super::{CpuLoss, Job, Outcome, RowTotals, order};
use crate::totals::Label;
use crate::{ABSENT, Details, MultiMargin, Result};

/// With `v_c = max(0, margin + x_c - x_t)` for `c != t`: `r w_t / K * sum v_c^p`, and `r w_t / K * p v_c^(p-1)` at `c`, whose
/// sum the target's derivative is minus.
///
/// Details are those of the softmax of the scores, without which a row is not finite.
impl CpuLoss for MultiMargin {
    fn run(&self, mut job: Job<'_>) -> Result<Outcome> {
        let survey = job.survey()?;
        let outputs = job.take_outputs();
        let classes = job.tensor.layout().classes() as usize;
        let length = ((1 << 16) / classes.max(1)).clamp(1, 4096).next_power_of_two();
        let scratch = || (Vec::new(), vec![0.0_f32; classes], Vec::new(), Vec::new());
        let totals = job.for_rows(length, outputs, scratch, |part, out, (buffer, gradient, wide, e)| {
            let mut totals = RowTotals::new(part.rows());
            let mut writer = part.writer();
            for (i, r) in part.rows().enumerate() {
                let label = job.label(r);
                let x = part.row(r, buffer);
                let is_finite = is_finite(x);
                gradient.fill(0.0);
                let mut loss = 0.0;
                if let Label::Class(t) = label {
                    let of_row = job.row_weights.map_or(1.0, |w| f64::from(w[r]));
                    let factor = of_row * job.class_weights.map_or(1.0, |w| f64::from(w[t])) / classes as f64;
                    let scale = factor * survey.gradient_scale;
                    let sum = job.instructions.run(Violations { loss: self, x, t, scale, gradient });
                    loss = if is_finite { weighted(factor, sum) as f32 } else { f32::NAN };
                    if survey.gradient_scale == 0.0 {
                        gradient.fill(0.0);
                    } else if !is_finite {
                        gradient.fill(f32::NAN);
                    } else if scale == 0.0 {
                        // Of a target at -inf the slopes are infinite.
                        gradient.fill(0.0);
                    }
                }
                let counts = matches!(label, Label::Class(_));
                totals.push_loss(r, loss, is_finite || !counts, out.losses);
                if !out.details.is_empty() {
                    let partition = job.instructions.run(LogPartition { x, y: wide, e });
                    let (max, log_sum) = partition.unwrap_or((f64::NAN, f64::NAN));
                    let (log_prob, rank) = match label {
                        Label::Class(t) if is_finite => {
                            let log_prob = (f64::from(x[t]) - max) - log_sum;
                            (log_prob as f32, order::rank(x, t))
                        }
                        Label::Class(_) => (f32::NAN, ABSENT),
                        Label::Ignored | Label::Bad => (0.0, ABSENT),
                    };
                    out.details[i] = Details { lse: (max + log_sum) as f32, log_prob, argmax: order::argmax(x), rank };
                }
                if let Some(writer) = &mut writer {
                    part.write_rows(writer, r, gradient);
                }
            }
            totals
        });
        Ok(Outcome::of_rows(survey, &totals))
    }
}

/// No NaN and no +inf, but something more than -inf.
fn is_finite(x: &[f32]) -> bool {
    !x.iter().any(|x| x.is_nan() || *x == f32::INFINITY) && x.iter().any(|&x| x > f32::NEG_INFINITY)
}

struct Violations<'a> {
    loss: &'a MultiMargin,
    x: &'a [f32],
    t: usize,
    scale: f64,
    gradient: &'a mut [f32],
}

impl super::simd::Kernel for Violations<'_> {
    type Output = f64;

    /// The sum over the classes other than the target, in eight interleaved parts; writes the gradient.
    #[inline(always)]
    fn run<S: super::simd::Simd>(self, _: S) -> f64 {
        let Self { loss, x, t, scale, gradient } = self;
        let (margin, x_t, squares) = (f64::from(loss.margin), f64::from(x[t]), loss.p == 2);
        gradient[t] = 0.0;
        let (mut sums, mut slopes) = ([0.0; 8], [0.0; 8]);
        for (first, (x, g)) in x.chunks(8).zip(gradient.chunks_mut(8)).enumerate() {
            for (i, (&x, g)) in x.iter().zip(g).enumerate() {
                // Other than with a maximum, the loop vectorises.
                let v = margin + (f64::from(x) - x_t);
                let violates = v > 0.0 && 8 * first + i != t;
                let (term, slope) = if squares { (v * v, 2.0 * v) } else { (v, 1.0) };
                sums[i] += if violates { term } else { 0.0 };
                let slope = if violates { slope } else { 0.0 };
                slopes[i] += slope;
                *g = (slope * scale) as f32;
            }
        }
        gradient[t] = (-slopes.iter().sum::<f64>() * scale) as f32;
        sums.iter().sum()
    }
}
