//! The second pass: from the derivatives by the overlaps to those by the logits.

use super::tile::{Lanes, Tile};
use super::{Context, Overlap};
use crate::Activation;
use crate::cpu::simd::{Kernel, Simd};
use crate::cpu::tensor::Part;
use crate::cpu::wide::weighted;

/// Memory of a thread.
#[derive(Default)]
pub(super) struct Scratch<const N: usize> {
    tile: Tile<N>,
    /// Derivatives by the predictions, then by the logits, class by class.
    by: Vec<Lanes<N>>,
    /// Derivatives of the loss of positions.
    by_position: Vec<Lanes<N>>,
    narrow: Vec<[f32; N]>,
    row: Vec<f32>,
}

pub(super) struct Gradients<'a, 'p, const N: usize> {
    pub(super) context: &'a Context<'a>,
    pub(super) part: &'a mut Part<'p>,
    pub(super) scratch: &'a mut Scratch<N>,
    /// By the overlaps, shape (samples, classes in regions).
    pub(super) derivatives: &'a [Overlap],
    /// What the loss of regions is multiplied by, and its gradient besides.
    pub(super) factor: f64,
    pub(super) scale: f64,
    /// What the loss of positions is multiplied by, and divided by.
    pub(super) of_positions: Option<(f64, f64)>,
}

impl<const N: usize> Kernel for Gradients<'_, '_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { context, part, scratch, derivatives, factor, scale, of_positions } = self;
        let Scratch { tile, by, by_position, narrow, row } = scratch;
        let mut writer = if part.layout().inner() == 1 { part.writer() } else { part.cached_writer() };
        let rows = part.rows();
        let mut next = rows.start;
        while next < rows.end {
            tile.read(simd, context, part, next..rows.end);
            next += tile.n;
            let classes = tile.x.len();
            by.resize(classes, [0.0; N]);
            narrow.resize(classes, [0.0; N]);
            by_predictions(context, tile, derivatives, by);
            match context.activation {
                Activation::Softmax => through_softmax(tile, by),
                Activation::Sigmoid => through_sigmoid(tile, by),
            }
            for (to, g) in narrow.iter_mut().zip(&*by) {
                for i in 0..N {
                    to[i] = weighted(factor, if scale == 0.0 { 0.0 } else { g[i] * scale }) as f32;
                }
            }
            if let (Some((_, position)), Some((lambda, denominator))) = (context.position, of_positions) {
                by_position.resize(classes, [0.0; N]);
                position.gradients(context, tile, by_position);
                for (to, g) in narrow.iter_mut().zip(&*by_position) {
                    for i in 0..N {
                        let of_position = if g[i] == 0.0 { 0.0 } else { weighted(lambda, g[i] / denominator) };
                        to[i] = (f64::from(to[i]) + of_position) as f32;
                    }
                }
            }
            for i in (0..tile.n).filter(|&i| !tile.counts[i]) {
                narrow.iter_mut().for_each(|to| to[i] = 0.0);
            }
            if let Some(writer) = &mut writer {
                let rows = tile.first..tile.first + tile.n;
                part.write_columns(simd, writer, rows, N, narrow.as_flattened(), row);
            }
        }
    }
}

/// Derivatives by the predictions, 0 of a class that is in no region.
#[inline(always)]
fn by_predictions<const N: usize>(context: &Context<'_>, tile: &Tile<N>, derivatives: &[Overlap], by: &mut [Lanes<N>]) {
    let classes = context.classes.len();
    by.iter_mut().for_each(|by| by.fill(0.0));
    for (k, class) in context.classes.clone().enumerate() {
        let (p, miss, t) = (&tile.p[class], &tile.miss[class], tile.targets(class));
        let [mut tp, mut fp, mut fn_, mut squares] = [[0.0; N]; 4];
        for (sample, of) in tile.samples(context) {
            let of_region = &derivatives[sample * classes + k];
            for i in of {
                (tp[i], fp[i], fn_[i], squares[i]) = (of_region.tp, of_region.fp, of_region.fn_, of_region.squares);
            }
        }
        let to = &mut by[class];
        for i in 0..N {
            let excess = p[i] * (1.0 - t[i]) - miss[i] * t[i];
            to[i] = tp[i] * t[i] + fp[i] * (1.0 - t[i]) - fn_[i] * t[i] + squares[i] * 2.0 * excess;
        }
    }
}

/// `p_j (g_j - sum_c p_c g_c)`, with `g` relative to that of the most probable class, so that no term of a confident position is
/// large.
#[inline(always)]
fn through_softmax<const N: usize>(tile: &Tile<N>, by: &mut [Lanes<N>]) {
    let (mut of_top, mut mean) = ([0.0; N], [0.0; N]);
    for (class, g) in (0..).zip(&*by) {
        for i in 0..N {
            of_top[i] = if tile.top[i] == class { g[i] } else { of_top[i] };
        }
    }
    for (p, g) in tile.p.iter().zip(&*by) {
        for i in 0..N {
            let term = p[i] * (g[i] - of_top[i]);
            // A masked logit has none, unless its position's regions are spoilt.
            mean[i] += if p[i] == 0.0 && !g[i].is_nan() { 0.0 } else { term };
        }
    }
    for i in 0..N {
        mean[i] = if of_top[i].is_nan() { of_top[i] } else { mean[i] };
    }
    for (p, g) in tile.p.iter().zip(by) {
        for i in 0..N {
            let by_logit = p[i] * (g[i] - of_top[i] - mean[i]);
            g[i] = if p[i] == 0.0 && !mean[i].is_nan() { 0.0 } else { by_logit };
        }
    }
}

/// `g p (1 - p)`.
#[inline(always)]
fn through_sigmoid<const N: usize>(tile: &Tile<N>, by: &mut [Lanes<N>]) {
    for ((p, miss), g) in tile.p.iter().zip(&tile.miss).zip(by) {
        for i in 0..N {
            g[i] = if g[i] == 0.0 { 0.0 } else { g[i] * p[i] * miss[i] };
        }
    }
}
