//! Neighbouring positions, side by side in memory, and what their logits predict.

use std::ops::Range;

use super::Context;
use crate::Activation;
use crate::cpu::simd::exp64::exp_of_negatives;
use crate::cpu::simd::{Simd, SimdBase};
use crate::cpu::tensor::Part;
use crate::totals::Label;

/// A number a position. Loops over them have no branches and are compiled to vectors.
pub(super) type Lanes<const N: usize> = [f64; N];

/// No class.
const NONE: u32 = u32::MAX;

/// `N` positions, class by class. Those that are ignored, or that fill up the tile, have logits of 0, no targets and predictions of 0.
pub(super) struct Tile<const N: usize> {
    pub(super) first: usize,
    /// How many there are.
    pub(super) n: usize,
    pub(super) x: Vec<[f32; N]>,
    /// Dense targets.
    dense: Vec<[f32; N]>,
    /// Target classes.
    labels: [u32; N],
    /// Neither ignored nor padding.
    pub(super) counts: [bool; N],
    /// Predictions, and what they are short of 1.
    pub(super) p: Vec<Lanes<N>>,
    pub(super) miss: Vec<Lanes<N>>,
    /// Whether the predictions of all classes are finite.
    pub(super) finite: [bool; N],
    /// Of a softmax: the largest logit, its class, and the sum of the others' `exp(x - max)`.
    pub(super) max: Lanes<N>,
    pub(super) top: [u32; N],
    pub(super) rest: Lanes<N>,
    row: Vec<f32>,
}

impl<const N: usize> Default for Tile<N> {
    fn default() -> Self {
        let none = [0.0; N];
        Self {
            first: 0,
            n: 0,
            x: Vec::new(),
            dense: Vec::new(),
            labels: [NONE; N],
            counts: [false; N],
            p: Vec::new(),
            miss: Vec::new(),
            finite: [false; N],
            max: none,
            top: [0; N],
            rest: none,
            row: Vec::new(),
        }
    }
}

