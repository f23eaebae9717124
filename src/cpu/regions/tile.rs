//! Neighbouring positions, a lane each, and what their logits predict.

use std::ops::Range;

use super::Context;
use crate::Activation;
use crate::cpu::simd::exp64::exp_of_negatives;
use crate::cpu::simd::{Select, Simd, SimdBase};
use crate::cpu::tensor::Part;
use crate::cpu::wide::{
    Across, MAX_WIDE, Statistics, WIDE, Wide, WideMask, load, load_narrow, softmax, splat, store, wide_len,
};
use crate::totals::Label;

/// What the label of dense targets is: none of the classes.
const NONE: usize = usize::MAX;

/// Positions, class by class. Those that are ignored, or that fill up the tile, do not count: they have logits of 0 and no targets.
#[derive(Default)]
pub(super) struct Tile {
    first: usize,
    /// How many there are.
    n: usize,
    x: Vec<f32>,
    /// Dense targets.
    dense: Vec<f32>,
    y: Vec<f64>,
    /// `exp(x - max)` of a softmax, `exp(-|x|)` of a sigmoid.
    e: Vec<f64>,
    row: Vec<f32>,
}

/// The positions of a tile that has been read.
pub(super) struct Positions<'t, S: Simd> {
    pub(super) simd: S,
    pub(super) context: &'t Context<'t>,
    tile: &'t Tile,
    activation: Predictor<S>,
    /// Target classes; NaN of positions that do not count.
    labels: Wide<S>,
    pub(super) counts: WideMask<S>,
    /// Whether the predictions of all classes are finite.
    pub(super) finite: WideMask<S>,
}

enum Predictor<S: Simd> {
    /// `p = scale * e`, and what the largest is short of 1.
    Softmax {
        statistics: Statistics<S>,
        scale: Wide<S>,
        miss_of_top: Wide<S>,
    },
    Sigmoid,
}

/// Predictions of a class, and what they are short of 1.
pub(super) struct Predictions<S: Simd> {
    pub(super) p: Wide<S>,
    pub(super) miss: Wide<S>,
}

impl Tile {
    /// Reads the first positions of a range, as many as there are lanes, and predicts. Where samples are as large as a tile, it holds
    /// positions of one.
    #[inline(always)]
    pub(super) fn read<'t, S: Simd>(
        &'t mut self,
        simd: S,
        context: &'t Context<'_>,
        part: &mut Part<'_>,
        rows: Range<usize>,
    ) -> Positions<'t, S> {
        let (n, inner, classes) = (wide_len::<S>(), part.layout().inner() as usize, part.layout().classes() as usize);
        let of_sample = if inner < n { rows.len() } else { inner - rows.start % inner };
        (self.first, self.n) = (rows.start, n.min(rows.len()).min(of_sample));
        let rows = self.first..self.first + self.n;
        self.x.resize(classes * n, 0.0);
        part.read_columns(simd, rows.clone(), n, &mut self.x, &mut self.row);
        if let Some(targets) = &context.targets {
            self.dense.resize(classes * n, 0.0);
            part.twin(targets).read_columns(simd, rows.clone(), n, &mut self.dense, &mut self.row);
        }

        let mut labels = [f64::NAN; MAX_WIDE];
        for (i, row) in rows.enumerate() {
            let label = if context.targets.is_some() { Label::Class(NONE) } else { context.job.label(row) };
            if let Label::Class(class) = label {
                labels[i] = class as f64;
            } else {
                self.x.iter_mut().skip(i).step_by(n).for_each(|x| *x = 0.0);
            }
        }
        let labels = load(simd, &labels);
        let mut counts = none(simd);
        counts.iter_mut().zip(&labels).for_each(|(counts, label)| *counts = label.simd_eq(*label));

        self.e.resize(classes * n, 0.0);
        let (activation, finite) = match context.activation {
            Activation::Softmax => self.softmax(simd, &counts),
            Activation::Sigmoid => (Predictor::Sigmoid, self.sigmoid(simd)),
        };
        Positions { simd, context, tile: self, activation, labels, counts, finite }
    }

    #[inline(always)]
    fn softmax<S: Simd>(&mut self, simd: S, counts: &WideMask<S>) -> (Predictor<S>, WideMask<S>) {
        let n = wide_len::<S>();
        self.y.resize(self.x.len(), 0.0);
        for (x, y) in self.x.chunks_exact(n).zip(self.y.chunks_exact_mut(n)) {
            store::<S>(&load_narrow(simd, x), y);
        }
        let statistics = softmax::<S, Across>(simd, &self.y, &mut self.e, |_| {});
        let (mut scale, mut miss_of_top) = (statistics.scale, statistics.rest);
        let (zero, nan) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, f64::NAN));
        for i in 0..scale.len() {
            scale[i] = counts[i].select(statistics.finite[i].select(scale[i], nan), zero);
            miss_of_top[i] *= scale[i];
        }
        (Predictor::Softmax { statistics, scale, miss_of_top }, statistics.finite)
    }

    #[inline(always)]
    fn sigmoid<S: Simd>(&mut self, simd: S) -> WideMask<S> {
        let (n, mut finite) = (wide_len::<S>(), none(simd));
        finite.iter_mut().for_each(|finite| *finite = !*finite);
        for (x, e) in self.x.chunks_exact(n).zip(self.e.chunks_exact_mut(n)) {
            let mut x = load_narrow(simd, x);
            for (x, finite) in x.iter_mut().zip(&mut finite) {
                *finite &= x.simd_eq(*x);
                *x = exp_of_negatives(simd, -x.abs());
            }
            store::<S>(&x, e);
        }
        finite
    }
}

