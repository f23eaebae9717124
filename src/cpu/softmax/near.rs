//! What the sums of rows near 0 say: a shorter way than [`Finish::several`], for losses of the margin and nothing else.

use super::finish::{Conclusion, Finish, MarginLoss, SoftmaxOptions, Statistics, TILES};
use super::partition::near_sums;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::math::{Margin, log2_roughly};
use crate::cpu::simd::{Mask, Select, Simd, SimdBase, SimdMask, splat};

/// Octaves from 0 within which a target's logit is near it: its odds are a normal number then, whatever the sum of its row.
const NEAR_TARGETS: f32 = 64.0;

/// What rows near 0 are finished with.
pub(super) struct Near<'a, S: Simd, M> {
    simd: S,
    loss: &'a M,
    /// With a factor of one over the temperature.
    exp: Exp<S>,
    /// The largest logit of a target that is near.
    limit: S::f32s,
    /// What the exponentials in a sum owe to the rounding of their factor, for each octave of it.
    excess: S::f32s,
    /// What gradients are multiplied by; absent if there are none.
    scale: Option<S::f32s>,
}

impl SoftmaxOptions {
    /// Whether a loss is of the margin and nothing else.
    pub(super) fn is_of_margin(&self) -> bool {
        self.label_smoothing == 0.0 && self.z_loss == 0.0 && self.softcap.is_none()
    }
}

impl<'a, S: Simd, M: MarginLoss> Near<'a, S, M> {
    /// `exp` has a factor of one over the temperature.
    #[inline(always)]
    pub(super) fn new(simd: S, exp: Exp<S>, finish: &Finish<'a, M>) -> Self {
        let of = |value| splat(simd, value);
        let inverse_t = finish.options.inverse_temperature();
        let octave = std::f32::consts::LN_2 / inverse_t;
        let scale = finish.gradient_scale.map(|scale| (scale / f64::from(finish.options.temperature)) as f32);
        Self {
            simd,
            loss: finish.loss,
            exp,
            limit: of(NEAR_TARGETS * octave),
            excess: of(-Exp::<S>::excess(inverse_t) * octave),
            scale: scale.map(of),
        }
    }

    /// With `sum` that of the exponentials of the other classes, relative to 0, the odds against the target are
    ///
    /// ```text
    /// e^z = sum exp(-x_t / T)
    /// ```
    ///
    /// and no logarithm has to be taken but that of the loss.
    #[inline(always)]
    fn odds(&self, statistics: &Statistics<S>) -> S::f32s {
        let Self { simd, exp, excess, .. } = *self;
        statistics.sum * exp.of_two(-statistics.target, log2_roughly(simd, statistics.sum) * excess)
    }

    /// What rows with these [`odds`](Self::odds) come to, and which of them are near 0; others come to any numbers. There is no
    /// log-partition.
    #[inline(always)]
    fn conclude(&self, statistics: &Statistics<S>, odds: S::f32s) -> (Conclusion<S>, Mask<S>) {
        let Self { simd, loss, limit, scale, .. } = *self;
        let Statistics { reference, sum, target, class_weight, row_weight, .. } = *statistics;
        let is_near = near_sums(simd, sum) & target.abs().simd_lt(limit) & reference.simd_eq(splat(simd, 0.0));
        let margin = Margin::of_any_odds(simd, odds);
        let weight = class_weight * row_weight;
        let (term, slope) = loss.margin(simd, Exp::new(simd, 1.0), &margin);
        let mut conclusion = Conclusion { loss: weight * term, log_prob: -margin.softplus, ..Conclusion::none(simd) };
        if let Some(scale) = scale {
            let at_others = weight * scale * slope;
            conclusion.softmax = at_others / sum;
            conclusion.at_target = -at_others;
        }
        (conclusion, is_near)
    }
}

