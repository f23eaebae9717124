//! The softmax of a tile's rows.

use super::{Along, Direction, Wide, WideMask, load, splat, store, wide_len};
use crate::cpu::simd::exp64::exp_of_negatives;
use crate::cpu::simd::log64::logarithms_of_one_more;
use crate::cpu::simd::{Kernel, Select, Simd, SimdBase, SimdFloat};

/// Statistics of the softmax of a tile's rows, in each lane those of its row.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Statistics<S: Simd> {
    /// The largest logit, and its class.
    pub(in crate::cpu) max: Wide<S>,
    pub(in crate::cpu) top: Wide<S>,
    /// `sum exp(y_c - max)` over the classes other than `top`.
    pub(in crate::cpu) rest: Wide<S>,
    /// `log(1 + rest)`.
    pub(in crate::cpu) log_sum: Wide<S>,
    /// `1 / (1 + rest)`: the probability of the top class.
    pub(in crate::cpu) scale: Wide<S>,
    /// No logit is NaN or +inf, and not all are -inf.
    pub(in crate::cpu) finite: WideMask<S>,
}

impl<S: Simd> Statistics<S> {
    /// `-log p` of a logit.
    #[inline(always)]
    pub(in crate::cpu) fn surprisal(&self, i: usize, y: S::f64s) -> S::f64s {
        (self.max[i] - y) + self.log_sum[i]
    }
}

/// From slopes `h_c` by the log-probabilities of a tile's rows to derivatives by their logits, `h_j - q_j sum_c h_c`.
///
/// Of the most probable class, whose `q` is 1 less a small number, that is the same number of the sum less what the others have.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Chain<S: Simd> {
    /// Minus the sum, to be multiplied by `exp(y_j - max)`.
    factor: Wide<S>,
    /// The derivative by the most probable class's logit, and which class that is.
    of_top: Wide<S>,
    top: Wide<S>,
}

impl<S: Simd> Chain<S> {
    /// Of the slope of the most probable class, the sum of the others', and the derivative by the log-partition besides.
    #[inline(always)]
    pub(in crate::cpu) fn new(of: &Statistics<S>, top: &Wide<S>, others: &Wide<S>, lse: &Wide<S>) -> Self {
        let (mut factor, mut of_top) = (*lse, *others);
        for i in 0..factor.len() {
            let (total, scale) = (top[i] + others[i], of.scale[i]);
            of_top[i] = total * (of.rest[i] * scale) - others[i] + lse[i] * scale;
            factor[i] = (lse[i] - total) * scale;
        }
        Self { factor, of_top, top: of.top }
    }

    /// The derivative by a logit of vector `i`, given its class, its slope, and `exp(y_j - max)`.
    #[inline(always)]
    pub(in crate::cpu) fn by_logit(&self, i: usize, class: S::f64s, slope: S::f64s, e: S::f64s) -> S::f64s {
        self.top[i].simd_eq(class).select(self.of_top[i], e.mul_add(self.factor[i], slope))
    }
}

/// Fills `e` with `exp(y_c - max)`. Both are tiles. `between` is called with the number of each chunk among the exponentials: what
/// waits for memory goes there.
#[inline(always)]
pub(in crate::cpu) fn softmax<S: Simd, D: Direction>(
    simd: S,
    y: &[f64],
    e: &mut [f64],
    between: impl Fn(usize),
) -> Statistics<S> {
    let n = wide_len::<S>();
    let (mut max, mut top) = (splat(simd, f64::NEG_INFINITY), splat(simd, 0.0));
    for (k, y) in y.chunks_exact(n).enumerate() {
        let (y, classes) = (load(simd, y), D::classes(simd, k * n));
        for i in 0..y.len() {
            let is_larger = y[i].simd_gt(max[i]);
            max[i] = is_larger.select(y[i], max[i]);
            top[i] = is_larger.select(classes[i], top[i]);
        }
    }
    let (max, top) = D::largest(simd, max, top);

    let mut rest = splat(simd, 0.0);
    for (k, (y, e)) in y.chunks_exact(n).zip(e.chunks_exact_mut(n)).enumerate() {
        between(k);
        let (mut of_chunk, classes) = (load(simd, y), D::classes(simd, k * n));
        for (i, x) in of_chunk.iter_mut().enumerate() {
            *x = exp_of_negatives(simd, *x - max[i]);
            // That of the largest, which is 1, would take the digits of a small sum.
            rest[i] += top[i].simd_eq(classes[i]).select(S::f64s::splat(simd, 0.0), *x);
        }
        store::<S>(&of_chunk, e);
    }
    let rest = D::total(simd, rest);

    let (one, zero) = (S::f64s::splat(simd, 1.0), S::f64s::splat(simd, 0.0));
    let infinity = S::f64s::splat(simd, f64::INFINITY);
    let (mut log_sum, mut scale, mut finite) = (rest, rest, [zero.simd_eq(zero); super::WIDE]);
    for i in 0..rest.len() {
        log_sum[i] = logarithms_of_one_more(simd, rest[i]);
        scale[i] = one / (one + rest[i]);
        // NaN is no largest logit, but it is in the sum.
        finite[i] = max[i].abs().simd_lt(infinity) & rest[i].simd_lt(infinity);
    }
    Statistics { max, top, rest, log_sum, scale, finite }
}

/// The log-partition of a row in two parts, the largest logit and the logarithm of the sum relative to it; none if a logit is NaN or
/// +inf, or all are -inf. `y` and `e` are memory.
pub(in crate::cpu) struct LogPartition<'a> {
    pub(in crate::cpu) x: &'a [f32],
    pub(in crate::cpu) y: &'a mut Vec<f64>,
    pub(in crate::cpu) e: &'a mut Vec<f64>,
}

impl Kernel for LogPartition<'_> {
    type Output = Option<(f64, f64)>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<(f64, f64)> {
        let Self { x, y, e } = self;
        y.clear();
        y.extend(x.iter().map(|&x| f64::from(x)));
        y.resize(Along::numbers::<S>(x.len()), f64::NEG_INFINITY);
        e.resize(y.len(), 0.0);
        let statistics = softmax::<S, Along>(simd, y, e, |_| {});
        let (mut max, mut log_sum) = ([0.0; super::MAX_WIDE], [0.0; super::MAX_WIDE]);
        store::<S>(&statistics.max, &mut max);
        store::<S>(&statistics.log_sum, &mut log_sum);
        (max[0].is_finite() && !log_sum[0].is_nan()).then_some((max[0], log_sum[0]))
    }
}
