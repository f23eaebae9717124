//! A row a lane: rows whose classes are planes apart, and rows of few classes that have more to them than logits.

use super::cap::{Capped, cap};
use super::finish::{Bundle, MarginLoss};
use super::tile::Tile;
use super::turn::{turn_in, turn_out};
use super::{Fate, PartKernel, Standing};
use crate::cpu::RowTotals;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{Kernel, MAX_LANES, Simd, SimdBase, load_lanes};
use crate::totals::Label;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    tile: Vec<f32>,
    exponentials: Vec<f32>,
    capped: Capped,
    buffer: Vec<f32>,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M, Scratch> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        if self.rows.has_extra {
            simd.vectorize(
                #[inline(always)]
                || self.tiles::<S, true>(simd),
            )
        } else {
            self.tiles::<S, false>(simd)
        }
    }
}

impl<M: MarginLoss> PartKernel<'_, '_, '_, M, Scratch> {
    #[inline(always)]
    fn tiles<S: Simd, const EXTRA: bool>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let (lanes, all) = (S::f32s::LEN, part.rows());
        let (classes, inner) = (part.layout().classes() as usize, part.layout().inner() as usize);
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let mut writer = part.writer();
        let mut totals = RowTotals::new(all.clone());
        let mut first = all.start;
        while first < all.end {
            let Scratch { tile, exponentials, capped, buffer } = &mut *scratch;
            tile.resize(classes * lanes, 0.0);
            exponentials.resize(classes * lanes, 0.0);
            // The lanes of a tile are neighbours in memory, so of one sample.
            let of_sample = if inner == 1 { all.end } else { (first / inner + 1) * inner };
            let n = lanes.min(all.end.min(of_sample) - first);
            if inner == 1 {
                part.fetch_ahead(part.row_start(first), n * classes);
                // A vector may reach into rows behind the tile's.
                let reach = (all.end - first).min(n + lanes.div_ceil(classes.max(1)));
                turn_in(simd, part.rows_together(first, reach, buffer), classes, n, tile);
            } else {
                for (c, lanes) in tile.chunks_exact_mut(lanes).enumerate() {
                    part.read_strided(first, c, &mut lanes[..n]);
                }
            }
            let (mut x, mut low): (&[f32], &[f32]) = (tile, &[]);
            if let Some(softcap) = rows.options.softcap {
                cap(tile, softcap, capped);
                (x, low) = (&capped.high, &capped.low);
            }
            let slope = rows.options.softcap.map(|_| &capped.slope[..]);
            let mut bundle = Bundle::default();
            let mut targets = [u32::MAX; MAX_LANES];
            let mut labels = [Label::Ignored; MAX_LANES];
            for lane in 0..n {
                labels[lane] = rows.job.label(first + lane);
                targets[lane] =
                    rows.fill_weights(labels[lane], first + lane, lane, &mut bundle).map_or(u32::MAX, |t| t as u32);
            }
            let targets = S::u32s::from_slice(simd, &targets[..lanes]);
            let of_tile = Tile { simd, exp, x, low, targets, weights: rows.job.class_weights };
            let weights = [load_lanes(simd, &bundle.class_weight), load_lanes(simd, &bundle.row_weight)];
            let statistics = of_tile.statistics::<EXTRA>(exponentials, weights);
            let conclusion = rows.conclude(simd, classes, &statistics);
            let finished = conclusion.lanes();
            let (mut constant, mut is_alive) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
            for (lane, &label) in labels[..n].iter().enumerate() {
                let row = first + lane;
                if !out.details.is_empty() {
                    let logits: Vec<f32> = (0..classes).map(|c| tile[c * lanes + lane]).collect();
                    out.details[row - all.start] = Standing::of(&logits, label).details(label, &finished, lane);
                }
                totals.push(label, row, &finished, lane, out.losses);
                match rows.fate(label, &finished, lane) {
                    Fate::Constant(value) => constant[lane] = value,
                    Fate::Target(_) => is_alive[lane] = 1.0,
                }
            }
            if let Some(writer) = &mut writer {
                let fates = [load_lanes(simd, &is_alive), load_lanes(simd, &constant)];
                of_tile.gradient::<EXTRA>(exponentials, &conclusion, slope, fates);
                if inner == 1 {
                    buffer.resize(lanes * classes + MAX_LANES, 0.0);
                    turn_out(simd, exponentials, classes, buffer);
                    part.write_rows(writer, first, &buffer[..n * classes]);
                } else {
                    for (c, lanes) in exponentials.chunks_exact(lanes).enumerate() {
                        part.write_strided(first, c, &lanes[..n]);
                    }
                }
            }
            first += n;
        }
        totals
    }
}
