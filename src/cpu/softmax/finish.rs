//! What the statistics of rows say: loss, log-partition, and the gradient's coefficients, for a bundle of rows at once.

use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::math::{Margin, ln_parts, weighted};
use crate::cpu::simd::{Lanes, Select, Simd, SimdBase, SimdFloat, load_lanes, splat, to_lanes};

/// Bundles that are finished together at most: enough that the steps of one need not wait for each other.
pub(in crate::cpu) const TILES: usize = 16;

/// A loss of the margin `z = rest - x_t` between the target and the other classes, without weights.
pub(in crate::cpu) trait MarginLoss: Sync {
    /// Loss, and its derivative by `z`.
    fn margin<S: Simd>(&self, simd: S, exp: Exp<S>, margin: &Margin<S>) -> (S::f32s, S::f32s);
}

/// What losses of a softmax have in common.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) struct SoftmaxOptions {
    pub(in crate::cpu) temperature: f32,
    pub(in crate::cpu) softcap: Option<f32>,
    pub(in crate::cpu) z_loss: f32,
    pub(in crate::cpu) label_smoothing: f32,
}

impl SoftmaxOptions {
    pub(super) fn inverse_temperature(&self) -> f32 {
        1.0 / self.temperature
    }
}

/// Statistics of a bundle of rows, one a lane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bundle {
    /// Of the classes other than the target, as in [`Merged`](super::partition::Merged).
    pub(super) reference: Lanes,
    pub(super) sum: Lanes,
    pub(super) deficit: Lanes,
    /// The target's logit, and what float32 rounds off of it.
    pub(super) target: Lanes,
    pub(super) target_low: Lanes,
    /// Weight of the target's class, and of the row.
    pub(super) class_weight: Lanes,
    pub(super) row_weight: Lanes,
}

/// A [`Bundle`] in vectors.
#[derive(Clone, Copy)]
pub(super) struct Statistics<S: Simd> {
    pub(super) reference: S::f32s,
    pub(super) sum: S::f32s,
    pub(super) deficit: S::f32s,
    pub(super) target: S::f32s,
    pub(super) target_low: S::f32s,
    /// The target's exponential relative to 0; used where that is the reference, of rows that are [near](Self::are_near).
    pub(super) target_exp: S::f32s,
    pub(super) class_weight: S::f32s,
    pub(super) row_weight: S::f32s,
}

impl Bundle {
    #[inline(always)]
    pub(super) fn statistics<S: Simd>(&self, simd: S) -> Statistics<S> {
        Statistics {
            reference: load_lanes(simd, &self.reference),
            sum: load_lanes(simd, &self.sum),
            deficit: load_lanes(simd, &self.deficit),
            target: load_lanes(simd, &self.target),
            target_low: load_lanes(simd, &self.target_low),
            target_exp: splat(simd, 0.0),
            class_weight: load_lanes(simd, &self.class_weight),
            row_weight: load_lanes(simd, &self.row_weight),
        }
    }
}

/// [`Finished`] in vectors.
#[derive(Clone, Copy)]
pub(super) struct Conclusion<S: Simd> {
    pub(super) loss: S::f32s,
    pub(super) lse: S::f32s,
    pub(super) log_prob: S::f32s,
    pub(super) softmax: S::f32s,
    pub(super) share: S::f32s,
    pub(super) at_target: S::f32s,
}

impl<S: Simd> Statistics<S> {
    #[inline(always)]
    pub(super) fn none(simd: S) -> Self {
        let zero = splat(simd, 0.0);
        Self {
            reference: zero,
            sum: zero,
            deficit: zero,
            target: zero,
            target_low: zero,
            target_exp: zero,
            class_weight: zero,
            row_weight: zero,
        }
    }

    /// From the target up to the reference.
    #[inline(always)]
    fn distance(&self) -> S::f32s {
        (self.reference - self.target) - self.target_low
    }
}

impl<S: Simd> Conclusion<S> {
    #[inline(always)]
    pub(super) fn none(simd: S) -> Self {
        let zero = splat(simd, 0.0);
        Self { loss: zero, lse: zero, log_prob: zero, softmax: zero, share: zero, at_target: zero }
    }

