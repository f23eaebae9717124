//! Divergences between two rows of logits, in float64.

use super::dense_rows::{self, RowLosses};
use super::math::{exp_beyond_tangent, log_mean_exp, through_softmax};
use super::row::{Row, Scale};
use super::{Evaluation, ReferenceLoss};
use crate::{Batch, Divergence, LogitDivergence, Loss, Result};

/// [`LogitDivergence`] of a batch.
///
/// With `q` the softmax of the row's logits `y`, `p` that of its targets, `m = (p + q) / 2` and `u_c = log(q_c / p_c)`:
///
/// ```text
/// KL(a || b)  = sum_c ( b_c - a_c + a_c * log(a_c / b_c) )
/// loss        = row_weight * ( KL(p || q), KL(q || p), or (KL(p || m) + KL(q || m)) / 2
///                              +  z_loss * lse(y)^2 )
/// dloss/dy_j  = row_weight * ( q_j - p_j,   q_j * (u_j - KL(q || p)),
///                              or q_j * (log(q_j / m_j) - KL(q || m)) / 2
///                              +  2 * z_loss * lse(y) * q_j )
/// ```
///
/// The added `b_c - a_c` sum to 0 and make every term at least 0, so that divergences far below a rounding of the
/// probabilities keep their digits. `KL(q || p)` is infinite where a class of `q` has no probability in `p`, and its derivative
/// NaN; `KL(p || q)` where a class of `p` has none in `q`, and its derivative is `q_j - p_j` all the same.
impl ReferenceLoss for LogitDivergence {
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation> {
        let scale = Scale::new(self.softcap, self.temperature);
        Ok(dense_rows::evaluate(&self.definition(), batch, scale, |q, targets| {
            let p = Row::new(targets, Scale::new(None, self.temperature));
            (p.is_finite() && q.is_finite()).then(|| {
                let (mut loss, mut gradient) = divergence(self.divergence, &classes(&p, q, self.temperature.into()));
                q.add_z_loss(self.z_loss, &mut loss, &mut gradient);
                RowLosses { losses: vec![loss], gradient }
            })
        }))
    }
}

/// A class with its two probabilities and the logarithm of their ratio, `log_ratio = log(q / p)`.
struct Class {
    p: f64,
    q: f64,
    log_ratio: f64,
}

impl Class {
    /// `log(m / p)`.
    fn log_mean_over_p(&self) -> f64 {
        log_mean_exp(self.log_ratio)
    }

    /// `log(m / q)`.
    fn log_mean_over_q(&self) -> f64 {
        log_mean_exp(-self.log_ratio)
    }

    fn mean(&self) -> f64 {
        self.p / 2.0 + self.q / 2.0
    }

    /// `q - p`.
    fn excess(&self) -> f64 {
        if self.log_ratio.abs() <= 1.0 { self.p * self.log_ratio.exp_m1() } else { self.q - self.p }
    }
}

/// The divergence and its derivative by each logit.
fn divergence(divergence: Divergence, classes: &[Class]) -> (f64, Vec<f64>) {
    let sum = |term: &dyn Fn(&Class) -> f64| classes.iter().fold(0.0, |sum, c| sum + term(c));
    let by_class = |value: fn(&Class) -> f64| -> Vec<f64> { classes.iter().map(value).collect() };
    let q = by_class(|c| c.q);
    match divergence {
        Divergence::Kl => (sum(&|c| kl_term(c.p, c.q, c.log_ratio)), by_class(Class::excess)),
        Divergence::ReverseKl => {
            let loss = sum(&|c| kl_term(c.q, c.p, -c.log_ratio));
            let gradient = through_softmax(&q, &by_class(|c| c.log_ratio));
            (loss, if loss.is_finite() { gradient } else { vec![f64::NAN; classes.len()] })
        }
        Divergence::JensenShannon => {
            let of_p = sum(&|c| kl_term(c.p, c.mean(), c.log_mean_over_p()));
            let of_q = sum(&|c| kl_term(c.q, c.mean(), c.log_mean_over_q()));
            (of_p / 2.0 + of_q / 2.0, through_softmax(&q, &by_class(|c| -c.log_mean_over_q() / 2.0)))
        }
    }
}

/// `b - a + a * log(a / b)`, given `v = log(b / a)`: `a * (exp(v) - 1 - v)`.
fn kl_term(a: f64, b: f64, v: f64) -> f64 {
    if v > 1.0 { b - a - weighted_by_probability(a, v) } else { weighted_by_probability(a, exp_beyond_tangent(v)) }
}

/// `probability * term`, where a class that does not occur contributes nothing.
fn weighted_by_probability(probability: f64, term: f64) -> f64 {
    if probability == 0.0 { 0.0 } else { probability * term }
}

/// The classes of a row, where `temperature` divides both logits.
///
/// Subtracting two log-probabilities would leave `log_ratio` with the rounding of either, which is too much for distributions
/// that nearly agree. There, with `d_c` the difference of the two logits less any constant:
///
/// ```text
/// log(q_c / p_c) = d_c - log sum_c p_c * exp(d_c)
/// ```
///
/// and the constant is the mean of the differences under `p`, which makes `d` about as small as the ratio.
fn classes(p: &Row, q: &Row, temperature: f64) -> Vec<Class> {
    let top = p.argmax();
    let occurs = |c: usize| p.probability(c) > 0.0 || q.probability(c) > 0.0;
    let difference = |c: usize| (q.difference(c, top) - p.difference(c, top)) / temperature;
    let all = || (0..p.classes()).filter(|&c| occurs(c));
    let mean = all().fold(0.0, |sum, c| sum + p.probability(c) * difference(c));
    let centred = |c: usize| difference(c) - mean;
    let near = all().all(|c| centred(c).abs() <= 1.0);
    let log_sum = all().fold(0.0, |sum, c| sum + p.probability(c) * centred(c).exp_m1()).ln_1p();
    let log_ratio = |c: usize| match (occurs(c), near) {
        (false, _) => 0.0,
        (true, true) => centred(c) - log_sum,
        (true, false) => p.surprisal(c) - q.surprisal(c),
    };
    (0..p.classes()).map(|c| Class { p: p.probability(c), q: q.probability(c), log_ratio: log_ratio(c) }).collect()
}
