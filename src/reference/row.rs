//! One row of logits: is it finite, which class is largest, how probable is each, and the losses of its softmax.

use super::math::sums_of_others;
use super::reduce::weighted;
use crate::Batch;

/// What happens to a logit `x` before the softmax: `y = softcap * tanh(x / softcap) / temperature`, or `x / temperature`.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    softcap: Option<f64>,
    temperature: f64,
}

impl Scale {
    pub(super) const NONE: Self = Self { softcap: None, temperature: 1.0 };

    pub(super) fn new(softcap: Option<f32>, temperature: f32) -> Self {
        Self { softcap: softcap.map(f64::from), temperature: temperature.into() }
    }

    fn cap(self, x: f64) -> f64 {
        self.softcap.map_or(x, |cap| cap * (x / cap).tanh())
    }

    /// `dy/dx = sech^2(x / softcap) / temperature`.
    fn slope(self, x: f64) -> f64 {
        self.softcap.map_or(1.0, |cap| (x / cap).cosh().powi(-2)) / self.temperature
    }
}

/// A row of K logits `y` and the statistics of its softmax, in float64.
///
/// With `a = argmax y` and `s = sum over c != a of exp(y_c - y_a)`:
///
/// ```text
/// logsumexp(y) = y_a + log(1 + s)
/// -log p_c     = (y_a - y_c) + log(1 + s)
/// ```
///
/// Both terms of `-log p_c` are at least 0, so nothing cancels; `log1p` keeps every digit of a confident row. The temperature
/// divides differences of logits, so that it rounds none of them.
pub(super) struct Row {
    /// `temperature * y`.
    capped: Vec<f64>,
    /// `dy/dx`.
    slopes: Vec<f64>,
    temperature: f64,
    argmax: usize,
    max: f64,
    /// `log(1 + s)`.
    log_sum: f64,
    finite: bool,
}

impl Row {
    pub(super) fn new(logits: &[f64], scale: Scale) -> Self {
        let capped: Vec<f64> = logits.iter().map(|&x| scale.cap(x)).collect();
        let (mut argmax, mut max) = (0, f64::NEG_INFINITY);
        for (c, &x) in capped.iter().enumerate() {
            if x > max {
                (argmax, max) = (c, x);
            }
        }
        let sum_of_others = (capped.iter().enumerate().filter(|&(c, _)| c != argmax))
            .fold(0.0, |sum, (_, x)| sum + ((x - max) / scale.temperature).exp());
        let finite = max.is_finite() && !capped.iter().any(|x| x.is_nan());
        let slopes = logits.iter().map(|&x| scale.slope(x)).collect();
        Self { capped, slopes, temperature: scale.temperature, argmax, max, log_sum: sum_of_others.ln_1p(), finite }
    }

    /// Row `row` of a batch.
    pub(super) fn of(batch: &Batch<'_>, row: u32, scale: Scale) -> Self {
        Self::new(&logits(batch, row), scale)
    }

    /// Whether the row has a softmax: no `y` is NaN or +inf, and at least one is more than -inf.
    pub(super) const fn is_finite(&self) -> bool {
        self.finite
    }

    /// The lowest index among the largest logits; NaN counts as -inf.
    pub(super) const fn argmax(&self) -> usize {
        self.argmax
    }

    /// `log sum_c exp(y_c)`, in nats; NaN for a row that is not finite.
    pub(super) fn lse(&self) -> f64 {
        if self.finite { self.max / self.temperature + self.log_sum } else { f64::NAN }
    }

    /// K.
    pub(super) const fn classes(&self) -> usize {
        self.capped.len()
    }

    /// `y_c`.
    pub(super) fn logit(&self, c: usize) -> f64 {
        self.capped[c] / self.temperature
    }

    /// `temperature * (y_c - y_d)`.
    pub(super) fn difference(&self, c: usize, d: usize) -> f64 {
        self.capped[c] - self.capped[d]
    }

    /// `dy_c / dx_c`.
    pub(super) fn slope(&self, c: usize) -> f64 {
        self.slopes[c]
    }