impl<S: Simd> Positions<'_, S> {
    /// Their rows.
    pub(super) const fn rows(&self) -> Range<usize> {
        self.tile.first..self.tile.first + self.tile.n
    }

    /// Their samples, each with its share of them.
    pub(super) fn samples(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let inner = self.context.job.tensor.layout().inner() as usize;
        let (first, n, together) = (self.tile.first, self.tile.n, self.context.regions.samples_together);
        let mut at = 0;
        std::iter::from_fn(move || {
            let sample = if together { 0 } else { (first + at) / inner };
            let from = at;
            at = if together { n } else { n.min((sample + 1) * inner - first) };
            (from < n).then_some((sample, from..at))
        })
    }

    /// The sample of all of them, where that is one.
    pub(super) fn sample(&self) -> Option<usize> {
        self.samples().next().filter(|(_, positions)| positions.len() == self.tile.n).map(|(sample, _)| sample)
    }

    /// Of a softmax.
    #[inline(always)]
    pub(super) const fn statistics(&self) -> Option<&Statistics<S>> {
        match &self.activation {
            Predictor::Softmax { statistics, .. } => Some(statistics),
            Predictor::Sigmoid => None,
        }
    }

    /// Logits of a class.
    #[inline(always)]
    pub(super) fn logits(&self, class: usize) -> Wide<S> {
        load_narrow(self.simd, &self.tile.x[class * wide_len::<S>()..])
    }

    /// `exp(x - max)` of a class, or `exp(-|x|)`.
    #[inline(always)]
    pub(super) fn exponentials(&self, class: usize) -> Wide<S> {
        load(self.simd, &self.tile.e[class * wide_len::<S>()..])
    }

    /// Targets of a class.
    #[inline(always)]
    pub(super) fn targets(&self, class: usize) -> Wide<S> {
        let simd = self.simd;
        if !self.tile.dense.is_empty() {
            return load_narrow(simd, &self.tile.dense[class * wide_len::<S>()..]);
        }
        let class = S::f64s::splat(simd, class as f64);
        let mut targets = self.labels;
        for t in &mut targets {
            *t = t.simd_eq(class).select(S::f64s::splat(simd, 1.0), S::f64s::splat(simd, 0.0));
        }
        targets
    }

    /// Predictions of a class; of a position that does not count they are 0.
    #[inline(always)]
    pub(super) fn predictions(&self, class: usize) -> Predictions<S> {
        let simd = self.simd;
        let (one, zero) = (S::f64s::splat(simd, 1.0), S::f64s::splat(simd, 0.0));
        let mut p = self.exponentials(class);
        let mut miss = p;
        match &self.activation {
            Predictor::Softmax { statistics, scale, miss_of_top } => {
                let class = S::f64s::splat(simd, class as f64);
                for i in 0..p.len() {
                    p[i] *= scale[i];
                    miss[i] = statistics.top[i].simd_eq(class).select(miss_of_top[i], one - p[i]);
                }
            }
            Predictor::Sigmoid => {
                let x = self.logits(class);
                for i in 0..p.len() {
                    let larger = one / (one + p[i]);
                    let (smaller, is_positive) = (p[i] * larger, x[i].simd_gt(zero));
                    miss[i] = is_positive.select(smaller, larger);
                    p[i] = self.counts[i].select(is_positive.select(larger, smaller), zero);
                }
            }
        }
        Predictions { p, miss }
    }
}

/// No lane.
#[inline(always)]
pub(super) fn none<S: Simd>(simd: S) -> WideMask<S> {
    let zero = S::f64s::splat(simd, 0.0);
    [!zero.simd_eq(zero); WIDE]
}

/// 1 of the lanes that are in `mask`, 0 of the others.
#[inline(always)]
pub(super) fn number<S: Simd>(simd: S, mask: &WideMask<S>) -> Wide<S> {
    let mut numbers = splat(simd, 1.0);
    for (number, mask) in numbers.iter_mut().zip(mask) {
        *number = mask.select(*number, S::f64s::splat(simd, 0.0));
    }
    numbers
}
