//! A softmax in float64, for losses whose terms cancel. Its loops have no branches, so that they are compiled to vectors.

use super::simd::exp64::exp_of_negative;
use super::simd::{Kernel, Simd};

/// Statistics of the softmax of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    /// The largest logit, and its class.
    pub(super) max: f64,
    pub(super) top: usize,
    /// `sum exp(y_c - max)` over the classes other than `top`.
    pub(super) rest: f64,
}

impl Statistics {
    /// `1 / (1 + rest)`: the probability of the top class.
    pub(super) fn scale(self) -> f64 {
        1.0 / (1.0 + self.rest)
    }

    /// Log-partition.
    pub(super) fn lse(self) -> f64 {
        self.max + self.rest.ln_1p()
    }

    /// `-log p` of a logit.
    pub(super) fn surprisal(self, y: f64) -> f64 {
        (self.max - y) + self.rest.ln_1p()
    }
}

/// Fills `e` with `exp(y_c - max)`; none if a logit is NaN or +inf, or all are -inf.
#[inline(always)]
pub(super) fn softmax(y: &[f64], e: &mut Vec<f64>) -> Option<Statistics> {
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let mut maxima = [f64::NEG_INFINITY; 8];
    for chunk in y.chunks(8) {
        maxima.iter_mut().zip(chunk).for_each(|(max, &y)| *max = larger(*max, y));
    }
    let max = maxima.into_iter().fold(f64::NEG_INFINITY, larger);
    if !max.is_finite() {
        return None;
    }
    let top = y.iter().position(|&y| y == max)?;
    e.resize(y.len(), 0.0);
    e.iter_mut().zip(y).for_each(|(e, &y)| *e = exp_of_negative(y - max));
    e[top] = 0.0;
    let mut sums = [0.0; 8];
    for chunk in e.chunks(8) {
        sums.iter_mut().zip(chunk).for_each(|(sum, &e)| *sum += e);
    }
    e[top] = 1.0;
    let rest: f64 = sums.iter().sum();
    // NaN is no largest logit, but it is in the sum.
    (!rest.is_nan()).then_some(Statistics { max, top, rest })
}

/// [`softmax`] with the vector instructions of the processor.
pub(super) struct Softmax<'a> {
    pub(super) y: &'a [f64],
    pub(super) e: &'a mut Vec<f64>,
}

impl Kernel for Softmax<'_> {
    type Output = Option<Statistics>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<Statistics> {
        softmax(self.y, self.e)
    }
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
pub(super) fn weighted(weight: f64, term: f64) -> f64 {
    if weight == 0.0 && term.is_infinite() { 0.0 } else { weight * term }
}
