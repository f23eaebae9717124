//! Losses of single positions, which are added to those of regions.

use super::Context;
use super::tile::{Lanes, Tile};
use crate::Activation;
use crate::cpu::simd::exp64::exp_of_negative;
use crate::cpu::wide::weighted;

/// A loss of one position.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) enum PositionLoss {
    CrossEntropy,
    Focal(f64),
}

impl PositionLoss {
    /// The losses of a tile; NaN of a position that is not finite, 0 of one that does not count.
    #[inline(always)]
    pub(super) fn losses<const N: usize>(self, context: &Context<'_>, tile: &Tile<N>) -> Lanes<N> {
        let mut losses = match context.activation {
            Activation::Softmax => self.of_softmax(context, tile, |_, _| {}),
            Activation::Sigmoid => self.of_sigmoid(context, tile, |_, _| {}),
        };
        for (i, loss) in losses.iter_mut().enumerate() {
            let finite = if tile.finite[i] { *loss } else { f64::NAN };
            *loss = if tile.counts[i] { finite } else { 0.0 };
        }
        losses
    }

    /// Their derivatives by the logits, class by class; of a position that does not count they may be anything.
    #[inline(always)]
    pub(super) fn gradients<const N: usize>(self, context: &Context<'_>, tile: &Tile<N>, by_logit: &mut [Lanes<N>]) {
        match context.activation {
            Activation::Softmax => {
                self.of_softmax(context, tile, |class, slopes| by_logit[class] = *slopes);
                through_softmax(tile, by_logit);
            }
            Activation::Sigmoid => {
                self.of_sigmoid(context, tile, |class, slopes| by_logit[class] = *slopes);
            }
        }
        for by_logit in by_logit {
            by_logit.iter_mut().zip(tile.finite).for_each(|(g, finite)| *g = if finite { *g } else { f64::NAN });
        }
    }

    /// `sum_c w_c t_c (1 - p_c)^gamma * -log p_c`. What each class's derivative by `-log p_c` is goes to `visit`.
    #[inline(always)]
    fn of_softmax<const N: usize>(
        self,
        context: &Context<'_>,
        tile: &Tile<N>,
        mut visit: impl FnMut(usize, &Lanes<N>),
    ) -> Lanes<N> {
        let mut losses = [0.0; N];
        let log_sums = tile.rest.map(f64::ln_1p);
        for (class, x) in tile.x.iter().enumerate() {
            let (p, miss, t) = (&tile.p[class], &tile.miss[class], tile.targets(class));
            let (weight, mut slopes) = (context.class_weight(class), [0.0; N]);
            for i in 0..N {
                let a = weight * t[i];
                let term = a * ((tile.max[i] - f64::from(x[i])) + log_sums[i]);
                // A class without a target contributes nothing, even at a logit of -inf.
                losses[i] += match self {
                    Self::CrossEntropy | Self::Focal(0.0) if a != 0.0 => term,
                    _ => 0.0,
                };
                slopes[i] = a;
            }
            if let Self::Focal(gamma) = self
                && gamma != 0.0
            {
                for i in 0..N {
                    if slopes[i] == 0.0 {
                        continue;
                    }
                    let (a, s) = (slopes[i], (tile.max[i] - f64::from(x[i])) + log_sums[i]);
                    let modulation = miss[i].powf(gamma);
                    let is_certain = miss[i] == 0.0;
                    let bend = if p[i] == 0.0 { 0.0 } else { gamma * p[i] * s / miss[i] };
                    losses[i] += if is_certain { 0.0 } else { a * (modulation * s) };
                    slopes[i] = if is_certain { 0.0 } else { a * (modulation * (1.0 + bend)) };
                }
            }
            visit(class, &slopes);
        }
        losses
    }

    /// `1/K sum_c w_c miss_c^gamma bce(x_c, t_c)` with `miss = p (1 - t) + (1 - p) t`. The derivatives by the logits go to `visit`.
    #[inline(always)]
    fn of_sigmoid<const N: usize>(
        self,
        context: &Context<'_>,
        tile: &Tile<N>,
        mut visit: impl FnMut(usize, &Lanes<N>),
    ) -> Lanes<N> {
        let classes = tile.x.len() as f64;
        let mut losses = [0.0; N];
        for (class, x) in tile.x.iter().enumerate() {
            let (t, w) = (tile.targets(class), context.class_weight(class));
            let mut slopes = [0.0; N];
            for i in (0..N).filter(|&i| tile.counts[i]) {
                let (x, t, p, not_p) = (f64::from(x[i]), t[i], tile.p[class][i], tile.miss[class][i]);
                let log = exp_of_negative(-x.abs()).ln_1p();
                let softplus = |x: f64| if x > 0.0 { x + log } else { log };
                let ce = weighted(t, softplus(-x)) + weighted(1.0 - t, softplus(x));
                let by_x = (1.0 - t) * p - t * not_p;
                let (term, g) = match self {
                    Self::CrossEntropy => (ce, by_x),
                    Self::Focal(gamma) => {
                        let miss = p * (1.0 - t) + not_p * t;
                        let modulation = miss.powf(gamma);
                        let by_miss = gamma * (1.0 - 2.0 * t) * p * not_p;
                        let slope = by_x + if by_miss == 0.0 { 0.0 } else { by_miss * ce / miss };
                        (weighted(modulation, ce), if miss == 0.0 { 0.0 } else { modulation * slope })
                    }
                };
                losses[i] += weighted(w, term) / classes;
                slopes[i] = weighted(w, g) / classes;
            }
            visit(class, &slopes);
        }
        losses
    }
}

/// From the derivatives `k_c` by `-log p_c` to those by the logits: `p_j sum_c k_c - k_j`. Of the most probable class: what the others
/// have, less what it is short of 1.
#[inline(always)]
fn through_softmax<const N: usize>(tile: &Tile<N>, by: &mut [Lanes<N>]) {
    let (mut total, mut others) = ([0.0; N], [0.0; N]);
    for (class, k) in (0..).zip(&*by) {
        for i in 0..N {
            total[i] += k[i];
            others[i] += if tile.top[i] == class { 0.0 } else { k[i] };
        }
    }
    for (((class, k), p), miss) in (0..).zip(by).zip(&tile.p).zip(&tile.miss) {
        for i in 0..N {
            let is_top = tile.top[i] == class;
            k[i] = if is_top { others[i] - total[i] * miss[i] } else { p[i] * total[i] - k[i] };
        }
    }
}
