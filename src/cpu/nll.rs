//! Negative log-likelihood from log-probabilities on the CPU.

use super::{CpuLoss, Job, Outcome, RowTotals, order};
use crate::totals::Label;
use crate::{ABSENT, Details, Nll, Result};

/// `loss = r * w_t * -x_t`, and its gradient is `-r * w_t` at the target and 0 elsewhere.
///
/// Only `x_t` is read: -inf there is a loss of +inf, NaN or +inf is not finite.
impl CpuLoss for Nll {
    fn run(&self, mut job: Job<'_>) -> Result<Outcome> {
        let survey = job.survey()?;
        let outputs = job.take_outputs();
        let classes = job.tensor.layout().classes() as usize;
        let wants_gradient = job.tensor.has_gradient();
        let length = ((1 << 16) / classes.max(1)).clamp(1, 4096).next_power_of_two();
        let totals = job.for_rows(
            length,
            outputs,
            || (Vec::new(), vec![0.0; if wants_gradient { classes } else { 0 }]),
            |part, out, (buffer, gradient)| {
                let mut totals = RowTotals::new(part.rows());
                let mut writer = part.writer();
                for (i, r) in part.rows().enumerate() {
                    let label = job.label(r);
                    let target = if let Label::Class(target) = label { Some(target) } else { None };
                    let x_t = target.map_or(0.0, |t| part.logit(r, t));
                    let is_finite = !x_t.is_nan() && x_t != f32::INFINITY;
                    let weight = target.map_or(0.0, |t| {
                        let of_row = job.row_weights.map_or(1.0, |w| f64::from(w[r]));
                        of_row * job.class_weights.map_or(1.0, |w| f64::from(w[t]))
                    });
                    let loss = match target {
                        _ if !is_finite => f32::NAN,
                        None => 0.0,
                        // A weight of 0 also removes an infinite term.
                        Some(_) if weight == 0.0 => 0.0,
                        Some(_) => (weight * -f64::from(x_t)) as f32,
                    };
                    totals.push_loss(r, loss, is_finite, out.losses);
                    if !out.details.is_empty() {
                        let x = part.row(r, buffer);
                        let (log_prob, rank) = match target {
                            None => (0.0, ABSENT),
                            Some(_) if !is_finite => (f32::NAN, ABSENT),
                            Some(t) => (x_t, order::rank(x, t)),
                        };
                        out.details[i] = Details { lse: 0.0, log_prob, argmax: order::argmax(x), rank };
                    }
                    if wants_gradient {
                        let is_nan = !is_finite && survey.gradient_scale != 0.0;
                        gradient.fill(if is_nan { f32::NAN } else { 0.0 });
                        if let Some(t) = target.filter(|_| is_finite) {
                            gradient[t] = (-weight * survey.gradient_scale) as f32;
                        }
                        if let Some(writer) = &mut writer {
                            part.write_rows(writer, r, gradient);
                        }
                    }
                }
                totals
            },
        );
        Ok(Outcome::of_rows(survey, &totals))
    }
}