impl<M: MarginLoss> Finish<'_, M> {
    /// Finishes bundles, [`TILES`](super::finish::TILES) at most: rows near 0 by [`Near::conclude`], others by [`one`](Self::one).
    /// Which it is is up to each row alone. `counts` says which rows of a bundle count; the log-partition is only there if it is
    /// needed, or if not all rows of a bundle are near.
    #[inline(always)]
    pub(super) fn all<S: Simd>(
        &self,
        simd: S,
        near: Option<&Near<'_, S, M>>,
        statistics: impl Fn(usize) -> Statistics<S>,
        counts: impl Fn(usize) -> Mask<S>,
        needs_lse: bool,
        conclusions: &mut [Conclusion<S>],
    ) {
        let Some(near) = near else { return self.several(simd, statistics, conclusions) };
        // Two loops: each step is a long chain of operations, and a processor has more of the shorter ones in flight.
        let mut odds = [splat(simd, 0.0); TILES];
        for (k, odds) in odds[..conclusions.len()].iter_mut().enumerate() {
            *odds = near.odds(&statistics(k));
        }
        for (k, (to, odds)) in conclusions.iter_mut().zip(odds).enumerate() {
            let (conclusion, are_near) = near.conclude(&statistics(k), odds);
            *to = conclusion;
            if needs_lse || !(are_near | !counts(k)).all_true() {
                self.complete(simd, &statistics(k), are_near, to);
            }
        }
    }

    /// Finishes the rows of a bundle that are not near 0, and gives the log-partition of all.
    #[cold]
    fn complete<S: Simd>(
        &self,
        simd: S,
        statistics: &Statistics<S>,
        are_near: Mask<S>,
        conclusion: &mut Conclusion<S>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let others = self.one(simd, statistics);
                conclusion.lse = others.lse;
                conclusion.loss = are_near.select(conclusion.loss, others.loss);
                conclusion.log_prob = are_near.select(conclusion.log_prob, others.log_prob);
                conclusion.softmax = are_near.select(conclusion.softmax, others.softmax);
                conclusion.at_target = are_near.select(conclusion.at_target, others.at_target);
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Finish, NEAR_TARGETS, Near, SoftmaxOptions, Statistics};
    use crate::CrossEntropy;
    use crate::cpu::Instructions;
    use crate::cpu::simd::exp::Exp;
    use crate::cpu::simd::{Kernel, Select, Simd, SimdBase, load, splat};
    use crate::cpu::softmax::partition::NEAR_SUMS;

    /// Losses of rows of given sums and targets; NaN where one is not near 0.
    struct Losses<'a> {
        temperature: f32,
        sums: &'a [f32],
        targets: &'a [f32],
    }

    impl Kernel for Losses<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let options =
                SoftmaxOptions { temperature: self.temperature, softcap: None, z_loss: 0.0, label_smoothing: 0.0 };
            let loss = CrossEntropy::default();
            let finish = Finish { options: &options, loss: &loss, classes: 2, weight_sum: 2.0, gradient_scale: None };
            let near = Near::new(simd, Exp::new(simd, options.inverse_temperature()), &finish);
            let one = splat(simd, 1.0);
            let mut losses = vec![0.0; self.sums.len()];
            for (i, to) in losses.chunks_exact_mut(S::f32s::LEN).enumerate() {
                let [sum, target] = [self.sums, self.targets].map(|values| load(simd, values, i * S::f32s::LEN));
                let none = Statistics::none(simd);
                let statistics = Statistics { sum, target, class_weight: one, row_weight: one, ..none };
                let (conclusion, is_near) = near.conclude(&statistics, near.odds(&statistics));
                is_near.select(conclusion.loss, splat(simd, f32::NAN)).store_slice(to);
            }
            losses
        }
    }

    #[test]
    fn losses_of_rows_near_0_are_those_of_float64() {
        const U: f64 = 1.0 / (1 << 24) as f64;
        const STEPS: usize = 256;
        for temperature in [1.0_f32, 0.7, 13.0] {
            // Both from end to end, in octaves.
            let [lowest, highest] = NEAR_SUMS.map(f32::log2);
            let limit = NEAR_TARGETS * 0.999 * std::f32::consts::LN_2 * temperature;
            let at = |i: usize| (i as f32 + 0.5) / STEPS as f32;
            let sums: Vec<f32> =
                (0..STEPS * STEPS).map(|i| (lowest + (highest - lowest) * at(i / STEPS)).exp2()).collect();
            let targets: Vec<f32> = (0..STEPS * STEPS).map(|i| limit * (2.0 * at(i % STEPS) - 1.0)).collect();
            for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
                let losses = set.run(Losses { temperature, sums: &sums, targets: &targets });
                for ((&sum, &target), &loss) in sums.iter().zip(&targets).zip(&losses) {
                    let factor = 1.0 / temperature;
                    let (octaves, sum) = (f64::from(target * factor).abs() / 2.0_f64.ln(), f64::from(sum));
                    // What exponentials of an exact factor would have added up to.
                    let margin = sum.ln() * (1.0 - f64::from(excess(factor))) - f64::from(target) * f64::from(factor);
                    let want = margin.exp().ln_1p();
                    // 2.9 for the exponential, 1/2 for the product and 3 for the logarithm; without a fused instruction the exponent rounds.
                    let tolerance = U * (6.5 + if set == Instructions::Baseline { octaves } else { 0.0 });
                    let loss = f64::from(loss);
                    assert!(
                        (loss - want).abs() <= tolerance * want,
                        "{set:?}: sum {sum}, target {target}: {loss}, not {want}"
                    );
                }
            }
        }
    }

    /// [`Exp::excess`], which does not depend on the vector.
    fn excess(factor: f32) -> f32 {
        struct Excess(f32);
        impl Kernel for Excess {
            type Output = f32;

            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> f32 {
                Exp::<S>::excess(self.0)
            }
        }
        Instructions::Baseline.run(Excess(factor))
    }
}
