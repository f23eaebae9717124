//! A tile of rows: their losses, and the gradient.

use super::{Classes, DenseLoss};
use crate::cpu::simd::{Select, Simd, SimdBase};
use crate::cpu::wide::{Chain, Direction, Statistics, Wide, WideMask, load, load_narrow, splat, store, wide_len};

/// Tiles of one shape.
pub(super) struct Tile<'a, S: Simd> {
    pub(super) classes: usize,
    pub(super) of_logits: Statistics<S>,
    /// Where targets are logits.
    pub(super) of_targets: Option<Statistics<S>>,
    /// Scaled logits; [`sums`](Self::sums) may leave derivatives by log-probabilities.
    pub(super) y: &'a mut [f64],
    pub(super) e: &'a [f64],
    pub(super) t: &'a [f32],
    pub(super) target_y: &'a mut [f64],
    pub(super) target_e: &'a mut [f64],
    /// A row of them.
    pub(super) class_weights: &'a [f64],
}

/// Sums over the classes of a tile's rows, in each lane those of its row.
pub(super) struct Sums<S: Simd> {
    /// Losses without their weights.
    pub(super) loss: Wide<S>,
    /// Derivatives by log-probabilities, of the most probable class and of the others.
    top: Wide<S>,
    others: Wide<S>,
}

/// `z lse^2` of each row.
pub(super) struct ZLoss<S: Simd> {
    factor: f64,
    lse: Wide<S>,
}

impl<S: Simd> ZLoss<S> {
    #[inline(always)]
    pub(super) fn new(factor: f64, statistics: &Statistics<S>) -> Self {
        let mut lse = statistics.max;
        for (lse, log_sum) in lse.iter_mut().zip(statistics.log_sum) {
            *lse += log_sum;
        }
        Self { factor, lse }
    }

    /// That, times `share`.
    #[inline(always)]
    pub(super) fn penalties(&self, simd: S, share: f64) -> Wide<S> {
        let mut penalties = self.lse;
        for lse in &mut penalties {
            *lse = *lse * *lse * S::f64s::splat(simd, self.factor * share);
        }
        penalties
    }

    /// The derivative by the log-partition.
    #[inline(always)]
    fn slopes(&self, simd: S) -> Wide<S> {
        let mut slopes = self.lse;
        for lse in &mut slopes {
            *lse *= S::f64s::splat(simd, 2.0 * self.factor);
        }
        slopes
    }
}

impl<S: Simd> Tile<'_, S> {
    /// Rows whose logits, and targets where those are logits, have a softmax.
    #[inline(always)]
    pub(super) fn finite(&self) -> WideMask<S> {
        let mut finite = self.of_logits.finite;
        if let Some(of_targets) = &self.of_targets {
            for (finite, of_targets) in finite.iter_mut().zip(of_targets.finite) {
                *finite &= of_targets;
            }
        }
        finite
    }

    /// Adds up the terms of the classes, whose losses `visit` sees too, with the number of their chunk. Derivatives are kept and added
    /// up for a gradient alone.
    #[inline(always)]
    pub(super) fn sums<L: DenseLoss, D: Direction>(
        &mut self,
        simd: S,
        loss: &L,
        has_gradient: bool,
        visit: impl FnMut(usize, &Wide<S>),
    ) -> Sums<S> {
        if has_gradient {
            self.add_up::<L, D, true>(simd, loss, visit)
        } else {
            self.add_up::<L, D, false>(simd, loss, visit)
        }
    }

    #[inline(always)]
    fn add_up<L: DenseLoss, D: Direction, const GRADIENT: bool>(
        &mut self,
        simd: S,
        loss: &L,
        mut visit: impl FnMut(usize, &Wide<S>),
    ) -> Sums<S> {
        let (n, of_logits, zero) = (wide_len::<S>(), &self.of_logits, S::f64s::splat(simd, 0.0));
        let mut sums = Sums { loss: splat(simd, 0.0), top: splat(simd, 0.0), others: splat(simd, 0.0) };
        for (k, y) in self.y.chunks_exact_mut(n).enumerate() {
            let at = k * n;
            let (mut slopes, e, t) = (load(simd, y), load(simd, &self.e[at..]), load_narrow(simd, &self.t[at..]));
            let (mut p, mut target_y) = (t, t);
            if let Some(of_targets) = &self.of_targets {
                (p, target_y) = (load(simd, &self.target_e[at..]), load(simd, &self.target_y[at..]));
                for i in 0..p.len() {
                    p[i] *= of_targets.scale[i];
                    target_y[i] = of_targets.surprisal(i, target_y[i]);
                }
            }
            let weights = D::of_classes(simd, self.class_weights, at);
            let classes = D::classes(simd, at);
            let mut losses = slopes;
            for i in 0..losses.len() {
                let of = Classes {
                    q: e[i] * of_logits.scale[i],
                    surprisal: of_logits.surprisal(i, slopes[i]),
                    t: p[i],
                    target_surprisal: target_y[i],
                    weight: weights[i],
                };
                let terms = loss.terms(simd, self.classes, &of);
                (losses[i], slopes[i]) = (terms.loss, terms.slope);
                sums.loss[i] += terms.loss;
                if GRADIENT {
                    let is_top = of_logits.top[i].simd_eq(classes[i]);
                    sums.top[i] = is_top.select(terms.slope, sums.top[i]);
                    sums.others[i] += is_top.select(zero, terms.slope);
                }
            }
            if GRADIENT {
                store::<S>(&slopes, y);
            }
            visit(k, &losses);
        }
        sums.loss = D::total(simd, sums.loss);
        sums.top = D::total(simd, sums.top);
        sums.others = D::total(simd, sums.others);
        sums
    }

    /// Calls `visit` with the derivatives by the scaled logits, and with where in the tile they are.
    #[inline(always)]
    pub(super) fn gradient<D: Direction>(
        &self,
        simd: S,
        sums: &Sums<S>,
        z_loss: &ZLoss<S>,
        mut visit: impl FnMut(usize, &Wide<S>),
    ) {
        let n = wide_len::<S>();
        let chain = Chain::new(&self.of_logits, &sums.top, &sums.others, &z_loss.slopes(simd));
        for (k, (h, e)) in self.y.chunks_exact(n).zip(self.e.chunks_exact(n)).enumerate() {
            let (mut gradient, e, classes) = (load(simd, h), load(simd, e), D::classes(simd, k * n));
            for (i, g) in gradient.iter_mut().enumerate() {
                *g = chain.by_logit(i, classes[i], *g, e[i]);
            }
            visit(k * n, &gradient);
        }
    }
}
