//! One row of logits: is it finite, which class is largest, how probable is each.

/// A row of K logits `y = x / temperature` and the statistics of its softmax, in float64.
///
/// With `a = argmax y` and `s = sum over c != a of exp(y_c - y_a)`:
///
/// ```text
/// logsumexp(y) = y_a + log(1 + s)
/// -log p_c     = (y_a - y_c) + log(1 + s)
/// ```
///
/// Both terms of `-log p_c` are at least 0, so nothing cancels; `log1p` keeps every digit of a confident row.
pub(super) struct Row {
    logits: Vec<f64>,
    argmax: usize,
    max: f64,
    /// `log(1 + s)`.
    log_sum: f64,
    finite: bool,
}

impl Row {
    pub(super) fn new(logits: &[f32], temperature: f64) -> Self {
        let logits: Vec<f64> = logits.iter().map(|&x| f64::from(x) / temperature).collect();
        let (mut argmax, mut max) = (0, f64::NEG_INFINITY);
        for (c, &y) in logits.iter().enumerate() {
            if y > max {
                (argmax, max) = (c, y);
            }
        }
        let sum_of_others =
            logits.iter().enumerate().filter(|&(c, _)| c != argmax).fold(0.0, |sum, (_, y)| sum + (y - max).exp());
        let finite = max.is_finite() && !logits.iter().any(|y| y.is_nan());
        Self { logits, argmax, max, log_sum: sum_of_others.ln_1p(), finite }
    }

    /// Whether the row has a softmax: no logit is NaN or +inf, and at least one is more than -inf.
    pub(super) const fn is_finite(&self) -> bool {
        self.finite
    }

    /// The lowest index among the largest logits; NaN counts as -inf.
    pub(super) const fn argmax(&self) -> usize {
        self.argmax
    }

    /// `log sum_c exp(y_c)`, in nats; NaN for a row that is not finite.
    pub(super) const fn lse(&self) -> f64 {
        if self.finite { self.max + self.log_sum } else { f64::NAN }
    }

    /// Number of classes.
    pub(super) const fn classes(&self) -> usize {
        self.logits.len()
    }

    /// `y_c`.
    pub(super) fn logit(&self, c: usize) -> f64 {
        self.logits[c]
    }

    /// `-log p_c`, in nats; +inf where `y_c` is -inf.
    pub(super) fn surprisal(&self, c: usize) -> f64 {
        (self.max - self.logits[c]) + self.log_sum
    }

    /// `p_c`.
    pub(super) fn probability(&self, c: usize) -> f64 {
        (-self.surprisal(c)).exp()
    }

    /// `1 - p_c`, to full relative precision.
    pub(super) fn complement(&self, c: usize) -> f64 {
        -(-self.surprisal(c)).exp_m1()
    }

    /// Number of classes larger than the target; of equal logits the lower class index counts as larger.
    pub(super) fn rank(&self, target: usize) -> usize {
        let y_t = self.logits[target];
        self.logits.iter().enumerate().filter(|&(c, &y)| y > y_t || (y == y_t && c < target)).count()
    }
}
