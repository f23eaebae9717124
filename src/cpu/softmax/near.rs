//! What the sums of rows near 0 say: a shorter way than [`Finish::several`], for losses of the margin and nothing else.

use super::finish::{Conclusion, Finish, MarginLoss, SoftmaxOptions, Statistics, TILES};
use super::partition::near_sums;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::math::{Margin, log2_roughly};
use crate::cpu::simd::{Mask, Select, Simd, SimdBase, SimdFloat, SimdMask, splat};

/// What the exponential of a target lies between: the odds against it are a normal number then, whatever the sum of its row.
const NEAR_TARGETS: [f32; 2] = [1.0 / (1_u64 << 63) as f32, (1_u64 << 63) as f32];

impl<S: Simd> Statistics<S> {
    /// Which rows are near 0, sum and target; their reference is that.
    #[inline(always)]
    pub(super) fn are_near(&self, simd: S) -> Mask<S> {
        let [least, most] = NEAR_TARGETS.map(|exp| splat(simd, exp));
        let is_target_near = self.target_exp.simd_ge(least) & self.target_exp.simd_le(most);
        near_sums(simd, self.sum) & is_target_near & self.reference.simd_eq(splat(simd, 0.0))
    }
}

/// What rows near 0 are finished with.
pub(super) struct Near<'a, S: Simd, M> {
    simd: S,
    loss: &'a M,
    /// What exponentials and their sums owe to the rounding of their factor, for each octave from 1, as a part of them.
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
    #[inline(always)]
    pub(super) fn new(simd: S, finish: &Finish<'a, M>) -> Self {
        let of = |value| splat(simd, value);
        let inverse_t = finish.options.inverse_temperature();
        let scale = finish.gradient_scale.map(|scale| (scale / f64::from(finish.options.temperature)) as f32);
        Self {
            simd,
            loss: finish.loss,
            excess: of(Exp::<S>::excess(inverse_t) * std::f32::consts::LN_2),
            scale: scale.map(of),
        }
    }

    /// The odds against the target are the sum of the other classes' exponentials over its own, and no logarithm has to be taken but
    /// that of the loss.
    #[inline(always)]
    fn odds(&self, statistics: &Statistics<S>) -> S::f32s {
        let odds = statistics.sum / statistics.target_exp;
        let excess = log2_roughly(self.simd, odds) * self.excess;
        odds.mul_add(-excess, odds)
    }

    /// What rows with these [`odds`](Self::odds) come to, if they are near 0; others come to any numbers. There is no log-partition.
    #[inline(always)]
    fn conclude(&self, statistics: &Statistics<S>, odds: S::f32s) -> Conclusion<S> {
        let Self { simd, loss, scale, .. } = *self;
        let Statistics { sum, class_weight, row_weight, .. } = *statistics;
        let margin = Margin::of_any_odds(simd, odds);
        let weight = class_weight * row_weight;
        let (term, slope) = loss.margin(simd, Exp::new(simd, 1.0), &margin);
        let mut conclusion = Conclusion { loss: weight * term, log_prob: -margin.softplus, ..Conclusion::none(simd) };
        if let Some(scale) = scale {
            let at_others = weight * scale * slope;
            conclusion.softmax = at_others / sum;
            conclusion.at_target = -at_others;
        }
        conclusion
    }

    /// As [`Finish::all`], of rows that all are near 0 and count with a weight of 1: their losses, and what their gradient takes.
    #[inline(always)]
    pub(super) fn plain(
        &self,
        statistics: impl Fn(usize) -> Statistics<S>,
        losses: &mut [S::f32s],
        conclusions: &mut [Conclusion<S>],
    ) {
        let one = splat(self.simd, 1.0);
        // As in `Finish::all`.
        for (k, loss) in losses.iter_mut().enumerate() {
            *loss = self.odds(&statistics(k));
        }
        for (k, (loss, to)) in losses.iter_mut().zip(conclusions).enumerate() {
            let statistics = Statistics { class_weight: one, row_weight: one, ..statistics(k) };
            let Conclusion { loss: of_tile, softmax, at_target, .. } = self.conclude(&statistics, *loss);
            *loss = of_tile;
            if self.scale.is_some() {
                (to.softmax, to.at_target) = (softmax, at_target);
            }
        }
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
            let (of_tile, are_near) = (statistics(k), statistics(k).are_near(simd));
            *to = near.conclude(&of_tile, odds);
            if needs_lse || !(are_near | !counts(k)).all_true() {
                self.complete(simd, &of_tile, are_near, to);
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

    /// Losses of rows of given sums and exponentials of targets; NaN where one is not near 0.
    struct Losses<'a> {
        temperature: f32,
        sums: &'a [f32],
        target_exps: &'a [f32],
    }

    impl Kernel for Losses<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let options =
                SoftmaxOptions { temperature: self.temperature, softcap: None, z_loss: 0.0, label_smoothing: 0.0 };
            let loss = CrossEntropy::default();
            let finish = Finish { options: &options, loss: &loss, classes: 2, weight_sum: 2.0, gradient_scale: None };
            let near = Near::new(simd, &finish);
            let one = splat(simd, 1.0);
            let mut losses = vec![0.0; self.sums.len()];
            for (i, to) in losses.chunks_exact_mut(S::f32s::LEN).enumerate() {
                let [sum, target_exp] =
                    [self.sums, self.target_exps].map(|values| load(simd, values, i * S::f32s::LEN));
                let none = Statistics::none(simd);
                let statistics = Statistics { sum, target_exp, class_weight: one, row_weight: one, ..none };
                let conclusion = near.conclude(&statistics, near.odds(&statistics));
                statistics.are_near(simd).select(conclusion.loss, splat(simd, f32::NAN)).store_slice(to);
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
            let from_end_to_end = |[lowest, highest]: [f32; 2], i: usize| {
                (lowest.log2() + (highest / lowest).log2() * ((i as f32 + 0.5) / STEPS as f32)).exp2()
            };
            let sums: Vec<f32> = (0..STEPS * STEPS).map(|i| from_end_to_end(NEAR_SUMS, i / STEPS)).collect();
            let target_exps: Vec<f32> = (0..STEPS * STEPS).map(|i| from_end_to_end(NEAR_TARGETS, i % STEPS)).collect();
            // What exponentials of an exact factor would have come to.
            let exact = 1.0 - f64::from(excess(1.0 / temperature));
            for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
                let losses = set.run(Losses { temperature, sums: &sums, target_exps: &target_exps });
                for ((&sum, &target_exp), &loss) in sums.iter().zip(&target_exps).zip(&losses) {
                    let margin = (f64::from(sum).ln() - f64::from(target_exp).ln()) * exact;
                    let want = margin.exp().ln_1p();
                    // 1/2 for the quotient, 1/2 for what the exact factor takes of it, and 3 for the logarithm; of the odds, a part of
                    // which at most the loss is off by.
                    let loss = f64::from(loss);
                    assert!(
                        (loss - want).abs() <= 4.0 * U * want,
                        "{set:?}: sum {sum}, target's exponential {target_exp}: {loss}, not {want}"
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
