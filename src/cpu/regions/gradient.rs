//! The second pass: from the derivatives by the overlaps to those by the logits.

use super::tile::{Positions, Tile};
use super::{Context, Overlap, PositionLoss};
use crate::cpu::simd::{Kernel, Select, Simd, SimdBase};
use crate::cpu::tensor::Part;
use crate::cpu::wide::{Chain, MAX_WIDE, WIDE, Wide, load, splat, store, store_narrow, wide_len};

/// Memory of a thread.
#[derive(Default)]
pub(super) struct Scratch {
    tile: Tile,
    /// Slopes of the two losses.
    of_regions: Vec<f64>,
    of_positions: Vec<f64>,
    narrow: Vec<f32>,
    row: Vec<f32>,
}

pub(super) struct Gradients<'a, 'p> {
    pub(super) context: &'a Context<'a>,
    pub(super) part: &'a mut Part<'p>,
    pub(super) scratch: &'a mut Scratch,
    /// By the overlaps, shape (samples, classes in regions).
    pub(super) derivatives: &'a [Overlap],
    /// What the loss of regions is multiplied by, and its gradient besides.
    pub(super) factor: f64,
    pub(super) scale: f64,
    /// What the loss of positions is multiplied by, and divided by.
    pub(super) of_positions: Option<(f64, f64)>,
}

impl Kernel for Gradients<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { context, part, scratch, derivatives, factor, scale, of_positions } = self;
        let Scratch { tile, of_regions, of_positions: of_position, narrow, row } = scratch;
        let Some(mut writer) = part.tile_writer() else { return };
        let (n, numbers, rows) = (wide_len::<S>(), context.all_classes() * wide_len::<S>(), part.rows());
        for tile in [&mut *of_regions, of_position] {
            tile.resize(numbers, 0.0);
        }
        narrow.resize(numbers, 0.0);
        let (zero, nan) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, f64::NAN));
        let position = context.position.zip(of_positions).map(|((_, loss), (lambda, by))| (loss, lambda / by));
        let mut next = rows.start;
        while next < rows.end {
            let positions = tile.read(simd, context, part, next..rows.end);
            next = positions.rows().end;
            let of_regions = Slopes::of_regions(&positions, derivatives, of_regions);
            let of_position = position.map(
                #[inline(always)]
                |(loss, factor)| (Slopes::of_position(&positions, loss, of_position), factor),
            );
            for (class, to) in narrow.chunks_exact_mut(n).enumerate() {
                let mut gradient = of_regions.by_logits(&positions, class);
                for g in &mut gradient {
                    *g = if scale == 0.0 { zero } else { bounded(simd, factor, *g * S::f64s::splat(simd, scale)) };
                }
                if let Some((of_position, factor)) = &of_position {
                    let by_logits = of_position.by_logits(&positions, class);
                    for i in 0..WIDE {
                        let finite = bounded(simd, *factor, by_logits[i]);
                        gradient[i] += positions.finite[i].select(finite, nan);
                    }
                }
                for (g, counts) in gradient.iter_mut().zip(&positions.counts) {
                    *g = counts.select(*g, zero);
                }
                store_narrow::<S>(&gradient, to);
            }
            part.write_columns(simd, &mut writer, positions.rows(), n, narrow, row);
        }
    }
}

/// `factor * g`, where a factor of 0 also removes an infinity.
#[inline(always)]
fn bounded<S: Simd>(simd: S, factor: f64, g: S::f64s) -> S::f64s {
    let product = g * S::f64s::splat(simd, factor);
    if factor == 0.0 {
        let zero = S::f64s::splat(simd, 0.0);
        return g.abs().simd_eq(S::f64s::splat(simd, f64::INFINITY)).select(zero, product);
    }
    product
}

/// Slopes of a tile by the logarithms of a softmax's probabilities, and the way from those to the logits; of sigmoids, by the logits.
struct Slopes<'a, S: Simd> {
    of: &'a [f64],
    chain: Option<Chain<S>>,
}

impl<'a, S: Simd> Slopes<'a, S> {
    /// Fills `to` with what `of` makes of it, class by class, and finds the way from there.
    #[inline(always)]
    fn new(positions: &Positions<'_, S>, to: &'a mut [f64], of: impl Fn(usize, &Wide<S>) -> Wide<S>) -> Self {
        let (simd, n) = (positions.simd, wide_len::<S>());
        let (zero, mut top, mut others) = (splat(simd, 0.0), splat(simd, 0.0), splat(simd, 0.0));
        for (class, to) in to.chunks_exact_mut(n).enumerate() {
            let slopes = of(class, &load(simd, to));
            store::<S>(&slopes, to);
            if let Some(statistics) = positions.statistics() {
                let class = S::f64s::splat(simd, class as f64);
                for i in 0..WIDE {
                    let is_top = statistics.top[i].simd_eq(class);
                    top[i] = is_top.select(slopes[i], top[i]);
                    others[i] += is_top.select(zero[i], slopes[i]);
                }
            }
        }
        let chain = positions.statistics().map(
            #[inline(always)]
            |statistics| Chain::new(statistics, &top, &others, &zero),
        );
        Self { of: to, chain }
    }