    /// `-log p_c`, in nats; +inf where `y_c` is -inf.
    pub(super) fn surprisal(&self, c: usize) -> f64 {
        (self.max - self.capped[c]) / self.temperature + self.log_sum
    }

    /// `p_c`.
    pub(super) fn probability(&self, c: usize) -> f64 {
        (-self.surprisal(c)).exp()
    }

    /// `1 - p_c`, to full relative precision.
    pub(super) fn complement(&self, c: usize) -> f64 {
        -(-self.surprisal(c)).exp_m1()
    }

    /// Number of classes larger than the target; of equal logits the lower class index counts as larger, and NaN counts as -inf.
    pub(super) fn rank(&self, target: usize) -> usize {
        let size = |x: f64| if x.is_nan() { f64::NEG_INFINITY } else { x };
        let x_t = size(self.capped[target]);
        let sizes = self.capped.iter().copied().map(size);
        sizes.enumerate().filter(|&(c, x)| x > x_t || (x == x_t && c < target)).count()
    }

    /// `sum_c a_c * -log p_c`. A term whose factor is 0 is 0 even if its log-probability is -inf.
    pub(super) fn cross_entropy(&self, factors: &[f64]) -> f64 {
        factors.iter().enumerate().fold(0.0, |sum, (c, &a)| sum + weighted(a, self.surprisal(c)))
    }

    /// Derivative of [`cross_entropy`](Self::cross_entropy) by each `y_j`:
    ///
    /// ```text
    /// sum_c a_c * (p_j - [j = c])  =  p_j * (sum over c != j of a_c)  -  a_j * (1 - p_j)
    /// ```
    pub(super) fn cross_entropy_gradient(&self, factors: &[f64]) -> Vec<f64> {
        let others = sums_of_others(factors);
        (0..self.classes()).map(|j| self.probability(j) * others[j] - factors[j] * self.complement(j)).collect()
    }

    /// `sum_c a_c * (1 - p_c)^gamma * -log p_c`.
    pub(super) fn focal(&self, factors: &[f64], gamma: f64) -> f64 {
        let focused: Vec<f64> = factors.iter().enumerate().map(|(c, a)| a * self.complement(c).powf(gamma)).collect();
        self.cross_entropy(&focused)
    }

    /// Derivative of [`focal`](Self::focal) by each `y_j`: that of cross-entropy with the factors
    ///
    /// ```text
    /// a_c * ( (1 - p_c)^gamma  +  gamma * (1 - p_c)^(gamma - 1) * p_c * -log p_c )
    /// ```
    ///
    /// and 0 where `p_c` is 1.
    pub(super) fn focal_gradient(&self, factors: &[f64], gamma: f64) -> Vec<f64> {
        let focused: Vec<f64> = (factors.iter().enumerate())
            .map(|(c, a)| match self.complement(c) {
                0.0 => 0.0,
                miss => {
                    let p_log_p = weighted(self.probability(c), self.surprisal(c));
                    a * (miss.powf(gamma) + gamma * miss.powf(gamma - 1.0) * p_log_p)
                }
            })
            .collect();
        self.cross_entropy_gradient(&focused)
    }

    /// Adds to a loss and its gradient by `y` those of `z_loss * logsumexp(y)^2`: `2 * z_loss * logsumexp(y) * p_j`.
    pub(super) fn add_z_loss(&self, z_loss: f32, loss: &mut f64, gradient: &mut [f64]) {
        let z_loss = f64::from(z_loss);
        *loss += z_loss * self.lse().powi(2);
        for (j, g) in gradient.iter_mut().enumerate() {
            *g += 2.0 * z_loss * self.lse() * self.probability(j);
        }
    }
}

/// Shape (classes): the logits of row `row`.
pub(super) fn logits(batch: &Batch<'_>, row: u32) -> Vec<f64> {
    (0..batch.layout.classes()).map(|class| f64::from(batch.logit(row, class))).collect()
}
