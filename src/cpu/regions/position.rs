//! Losses of single positions, which are added to those of regions.

use super::tile::Positions;
use crate::cpu::simd::exp64::exponentials;
use crate::cpu::simd::log64::{logarithms, logarithms_of_one_more};
use crate::cpu::simd::{Select, Simd, SimdBase};
use crate::cpu::wide::{Statistics, WIDE, Wide, splat, times};

/// A loss of one position.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) enum PositionLoss {
    CrossEntropy,
    /// With an exponent above 0.
    Focal(f64),
}

/// What a class of each position contributes.
pub(super) struct Terms<S: Simd> {
    loss: Wide<S>,
    /// Derivative by the logarithm of the class's probability of a softmax, or by its logit.
    pub(super) slope: Wide<S>,
}

impl PositionLoss {
    pub(in crate::cpu) fn focal(gamma: f32) -> Self {
        if gamma == 0.0 { Self::CrossEntropy } else { Self::Focal(gamma.into()) }
    }

    /// The losses of a tile; NaN of a position that is not finite, 0 of one that does not count.
    #[inline(always)]
    pub(super) fn losses<S: Simd>(self, positions: &Positions<'_, S>) -> Wide<S> {
        let simd = positions.simd;
        let mut losses = splat(simd, 0.0);
        for class in 0..positions.context.all_classes() {
            let terms = self.terms(positions, class);
            for (sum, loss) in losses.iter_mut().zip(terms.loss) {
                *sum += loss;
            }
        }
        let (zero, nan) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, f64::NAN));
        for (i, loss) in losses.iter_mut().enumerate() {
            *loss = positions.counts[i].select(positions.finite[i].select(*loss, nan), zero);
        }
        losses
    }

    /// Those of a class; of a position that does not count they may be anything.
    #[inline(always)]
    pub(super) fn terms<S: Simd>(self, positions: &Positions<'_, S>, class: usize) -> Terms<S> {
        match positions.statistics() {
            Some(statistics) => self.of_softmax(positions, statistics, class),
            None => self.of_sigmoid(positions, class),
        }
    }

    /// `w t (1 - p)^gamma * -log p`, and its derivative by `log p`.
    #[inline(always)]
    fn of_softmax<S: Simd>(self, positions: &Positions<'_, S>, statistics: &Statistics<S>, class: usize) -> Terms<S> {
        let simd = positions.simd;
        let (zero, one) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, 1.0));
        let weight = S::f64s::splat(simd, positions.context.class_weight(class));
        let (mut loss, mut slope) = (positions.logits(class), positions.targets(class));
        let predictions = positions.predictions(class);
        for i in 0..WIDE {
            let (a, surprisal) = (weight * slope[i], statistics.surprisal(i, loss[i]));
            // A class without a target contributes nothing, even at a logit of -inf.
            (loss[i], slope[i]) = (times(simd, a, surprisal), -a);
            if let Self::Focal(gamma) = self {
                let (p, miss) = (predictions.p[i], predictions.miss[i]);
                let modulation = power(simd, miss, gamma);
                let bend = times(simd, p, surprisal) / miss * S::f64s::splat(simd, gamma);
                let is_certain = miss.simd_eq(zero);
                loss[i] = is_certain.select(zero, modulation * loss[i]);
                slope[i] = is_certain.select(zero, times(simd, -a, modulation * (one + bend)));
            }
        }
        Terms { loss, slope }
    }

    /// `w / K * miss^gamma bce(x, t)` with `miss = p (1 - t) + (1 - p) t`, and its derivative by `x`.
    #[inline(always)]
    fn of_sigmoid<S: Simd>(self, positions: &Positions<'_, S>, class: usize) -> Terms<S> {
        let (simd, context) = (positions.simd, positions.context);
        let (zero, one) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, 1.0));
        let weight = S::f64s::splat(simd, context.class_weight(class) / context.all_classes() as f64);
        let (mut loss, mut slope) = (positions.logits(class), positions.targets(class));
        let (e, predictions) = (positions.exponentials(class), positions.predictions(class));
        for i in 0..WIDE {
            let (x, t) = (loss[i], slope[i]);
            let (p, not_p, not_t) = (predictions.p[i], predictions.miss[i], one - t);
            let log = logarithms_of_one_more(simd, e[i]);
            let is_positive = x.simd_gt(zero);
            let cost = is_positive.select(log, log - x);
            let cost_of_miss = is_positive.select(log + x, log);
            let ce = times(simd, t, cost) + times(simd, not_t, cost_of_miss);
            let excess = p * not_t - not_p * t;
            (loss[i], slope[i]) = (times(simd, weight, ce), times(simd, weight, excess));
            if let Self::Focal(gamma) = self {
                let miss = p * not_t + not_p * t;
                let modulation = power(simd, miss, gamma);
                let by_miss = (one - (t + t)) * p * not_p * S::f64s::splat(simd, gamma);
                let by_x = excess + times(simd, by_miss, ce / miss);
                loss[i] = times(simd, weight, times(simd, modulation, ce));
                slope[i] = times(simd, weight, miss.simd_eq(zero).select(zero, modulation * by_x));
            }
        }
        Terms { loss, slope }
    }
}

/// `x^exponent` with an exponent above 0. Of less than 0, which targets outside \[0, 1\] may lead to, it is 0, but for a square.
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::f64s, exponent: f64) -> S::f64s {
    if exponent == 2.0 {
        return x * x;
    }
    let zero = S::f64s::splat(simd, 0.0);
    let power = exponentials(simd, logarithms(simd, x) * S::f64s::splat(simd, exponent));
    x.simd_le(zero).select(zero, power)
}