    #[inline(always)]
    pub(super) fn lanes(&self) -> Finished {
        Finished {
            loss: to_lanes::<S>(self.loss),
            lse: to_lanes::<S>(self.lse),
            log_prob: to_lanes::<S>(self.log_prob),
            softmax: to_lanes::<S>(self.softmax),
            share: to_lanes::<S>(self.share),
            at_target: to_lanes::<S>(self.at_target),
        }
    }
}

/// What a bundle came to, one row a lane.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cpu) struct Finished {
    /// Loss in nats, weights included.
    pub(in crate::cpu) loss: Lanes,
    /// Log-partition over all classes, and log-probability of the target.
    pub(super) lse: Lanes,
    pub(super) log_prob: Lanes,
    /// The gradient at a class other than the target is `softmax * exp((x_c - reference) / T) - share * w_c`.
    pub(super) softmax: Lanes,
    pub(super) share: Lanes,
    pub(super) at_target: Lanes,
}

impl Finished {
    /// Whether the row of a lane has a softmax. A row without one has no log-partition.
    pub(in crate::cpu) fn is_finite(&self, lane: usize) -> bool {
        !self.lse[lane].is_nan()
    }
}

/// What all bundles of a batch are finished with.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a, M> {
    pub(super) options: &'a SoftmaxOptions,
    pub(super) loss: &'a M,
    pub(super) classes: usize,
    /// Sum of the class weights.
    pub(super) weight_sum: f64,
    /// What gradients are multiplied by; absent if there are none.
    pub(super) gradient_scale: Option<f64>,
}

/// The margin of a bundle, on the way to its conclusion.
#[derive(Clone, Copy)]
struct Approach<S: Simd> {
    log_sum: S::f32s,
    z: S::f32s,
    /// `exp(-|z|)`
    odds: S::f32s,
}

