//! A softmax in float64, for losses whose terms cancel. Its loops have no branches, so that they are compiled to vectors.

use super::simd::exp64::{exp_of_negative, exp_of_negatives};
use super::simd::{Kernel, Simd, SimdBase};

/// Statistics of the softmax of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    /// The largest logit, and its class.
    pub(super) max: f64,
    pub(super) top: usize,
    /// `sum exp(y_c - max)` over the classes other than `top`.
    pub(super) rest: f64,
    /// `log(1 + rest)`.
    pub(super) log_sum: f64,
}

/// Numbers that go together through a loop: a vector of AVX-512.
pub(super) const LANES: usize = 8;

impl Statistics {
    /// `1 / (1 + rest)`: the probability of the top class.
    pub(super) fn scale(self) -> f64 {
        1.0 / (1.0 + self.rest)
    }

    /// Log-partition.
    pub(super) fn lse(self) -> f64 {
        self.max + self.log_sum
    }

    /// `-log p` of a logit.
    pub(super) fn surprisal(self, y: f64) -> f64 {
        (self.max - y) + self.log_sum
    }
}

/// Fills `e` with `exp(y_c - max)`; none if a logit is NaN or +inf, or all are -inf.
#[inline(always)]
pub(super) fn softmax<S: Simd>(simd: S, y: &[f64], e: &mut Vec<f64>) -> Option<Statistics> {
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let (chunks, tail) = y.as_chunks::<LANES>();
    let mut maxima = [f64::NEG_INFINITY; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            maxima[i] = larger(maxima[i], chunk[i]);
        }
    }
    let max = maxima.iter().chain(tail).fold(f64::NEG_INFINITY, |max, &y| larger(max, y));
    if !max.is_finite() {
        return None;
    }
    let is_near = |chunk: &[f64; LANES]| chunk.iter().fold(false, |found, &y| found | (y == max));
    let first = LANES * chunks.iter().position(is_near).unwrap_or(chunks.len());
    let top = first + y[first..].iter().position(|&y| y == max)?;

    e.resize(y.len(), 0.0);
    let (exponentials, last) = e.as_chunks_mut::<LANES>();
    let mut sums = [0.0; LANES];
    for (k, (e, y)) in exponentials.iter_mut().zip(chunks).enumerate() {
        for i in 0..LANES {
            e[i] = y[i] - max;
        }
        for e in e.chunks_exact_mut(S::f64s::LEN) {
            exp_of_negatives(simd, S::f64s::from_slice(simd, e)).store_slice(e);
        }
        // That of the largest, which is 1, would take the digits of a small sum.
        let skipped = if k == top / LANES { top % LANES } else { LANES };
        for i in 0..LANES {
            sums[i] += if i == skipped { 0.0 } else { e[i] };
        }
    }
    let mut rest: f64 = sums.iter().sum();
    for (c, (e, y)) in (LANES * chunks.len()..).zip(last.iter_mut().zip(tail)) {
        *e = exp_of_negative(y - max);
        rest += if c == top { 0.0 } else { *e };
    }
    // NaN is no largest logit, but it is in the sum.
    (!rest.is_nan()).then(|| Statistics { max, top, rest, log_sum: rest.ln_1p() })
}

/// Sum of the values, in eight interleaved parts.
#[inline(always)]
pub(super) fn total(values: &[f64]) -> f64 {
    let (chunks, tail) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] += chunk[i];
        }
    }
    sums.iter().chain(tail).sum()
}

/// [`softmax`] with the vector instructions of the processor.
pub(super) struct Softmax<'a> {
    pub(super) y: &'a [f64],
    pub(super) e: &'a mut Vec<f64>,
}

impl Kernel for Softmax<'_> {
    type Output = Option<Statistics>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<Statistics> {
        softmax(simd, self.y, self.e)
    }
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
pub(super) fn weighted(weight: f64, term: f64) -> f64 {
    if weight == 0.0 && term.is_infinite() { 0.0 } else { weight * term }
}
