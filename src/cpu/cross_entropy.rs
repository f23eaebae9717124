//! Categorical cross-entropy against a class index on the CPU.
//!
//! `rest = (max, sum)` over the classes other than the target t, and `z = rest - x_t`: by how much they outweigh it. Then
//!
//! ```text
//! -log p_t = softplus(z),   1 - p_t = sigmoid(z),   p_c = e^((x_c - max) / T) / sum * sigmoid(z)   for c != t
//! ```
//!
//! and nothing subtracts two nearly equal numbers: an offset of 1e6 or a confident row loses no digits. What is done once a class
//! is float32, what is done once a row float64.

use super::row::{Outcome, Row, weighted};
use super::{CpuLoss, lanes};
use crate::CrossEntropy;

impl CpuLoss for CrossEntropy {
    fn row(&self, row: &Row<'_>, mut gradient: Option<&mut [f32]>) -> Option<Outcome> {
        let rest = Rest::new(row, self.temperature, gradient.as_deref_mut())?;
        let margin = Margin::new(&rest, row.logits[row.target], self.temperature)?;
        let terms = Terms::new(self, row, &rest, &margin);
        if let Some(gradient) = gradient {
            terms.finish_gradient(row, gradient);
        }
        Some(Outcome { loss: terms.loss, lse: margin.lse, log_prob: -margin.nll })
    }

    fn lse(&self, logits: &[f32]) -> f64 {
        let base = lanes::max(logits);
        if !base.is_finite() {
            return f64::NAN;
        }
        f64::from(base) / f64::from(self.temperature) + lanes::sum_exp(logits, base, self.temperature).ln()
    }
}

/// The softmax monoid over the classes other than the target: `sum_c e^((x_c - base) / T)`.
struct Rest {
    /// The largest of these logits; 0 where all are -inf, so that a difference with it is no NaN.
    base: f32,
    /// At least 1, or 0 where all logits are -inf.
    sum: f64,
}

impl Rest {
    /// None if a logit is NaN or +inf. `gradient` receives the exponentials, and at the target nothing.
    fn new(row: &Row<'_>, temperature: f32, gradient: Option<&mut [f32]>) -> Option<Self> {
        let [before, after] = others(row.logits, row.target);
        let maxima = [lanes::max(before), lanes::max(after)];
        if maxima.iter().any(|&m| m.is_nan() || m == f32::INFINITY) {
            return None;
        }
        let max = maxima[0].max(maxima[1]);
        let base = if max == f32::NEG_INFINITY { 0.0 } else { max };
        let sum = match gradient {
            None => lanes::sum_exp(before, base, temperature) + lanes::sum_exp(after, base, temperature),
            Some(gradient) => {
                let (low, high) = gradient.split_at_mut(row.target);
                lanes::store_exp(before, base, temperature, low)
                    + lanes::store_exp(after, base, temperature, &mut high[1..])
            }
        };
        Some(Self { base, sum })
    }
}

/// What the margin `z` between the rest and the target says of the softmax.
struct Margin {
    /// `-log p_t = softplus(z)`.
    nll: f64,
    /// `p_t = sigmoid(-z)`.
    hit: f64,
    /// `1 - p_t = sigmoid(z)`.
    miss: f64,
    /// Log-partition over all classes.
    lse: f64,
    /// Log-partition less `base / T`.
    over_base: f64,
}

impl Margin {
    /// None if the target's logit is NaN or +inf, or -inf with nothing beside it.
    fn new(rest: &Rest, x_t: f32, temperature: f32) -> Option<Self> {
        let is_empty = rest.sum == 0.0;
        if x_t.is_nan() || x_t == f32::INFINITY || (x_t == f32::NEG_INFINITY && is_empty) {
            return None;
        }
        let (x_t, base, temperature) = (f64::from(x_t), f64::from(rest.base), f64::from(temperature));
        let log_sum = rest.sum.ln();
        let z = if is_empty { f64::NEG_INFINITY } else { (base - x_t) / temperature + log_sum };
        let over_base = if is_empty { x_t / temperature } else { softplus(-z) + log_sum };
        Some(Self {
            nll: softplus(z),
            hit: sigmoid(-z),
            miss: sigmoid(z),
            lse: base / temperature + over_base,
            over_base,
        })
    }
}

/// The loss, and the gradient as an affine function of the exponentials.
struct Terms {
    loss: f64,
    /// Gradient at c != t is `softmax * e^((x_c - base) / T) - share * w_c`.
    softmax: f32,
    share: f32,
    at_target: f32,
}

impl Terms {
    fn new(options: &CrossEntropy, row: &Row<'_>, rest: &Rest, margin: &Margin) -> Self {
        let &Margin { nll, hit, miss, lse, over_base } = margin;
        let (smoothing, z_loss) = (f64::from(options.label_smoothing), f64::from(options.z_loss));
        let temperature = f64::from(options.temperature);
        let w_t = row.class_weights.of(row.target);

        let own = (1.0 - smoothing) * w_t;
        let drawn = 2.0 * z_loss * lse;
        let mut loss = weighted(own, nll) + z_loss * lse * lse;
        let mut softmax = own + drawn;
        let mut at_target = drawn * hit - own * miss;
        let share = smoothing / row.logits.len() as f64;
        if share > 0.0 {
            // sum_c w_c * -log p_c with -log p_c = over_base + (base - x_c) / T: terms of one sign.
            let w_rest = row.class_weights.sum() - w_t;
            loss += share * (weighted(w_t, nll) + w_rest * over_base + deficit(row, rest.base) / temperature);
            softmax += share * row.class_weights.sum();
            at_target += share * (w_rest * hit - w_t * miss);
        }
        let scale = row.row_weight / temperature * row.gradient_scale;
        let over_sum = if rest.sum == 0.0 { 0.0 } else { miss / rest.sum };
        Self {
            loss: weighted(row.row_weight, loss),
            softmax: (softmax * over_sum * scale) as f32,
            share: (share * scale) as f32,
            at_target: (at_target * scale) as f32,
        }
    }

    /// Turns the exponentials into the gradient.
    fn finish_gradient(&self, row: &Row<'_>, gradient: &mut [f32]) {
        let &Self { softmax, share, at_target, .. } = self;
        match row.class_weights.values() {
            _ if share == 0.0 => gradient.iter_mut().for_each(|g| *g *= softmax),
            None => gradient.iter_mut().for_each(|g| *g = *g * softmax - share),
            Some(weights) => gradient.iter_mut().zip(weights).for_each(|(g, w)| *g = *g * softmax - share * w),
        }
        gradient[row.target] = at_target;
    }
}

/// `sum_c w_c * (base - x_c)` over the classes other than the target.
fn deficit(row: &Row<'_>, base: f32) -> f64 {
    let [before, after] = others(row.logits, row.target);
    match row.class_weights.values().map(|weights| others(weights, row.target)) {
        None => lanes::sum_deficit(before, base) + lanes::sum_deficit(after, base),
        Some([w_before, w_after]) => {
            lanes::sum_weighted_deficit(before, w_before, base) + lanes::sum_weighted_deficit(after, w_after, base)
        }
    }
}

/// What stands before and after the target.
fn others(values: &[f32], target: usize) -> [&[f32]; 2] {
    [&values[..target], &values[target + 1..]]
}

/// `log(1 + e^z)` without overflow, and without losing `e^z` beside 1.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// `1 / (1 + e^-z)` without overflow, and to full relative precision at both ends.
fn sigmoid(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
