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
        let Some(mut writer) = (if part.layout().inner() == 1 { part.writer() } else { part.cached_writer() }) else {
            return;
        };
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
            next += tile.n;
            let seen = Seen { simd, context, tile, positions: &positions };
            let of_regions = seen.slopes_of_regions(derivatives, of_regions);
            let of_position = position.map(
                #[inline(always)]
                |(loss, factor)| (seen.slopes_of_position(loss, of_position), factor),
            );
            for (class, to) in narrow.chunks_exact_mut(n).enumerate() {
                let mut gradient = of_regions.by_logits(&seen, class);
                for g in &mut gradient {
                    *g = if scale == 0.0 { zero } else { bounded(simd, factor, *g * S::f64s::splat(simd, scale)) };
                }
                if let Some((of_position, factor)) = &of_position {
                    let by_logits = of_position.by_logits(&seen, class);
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
            part.write_columns(simd, &mut writer, tile.first..tile.first + tile.n, n, narrow, row);
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

/// A tile that has been read.
struct Seen<'a, S: Simd> {
    simd: S,
    context: &'a Context<'a>,
    tile: &'a Tile,
    positions: &'a Positions<S>,
}

/// Slopes of a tile by the logarithms of a softmax's probabilities, and the way from those to the logits; of sigmoids, by the logits.
struct Slopes<'a, S: Simd> {
    of: &'a [f64],
    chain: Option<Chain<S>>,
}

impl<S: Simd> Slopes<'_, S> {
    #[inline(always)]
    fn by_logits(&self, seen: &Seen<'_, S>, class: usize) -> Wide<S> {
        let mut slopes = load(seen.simd, &self.of[class * wide_len::<S>()..]);
        if let Some(chain) = &self.chain {
            let (e, class) = (seen.tile.exponentials(seen.simd, class), S::f64s::splat(seen.simd, class as f64));
            for (i, slope) in slopes.iter_mut().enumerate() {
                *slope = chain.by_logit(i, class, *slope, e[i]);
            }
        }
        slopes
    }
}

impl<S: Simd> Seen<'_, S> {
    /// Fills `to` with what `of` says of each class, and finds the way from there.
    #[inline(always)]
    fn slopes<'t>(&self, to: &'t mut [f64], of: impl Fn(usize, &Wide<S>) -> Wide<S>) -> Slopes<'t, S> {
        let (simd, n) = (self.simd, wide_len::<S>());
        let (zero, mut top, mut others) = (splat(simd, 0.0), splat(simd, 0.0), splat(simd, 0.0));
        for (class, to) in to.chunks_exact_mut(n).enumerate() {
            let slopes = of(class, &load(simd, to));
            store::<S>(&slopes, to);
            if let Some(statistics) = self.positions.statistics() {
                let class = S::f64s::splat(simd, class as f64);
                for i in 0..WIDE {
                    let is_top = statistics.top[i].simd_eq(class);
                    top[i] = is_top.select(slopes[i], top[i]);
                    others[i] += is_top.select(zero[i], slopes[i]);
                }
            }
        }
        let chain = self.positions.statistics().map(
            #[inline(always)]
            |statistics| Chain::new(statistics, &top, &others, &zero),
        );
        Slopes { of: to, chain }
    }

    #[inline(always)]
    fn slopes_of_position<'t>(&self, loss: PositionLoss, to: &'t mut [f64]) -> Slopes<'t, S> {
        self.slopes(
            to,
            #[inline(always)]
            |class, _| loss.terms(self.simd, self.context, self.tile, self.positions, class).slope,
        )
    }

    /// Of derivatives `g` by the predictions: `p g`, with `g` relative to that of the most probable class, so that no term of a
    /// confident position is large; of sigmoids `g p (1 - p)`.
    #[inline(always)]
    fn slopes_of_regions<'t>(&self, derivatives: &[Overlap], to: &'t mut [f64]) -> Slopes<'t, S> {
        let of_top = self.by_predictions(derivatives, to);
        let (is_softmax, zero) = (self.positions.statistics().is_some(), S::f64s::splat(self.simd, 0.0));
        self.slopes(
            to,
            #[inline(always)]
            |class, g| {
                let (mut slopes, of) = (*g, self.positions.predictions(self.simd, self.tile, class));
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

    /// Fills `to` with derivatives by the predictions, 0 of a class that is in no region; returns those by the most probable class.
    #[inline(always)]
    fn by_predictions(&self, derivatives: &[Overlap], to: &mut [f64]) -> Wide<S> {
        let Self { simd, context, tile, positions } = *self;
        let (n, in_regions, one) = (wide_len::<S>(), context.classes.len(), S::f64s::splat(simd, 1.0));
        let mut of_top = splat(simd, 0.0);
        to[..context.classes.start * n].fill(0.0);
        for (k, class) in context.classes.clone().enumerate() {
            let [tp, fp, fn_, squares] = self.by_overlaps(|sample| &derivatives[sample * in_regions + k]);
            let (of, t) = (positions.predictions(simd, tile, class), positions.targets(simd, tile, class));
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

    /// Derivatives by the sums of an overlap, of the sample of each position.
    #[inline(always)]
    fn by_overlaps<'o>(&self, of: impl Fn(usize) -> &'o Overlap) -> [Wide<S>; 4] {
        let simd = self.simd;
        let mut samples = self.tile.samples(self.context);
        let (sample, positions) = samples.next().expect("a tile has positions");
        if positions.len() == self.tile.n {
            let of = of(sample);
            return [splat(simd, of.tp), splat(simd, of.fp), splat(simd, of.fn_), splat(simd, of.squares)];
        }
        let mut lanes = [[0.0; MAX_WIDE]; 4];
        for (sample, positions) in self.tile.samples(self.context) {
            let of = of(sample);
            for (lanes, value) in lanes.iter_mut().zip([of.tp, of.fp, of.fn_, of.squares]) {
                lanes[positions.clone()].fill(value);
            }
        }
        let [tp, fp, fn_, squares] = &lanes;
        [load(simd, tp), load(simd, fp), load(simd, fn_), load(simd, squares)]
    }
}