    #[inline(always)]
    fn of_position(positions: &Positions<'_, S>, loss: PositionLoss, to: &'a mut [f64]) -> Self {
        Self::new(
            positions,
            to,
            #[inline(always)]
            |class, _| loss.terms(positions, class).slope,
        )
    }

    /// Of derivatives `g` by the predictions: `p g`, with `g` relative to that of the most probable class, so that no term of a
    /// confident position is large; of sigmoids `g p (1 - p)`.
    #[inline(always)]
    fn of_regions(positions: &Positions<'_, S>, derivatives: &[Overlap], to: &'a mut [f64]) -> Self {
        let of_top = by_predictions(positions, derivatives, to);
        let (is_softmax, zero) = (positions.statistics().is_some(), S::f64s::splat(positions.simd, 0.0));
        Self::new(
            positions,
            to,
            #[inline(always)]
            |class, g| {
                let (mut slopes, of) = (*g, positions.predictions(class));
                for (i, g) in slopes.iter_mut().enumerate() {
                    *g = if is_softmax {
                        // A masked logit has none, unless its position's regions are spoilt.
                        let is_masked = of.p[i].simd_eq(zero) & g.simd_eq(*g);
                        is_masked.select(zero, of.p[i] * (*g - of_top[i]))
                    } else {
                        g.simd_eq(zero).select(zero, *g * of.p[i] * of.miss[i])
                    };
                }
                slopes
            },
        )
    }

    #[inline(always)]
    fn by_logits(&self, positions: &Positions<'_, S>, class: usize) -> Wide<S> {
        let simd = positions.simd;
        let mut slopes = load(simd, &self.of[class * wide_len::<S>()..]);
        if let Some(chain) = &self.chain {
            let (e, class) = (positions.exponentials(class), S::f64s::splat(simd, class as f64));
            for (i, slope) in slopes.iter_mut().enumerate() {
                *slope = chain.by_logit(i, class, *slope, e[i]);
            }
        }
        slopes
    }
}

/// Fills `to` with derivatives by the predictions, 0 of a class that is in no region; returns those by the most probable class.
#[inline(always)]
fn by_predictions<S: Simd>(positions: &Positions<'_, S>, derivatives: &[Overlap], to: &mut [f64]) -> Wide<S> {
    let (simd, classes) = (positions.simd, &positions.context.classes);
    let (n, one) = (wide_len::<S>(), S::f64s::splat(simd, 1.0));
    let mut of_top = splat(simd, 0.0);
    to[..classes.start * n].fill(0.0);
    for (k, class) in classes.clone().enumerate() {
        let [tp, fp, fn_, squares] = by_overlaps(positions, |sample| &derivatives[sample * classes.len() + k]);
        let (of, t) = (positions.predictions(class), positions.targets(class));
        let mut g = t;
        for i in 0..WIDE {
            let not_t = one - t[i];
            let excess = of.p[i] * not_t - of.miss[i] * t[i];
            g[i] = tp[i] * t[i] + fp[i] * not_t - fn_[i] * t[i] + squares[i] * (excess + excess);
        }
        store::<S>(&g, &mut to[class * n..]);
        if let Some(statistics) = positions.statistics() {
            let class = S::f64s::splat(simd, class as f64);
            for i in 0..WIDE {
                of_top[i] = statistics.top[i].simd_eq(class).select(g[i], of_top[i]);
            }
        }
    }
    of_top
}

/// Derivatives by the sums of an overlap, those of the sample of each position.
#[inline(always)]
fn by_overlaps<'o, S: Simd>(positions: &Positions<'_, S>, of: impl Fn(usize) -> &'o Overlap) -> [Wide<S>; 4] {
    let simd = positions.simd;
    if let Some(sample) = positions.sample() {
        let of = of(sample);
        return [splat(simd, of.tp), splat(simd, of.fp), splat(simd, of.fn_), splat(simd, of.squares)];
    }
    let mut lanes = [[0.0; MAX_WIDE]; 4];
    for (sample, share) in positions.samples() {
        let of = of(sample);
        for (lanes, value) in lanes.iter_mut().zip([of.tp, of.fp, of.fn_, of.squares]) {
            lanes[share.clone()].fill(value);
        }
    }
    let [tp, fp, fn_, squares] = &lanes;
    [load(simd, tp), load(simd, fp), load(simd, fn_), load(simd, squares)]
}