/// With `miss = sigmoid(z)`, the derivative `slope` of the loss by `z`, and `over = logsumexp - reference`:
///
/// ```text
/// z    = (reference - x_t) / T + log(sum)
/// loss = r * ( (1 - e) * w_t * loss(z)  +  e/K * (w_t * softplus(z) + (sum w - w_t) * over + deficit / T)  +  z_loss * lse^2 )
/// ```
///
/// Every term of the smoothing is positive, and none is a difference of large numbers.
impl<M: MarginLoss> Finish<'_, M> {
    #[inline(always)]
    pub(super) fn one<S: Simd>(&self, simd: S, statistics: &Statistics<S>) -> Conclusion<S> {
        let exp = Exp::new(simd, 1.0);
        let approach = self.approach(simd, exp, statistics, ln_parts(simd, statistics.sum));
        self.conclude(simd, exp, statistics, approach)
    }

    /// Several bundles, [`TILES`] at most, step by step: a processor has several short chains of operations in flight, but no two of
    /// the length that all of them have together.
    #[inline(always)]
    pub(super) fn several<S: Simd>(
        &self,
        simd: S,
        statistics: impl Fn(usize) -> Statistics<S>,
        conclusions: &mut [Conclusion<S>],
    ) {
        // Not as many as there are, so that what is between the steps stays in registers.
        const STEP: usize = 4;
        let (exp, zero) = (Exp::new(simd, 1.0), splat(simd, 0.0));
        let (fours, rest) = conclusions.as_chunks_mut::<STEP>();
        let first_of_rest = fours.len() * STEP;
        for (j, conclusions) in fours.iter_mut().enumerate() {
            let mut log_sums = [[zero; 2]; STEP];
            let mut approaches = [Approach { log_sum: zero, z: zero, odds: zero }; STEP];
            for (i, log_sum) in log_sums.iter_mut().enumerate() {
                *log_sum = ln_parts(simd, statistics(j * STEP + i).sum);
            }
            for (i, approach) in approaches.iter_mut().enumerate() {
                *approach = self.approach(simd, exp, &statistics(j * STEP + i), log_sums[i]);
            }
            for (i, conclusion) in conclusions.iter_mut().enumerate() {
                *conclusion = self.conclude(simd, exp, &statistics(j * STEP + i), approaches[i]);
            }
        }
        for (i, conclusion) in rest.iter_mut().enumerate() {
            *conclusion = self.one(simd, &statistics(first_of_rest + i));
        }
    }

    #[inline(always)]
    fn approach<S: Simd>(
        &self,
        simd: S,
        exp: Exp<S>,
        statistics: &Statistics<S>,
        [log_sum, log_low]: [S::f32s; 2],
    ) -> Approach<S> {
        let inverse_t = splat(simd, self.options.inverse_temperature());
        let distance = statistics.distance();
        // The margin in two parts, so that a confident row's small loss does not have the rounding of a large margin, nor of the
        // two large numbers that it is the difference of where the reference is 0.
        let log_low = log_low - log_sum * splat(simd, Exp::<S>::excess(self.options.inverse_temperature()));
        let scaled = distance * inverse_t;
        let z = scaled + log_sum;
        let shadow = z - scaled;
        let rounding = (scaled - (z - shadow)) + (log_sum - shadow) + distance.mul_sub(inverse_t, scaled);
        let z_low = rounding + log_low;
        Approach { log_sum, z, odds: Margin::odds(simd, exp, z, z_low) }
    }

    #[inline(always)]
    fn conclude<S: Simd>(
        &self,
        simd: S,
        exp: Exp<S>,
        statistics: &Statistics<S>,
        approach: Approach<S>,
    ) -> Conclusion<S> {
        macro_rules! of {
            ($value:expr) => {
                splat(simd, $value)
            };
        }
        let Self { options, loss, classes, weight_sum, gradient_scale } = *self;
        let (zero, inverse_t) = (of!(0.0), of!(options.inverse_temperature()));
        let Statistics { reference, sum, deficit, target: x_t, class_weight: w_t, row_weight: r, .. } = *statistics;
        let Approach { log_sum, z, odds } = approach;
        let is_alone = sum.simd_eq(zero);
        let margin = Margin::of_odds(simd, z, odds);
        let over = is_alone.select(-(statistics.distance() * inverse_t), margin.softplus_negated + log_sum);
        let over_target = x_t.mul_add(inverse_t, margin.softplus);
        let lse = z.simd_lt(zero).select(over_target, reference.mul_add(inverse_t, over));
        // +inf at the target, or -inf at every class.
        let is_odd = x_t.simd_eq(of!(f32::INFINITY)) | (is_alone & x_t.simd_eq(of!(f32::NEG_INFINITY)));
        let nan = of!(f32::NAN);
        let is_odd = is_odd | z.simd_ne(z);

        let lse = is_odd.select(nan, lse);
        let (term, slope) = loss.margin(simd, exp, &margin);
        let own = w_t * of!(1.0 - options.label_smoothing);
        let mut total = weighted(simd, own, term);
        if options.z_loss > 0.0 {
            total += of!(options.z_loss) * lse * lse;
        }
        let share = options.label_smoothing / classes as f32;
        let w_rest = of!(weight_sum as f32) - w_t;
        if share > 0.0 {
            let deficit = deficit * inverse_t;
            let spread = weighted(simd, w_t, margin.softplus) + weighted(simd, w_rest, over) + deficit;
            total += of!(share) * spread;
        }
        let mut conclusion = Conclusion {
            loss: is_odd.select(nan, weighted(simd, r, total)),
            lse,
            log_prob: is_odd.select(nan, -margin.softplus),
            ..Conclusion::none(simd)
        };
        if let Some(gradient_scale) = gradient_scale {
            let drawn = if options.z_loss > 0.0 { lse * of!(2.0 * options.z_loss) } else { zero };
            let mut softmax = own.mul_add(slope, drawn * margin.sigmoid);
            let mut at_target = (drawn * margin.sigmoid_negated) - own * slope;
            if share > 0.0 {
                softmax += of!(share * weight_sum as f32) * margin.sigmoid;
                at_target += of!(share) * (w_rest * margin.sigmoid_negated - w_t * margin.sigmoid);
            }
            let scale = r * of!((gradient_scale / f64::from(options.temperature)) as f32);
            conclusion.softmax = is_alone.select(zero, softmax * scale / sum);
            conclusion.share = scale * of!(share);
            conclusion.at_target = at_target * scale;
        }
        conclusion
    }
}