impl<const N: usize> Tile<N> {
    /// Reads the first positions of a range, as many as there is room for, and predicts. Where samples are as large as a tile, it
    /// holds positions of one.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&mut self, simd: S, context: &Context<'_>, part: &mut Part<'_>, rows: Range<usize>) {
        let inner = part.layout().inner() as usize;
        let of_sample = if inner < N { rows.len() } else { inner - rows.start % inner };
        (self.first, self.n) = (rows.start, N.min(rows.len()).min(of_sample));
        self.counts = [false; N];
        self.labels = [NONE; N];
        for i in 0..self.n {
            let label =
                if context.targets.is_some() { Label::Class(NONE as usize) } else { context.job.label(self.first + i) };
            if let Label::Class(class) = label {
                (self.counts[i], self.labels[i]) = (true, class as u32);
            }
        }
        let (classes, rows) = (part.layout().classes() as usize, self.first..self.first + self.n);
        self.x.resize(classes, [0.0; N]);
        part.read_columns(rows.clone(), N, self.x.as_flattened_mut(), &mut self.row);
        if let Some(targets) = &context.targets {
            self.dense.resize(classes, [0.0; N]);
            part.twin(targets).read_columns(rows, N, self.dense.as_flattened_mut(), &mut self.row);
        }
        for i in (0..self.n).filter(|&i| !self.counts[i]) {
            self.x.iter_mut().for_each(|x| x[i] = 0.0);
        }
        for values in [&mut self.p, &mut self.miss] {
            values.resize(classes, [0.0; N]);
        }
        match context.activation {
            Activation::Softmax => self.softmax(simd),
            Activation::Sigmoid => self.sigmoid(simd),
        }
    }

    /// The samples of the tile's positions, each with its share of them.
    pub(super) fn samples(&self, context: &Context<'_>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let inner = context.job.tensor.layout().inner() as usize;
        let (first, n, together) = (self.first, self.n, context.regions.samples_together);
        let mut at = 0;
        std::iter::from_fn(move || {
            let sample = if together { 0 } else { (first + at) / inner };
            let from = at;
            at = if together { n } else { n.min((sample + 1) * inner - first) };
            (from < n).then_some((sample, from..at))
        })
    }

    /// Targets of a class.
    #[inline(always)]
    pub(super) fn targets(&self, class: usize) -> Lanes<N> {
        let mut t = [0.0; N];
        if let Some(dense) = self.dense.get(class) {
            t.iter_mut().zip(dense).for_each(|(t, &dense)| *t = dense.into());
        } else {
            t.iter_mut().zip(&self.labels).for_each(|(t, &label)| *t = if label == class as u32 { 1.0 } else { 0.0 });
        }
        t
    }

    #[inline(always)]
    fn softmax<S: Simd>(&mut self, simd: S) {
        let (mut max, mut top) = ([f32::NEG_INFINITY; N], [0; N]);
        for (class, x) in (0..).zip(&self.x) {
            for i in 0..N {
                let is_larger = x[i] > max[i];
                max[i] = if is_larger { x[i] } else { max[i] };
                top[i] = if is_larger { class } else { top[i] };
            }
        }
        let mut rest = [0.0; N];
        for ((class, x), e) in (0..).zip(&self.x).zip(&mut self.p) {
            for i in 0..N {
                e[i] = f64::from(x[i]) - f64::from(max[i]);
            }
            exponentials(simd, e);
            for i in 0..N {
                rest[i] += if class == top[i] { 0.0 } else { e[i] };
            }
        }
        let mut scale = [0.0; N];
        for i in 0..N {
            // NaN is no largest logit, but it is in the sum.
            self.finite[i] = max[i].is_finite() && !rest[i].is_nan();
            self.max[i] = max[i].into();
            let finite = if self.finite[i] { 1.0 / (1.0 + rest[i]) } else { f64::NAN };
            scale[i] = if self.counts[i] { finite } else { 0.0 };
        }
        for ((class, p), miss) in (0..).zip(&mut self.p).zip(&mut self.miss) {
            for i in 0..N {
                p[i] *= scale[i];
                miss[i] = if class == top[i] { rest[i] * scale[i] } else { 1.0 - p[i] };
            }
        }
        (self.top, self.rest) = (top, rest);
    }

    #[inline(always)]
    fn sigmoid<S: Simd>(&mut self, simd: S) {
        let mut finite = [true; N];
        for ((x, p), miss) in self.x.iter().zip(&mut self.p).zip(&mut self.miss) {
            for i in 0..N {
                p[i] = -f64::from(x[i]).abs();
            }
            exponentials(simd, p);
            for i in 0..N {
                let likely = 1.0 / (1.0 + p[i]);
                let (larger, smaller) = (likely, p[i] * likely);
                let is_positive = x[i] > 0.0;
                miss[i] = if is_positive { smaller } else { larger };
                let predicted = if is_positive { larger } else { smaller };
                p[i] = if self.counts[i] { predicted } else { 0.0 };
                finite[i] &= !x[i].is_nan();
            }
        }
        self.finite = finite;
    }
}

/// `exp(x)` of numbers up to 0.
#[inline(always)]
fn exponentials<S: Simd, const N: usize>(simd: S, x: &mut Lanes<N>) {
    for x in x.chunks_exact_mut(S::f64s::LEN) {
        exp_of_negatives(simd, S::f64s::from_slice(simd, x)).store_slice(x);
    }
}

/// Sum of some positions' numbers; those behind the last are 0.
#[inline(always)]
pub(super) fn total<const N: usize>(lanes: &Lanes<N>, of: &Range<usize>, n: usize) -> f64 {
    if of.len() < n {
        return lanes[of.clone()].iter().sum();
    }
    let (mut sums, mut left) = (*lanes, N);
    while left > 1 {
        left /= 2;
        for i in 0..left {
            sums[i] += sums[i + left];
        }
    }
    sums[0]
}
