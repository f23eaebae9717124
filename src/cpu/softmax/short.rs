//! Rows of few classes, next to one another.
//!
//! The exponentials of some hundred rows are computed as if those were one row: no lane is empty, and no row is turned. Rows come
//! apart only where they are added up:
//!
//! ```text
//! exponentials   a a a b b b c c | c d d d e e e f | ...   relative to 0; then 0 at the targets
//! sums           a vector or more a row; two vectors become one, half of it each's, until a lane has a row
//! gradient       a vector or more a row, times the factor of the row
//! ```
//!
//! A row whose sum is too small or too large that way, or which has more to it than logits, is gone over by itself, relative to
//! its largest logit: which of the two is up to the row alone, as its bits are.

use std::ops::Range;

use super::cap::{Capped, cap};
use super::finish::{Conclusion, MarginLoss, Statistics, TILES};
use super::partition::NEAR_SUMS;
use super::{Fate, MAX_ROWS, Rows, SHORT, Standing};
use crate::cpu::simd::math::{Exp, at_least};
use crate::cpu::simd::{
    Kernel, Lanes, MAX_LANES, Select, Simd, SimdBase, SimdMask, block_len, load, load_block, load_lanes, load_rows,
    load_up_to, splat, store_block, store_rows, store_up_to, to_lanes,
};
use crate::cpu::tensor::{LineWriter, LinesAhead, Part};
use crate::cpu::{RowOutputs, RowTotals};

/// Exponentials of the rows that are worked on together, at most: a part of the first cache.
const GROUP: usize = 1 << 12;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    buffer: Vec<f32>,
    exponentials: Vec<f32>,
    gradient: Vec<f32>,
    capped: Capped,
}

pub(super) struct PartKernel<'s, 'r, 'p, M> {
    pub(super) rows: &'s Rows<'r, M>,
    pub(super) part: &'s mut Part<'p>,
    pub(super) out: RowOutputs<'s>,
    pub(super) scratch: &'s mut Scratch,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let (lanes, classes) = (S::f32s::LEN, part.layout().classes() as usize);
        let tiles = 1 << (GROUP / (classes.max(1) * lanes)).clamp(1, TILES).ilog2();
        let all = part.rows();
        let has_weights = rows.job.class_weights.is_some() || rows.job.row_weights.is_some();
        let plain_targets = rows.job.plain_targets().filter(|_| !has_weights && !rows.has_extra);
        let mut work = Work {
            simd,
            exp: Exp::new(simd, rows.options.inverse_temperature()),
            rows,
            classes,
            plain_targets,
            bundle: Bundle::default(),
            targets: [NONE; MAX_ROWS],
            out,
            totals: RowTotals::new(all.clone()),
        };
        let mut writer = part.writer();
        for first in all.clone().step_by(tiles * lanes) {
            let n = (all.end - first).min(tiles * lanes);
            simd.vectorize(
                #[inline(always)]
                || {
                    if rows.has_extra {
                        work.group::<true>(part, writer.as_mut(), scratch, first, n);
                    } else {
                        work.group::<false>(part, writer.as_mut(), scratch, first, n);
                    }
                },
            );
        }
        work.totals
    }
}

struct Work<'s, 'r, S: Simd, M> {
    simd: S,
    exp: Exp<S>,
    rows: &'s Rows<'r, M>,
    classes: usize,
    /// Of all rows of the batch, if every row counts with a weight of 1 and has no more to it than logits.
    plain_targets: Option<&'s [i32]>,
    /// Of the rows at work.
    bundle: Bundle,
    targets: [u32; MAX_ROWS],
    out: RowOutputs<'s>,
    totals: RowTotals,
}

/// Tiles by which storing a gradient is behind computing it: what has just been stored in pieces cannot be loaded as a whole yet.
const LAG: usize = 2;

/// What stands for the class of a row that has none.
const NONE: u32 = u32::MAX;

/// Statistics of the rows at work, but for the sums of exponentials.
struct Bundle {
    reference: [f32; MAX_ROWS],
    deficit: [f32; MAX_ROWS],
    target: [f32; MAX_ROWS],
    target_low: [f32; MAX_ROWS],
    class_weight: [f32; MAX_ROWS],
    row_weight: [f32; MAX_ROWS],
}

impl Default for Bundle {
    fn default() -> Self {
        let (zero, one) = ([0.0; MAX_ROWS], [1.0; MAX_ROWS]);
        Self { reference: zero, deficit: zero, target: zero, target_low: zero, class_weight: one, row_weight: one }
    }
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Evaluates `n` rows from `first` on.
    #[inline(always)]
    fn group<const EXTRA: bool>(
        &mut self,
        part: &mut Part<'_>,
        writer: Option<&mut LineWriter<'_>>,
        scratch: &mut Scratch,
        first: usize,
        n: usize,
    ) {
        let Self { simd, rows, classes, .. } = *self;
        let lanes = S::f32s::LEN;
        let Scratch { buffer, exponentials: e, gradient, capped } = scratch;
        // Vectors reach behind the last row.
        let size = n.next_multiple_of(lanes) * classes + block_len::<S>();
        e.resize(size.max(e.len()), 0.0);
        let logits = part.rows_together(first, n, buffer);
        let (mut x, mut low): (&[f32], &[f32]) = (logits, &[]);
        let mut ahead = part.lines_ahead(part.row_start(first));
        if EXTRA {
            part.fetch_ahead(part.row_start(first), n * classes);
            if let Some(softcap) = rows.options.softcap {
                cap(logits, softcap, capped);
                (x, low) = (&capped.high, &capped.low);
            }
        } else {
            exponentials(simd, self.exp, x, e, &mut ahead);
        }
        // Of all rows before the first is added up: a vector that is loaded right behind a store into it waits for that.
        self.targets(first, x, low, &mut e[..n * classes], n);
        let tiles = n.div_ceil(lanes);
        let mut sums = [splat(simd, 0.0); TILES];
        let sum = RowSums::new(simd, classes);
        let [least, most] = NEAR_SUMS.map(|sum| splat(simd, sum));
        let mut are_near = [!EXTRA; TILES];
        for (k, sum_of_tile) in sums[..tiles].iter_mut().enumerate() {
            *sum_of_tile = sum.of(simd, &e[k * lanes * classes..]);
            are_near[k] &= (sum_of_tile.simd_ge(least) & sum_of_tile.simd_le(most)).all_true();
            // The lines that were left out: memory is busy for longer that way.
            ahead.fetch((classes * lanes).div_ceil(32));
        }
        let is_odd = are_near[..tiles].contains(&false);
        if is_odd {
            self.odd_rows::<EXTRA>(x, low, e, n, &mut sums[..tiles]);
        }
        let mut conclusions = [Conclusion::none(simd); TILES];
        let bundle = &self.bundle;
        let statistics = |k: usize| {
            let at = k * lanes;
            Statistics {
                reference: load(simd, &bundle.reference, at),
                sum: sums[k],
                deficit: load(simd, &bundle.deficit, at),
                target: load(simd, &bundle.target, at),
                target_low: load(simd, &bundle.target_low, at),
                class_weight: load(simd, &bundle.class_weight, at),
                row_weight: load(simd, &bundle.row_weight, at),
            }
        };
        rows.finishing(classes).several(simd, statistics, &mut conclusions[..tiles]);
        let is_plain = self.conclude(first, n, logits, &conclusions[..tiles]);
        if is_odd {
            self.bundle.reference = [0.0; MAX_ROWS];
        }
        let Some(writer) = writer else { return };
        gradient.resize(size.max(gradient.len()), 0.0);
        let is_contiguous = part.layout().is_contiguous();
        if is_contiguous {
            part.start_rows(writer, first..first + n);
        }
        let slope = if rows.options.softcap.is_some() { &capped.slope[..] } else { &[] };
        let mut written = 0;
        for (k, conclusion) in conclusions[..tiles].iter().enumerate() {
            let tile = k * lanes..n.min((k + 1) * lanes);
            self.gradient::<EXTRA>(first, tile.clone(), conclusion, is_plain, [e, slope], gradient);
            if is_contiguous && k >= LAG {
                // Soon, so that the computation goes on while memory takes them.
                written += writer.push_blocks(simd, &gradient[written..(k + 1 - LAG) * lanes * classes]);
            }
        }
        if is_contiguous {
            written += writer.push_blocks(simd, &gradient[written..n * classes]);
            writer.push(&gradient[written..n * classes]);
        } else {
            part.write_rows(writer, first, &gradient[..n * classes]);
        }
    }

    /// Takes the targets' logits out of the rows, and finds the weights.
    #[inline(always)]
    fn targets(&mut self, first: usize, x: &[f32], low: &[f32], e: &mut [f32], n: usize) {
        let Self { rows, classes, ref mut bundle, ref mut targets, .. } = *self;
        let targets = &mut targets[..n];
        if let Some(all) = self.plain_targets {
            targets.copy_from_slice(bytemuck::cast_slice(&all[first..first + n]));
        } else {
            for (i, target) in targets.iter_mut().enumerate() {
                let mut weights = [1.0; 2];
                let class = rows.weights(rows.job.label(first + i), first + i, &mut weights);
                [bundle.class_weight[i], bundle.row_weight[i]] = weights;
                *target = class.map_or(NONE, |class| class as u32);
                // Where nothing is left out the log-partition is that of all classes.
                bundle.target[i] = f32::NEG_INFINITY;
            }
        }
        let mut at = 0;
        for (&target, to) in targets.iter().zip(&mut bundle.target) {
            let target = target as usize;
            if target < classes {
                *to = x[at + target];
                e[at + target] = 0.0;
            }
            at += classes;
        }
        if !low.is_empty() {
            let rows = low.chunks_exact(classes).zip(&*targets);
            for ((low, &target), to) in rows.zip(&mut bundle.target_low) {
                *to = low.get(target as usize).copied().unwrap_or(0.0);
            }
        }
    }

    /// Goes over the rows that are not near 0 by themselves; over all, if they have more to them than logits.
    #[cold]
    fn odd_rows<const EXTRA: bool>(&mut self, x: &[f32], low: &[f32], e: &mut [f32], n: usize, sums: &mut [S::f32s]) {
        let (simd, lanes, classes) = (self.simd, S::f32s::LEN, self.classes);
        simd.vectorize(
            #[inline(always)]
            || {
                for (k, sum) in sums.iter_mut().enumerate() {
                    let of_tile = to_lanes::<S>(*sum);
                    for i in k * lanes..n.min((k + 1) * lanes) {
                        let is_near = NEAR_SUMS[0] <= of_tile[i - k * lanes] && of_tile[i - k * lanes] <= NEAR_SUMS[1];
                        if EXTRA || !is_near {
                            let row = i * classes..(i + 1) * classes;
                            let low = if low.is_empty() { low } else { &low[row.clone()] };
                            self.alone::<EXTRA>(&x[row.clone()], low, &mut e[row], i);
                        }
                    }
                    *sum = RowSums::new(simd, classes).of(simd, &e[k * lanes * classes..]);
                }
            },
        );
    }

    /// Statistics of a row relative to its largest logit, and its exponentials.
    #[inline(always)]
    fn alone<const EXTRA: bool>(&mut self, x: &[f32], low: &[f32], e: &mut [f32], row: usize) {
        let Self { simd, exp, rows, .. } = *self;
        let (lanes, zero) = (S::f32s::LEN, splat(simd, 0.0));
        let (n, target) = (x.len(), self.targets[row] as usize);
        let padded = |values: &[f32], fill: f32, hole: f32| {
            let mut padded = [fill; SHORT];
            padded[..n].copy_from_slice(values);
            if let Some(value) = padded.get_mut(target) {
                *value = hole;
            }
            padded
        };
        let x = padded(x, f32::NEG_INFINITY, f32::NEG_INFINITY);
        let vectors = (0..n).step_by(lanes);
        let mut largest = splat(simd, f32::MIN);
        for c in vectors.clone() {
            largest = at_least(largest, load(simd, &x, c));
        }
        self.bundle.reference[row] = largest.reduce_max();
        let reference = splat(simd, self.bundle.reference[row]);
        let low = if low.is_empty() { [0.0; SHORT] } else { padded(low, 0.0, 0.0) };
        let weights =
            if EXTRA { padded(rows.job.class_weights.unwrap_or(&[1.0; SHORT][..n]), 0.0, 0.0) } else { [0.0; SHORT] };
        let mut exponentials = [0.0; SHORT];
        let mut deficit = zero;
        for c in vectors {
            let x = load(simd, &x, c);
            let mut d = x - reference;
            if EXTRA {
                d += load(simd, &low, c);
                let w = load(simd, &weights, c);
                deficit += w.simd_eq(zero).select(zero, w * (reference - x));
            }
            exp.of(d).store_slice(&mut exponentials[c..c + lanes]);
        }
        self.bundle.deficit[row] = deficit.reduce_sum();
        e.copy_from_slice(&exponentials[..n]);
    }

    /// Adds the rows to the totals, and fills in what is asked for of each. Says whether all of them count and have a softmax.
    #[inline(always)]
    fn conclude(&mut self, first: usize, n: usize, logits: &[f32], conclusions: &[Conclusion<S>]) -> bool {
        let (simd, lanes, classes) = (self.simd, S::f32s::LEN, self.classes);
        let is_whole = n == conclusions.len() * lanes;
        if self.plain_targets.is_some() && is_whole && self.out.details.is_empty() && self.rows.scale != 0.0 {
            let mut losses = [0.0; MAX_ROWS];
            let mut are_finite = splat(simd, 0.0).simd_eq(splat(simd, 0.0));
            for (loss, conclusion) in losses.chunks_exact_mut(lanes).zip(conclusions) {
                conclusion.loss.store_slice(loss);
                are_finite &= conclusion.lse.simd_eq(conclusion.lse);
            }
            if are_finite.all_true() && n.is_power_of_two() {
                self.totals.push_rows(first, &losses[..n], self.out.losses);
                return true;
            }
        }
        for (k, conclusion) in conclusions.iter().enumerate() {
            let finished = conclusion.lanes();
            for lane in 0..lanes.min(n - k * lanes) {
                let (i, row) = (k * lanes + lane, first + k * lanes + lane);
                let label = self.rows.job.label(row);
                if !self.out.details.is_empty() {
                    let standing = Standing::of(&logits[i * classes..(i + 1) * classes], label);
                    self.out.details[row - self.totals.first()] = standing.details(label, &finished, lane);
                }
                self.totals.push(label, row, &finished, lane, self.out.losses);
            }
        }
        false
    }

    /// The gradient of the rows of a tile.
    #[inline(always)]
    fn gradient<const EXTRA: bool>(
        &self,
        first: usize,
        tile: Range<usize>,
        conclusion: &Conclusion<S>,
        is_plain: bool,
        [e, slope]: [&[f32]; 2],
        to: &mut [f32],
    ) {
        let Self { simd, rows, classes, .. } = *self;
        let (lanes, start, finished) = (S::f32s::LEN, tile.start * classes, conclusion.lanes());
        // A vector may reach into the front of the next row, which is stored after it: rows in order, and the last classes first.
        for c in (0..classes).step_by(lanes).rev() {
            let mut vectors = load_rows(simd, e, start + c, classes);
            for (lane, g) in vectors[..lanes].iter_mut().enumerate() {
                *g *= splat(simd, finished.softmax[lane]);
            }
            if EXTRA {
                let mut weights = [1.0; MAX_LANES];
                if let Some(all) = rows.job.class_weights {
                    let own = &all[c..classes.min(c + lanes)];
                    weights[..own.len()].copy_from_slice(own);
                }
                for (lane, g) in vectors[..lanes].iter_mut().enumerate() {
                    *g -= splat(simd, finished.share[lane]) * load_lanes(simd, &weights);
                }
            }
            store_rows::<S>(&vectors, to, start + c, classes);
        }
        for (lane, &target) in self.targets[tile.clone()].iter().enumerate() {
            if (target as usize) < classes {
                to[start + lane * classes + target as usize] = finished.at_target[lane];
            }
        }
        if EXTRA && !slope.is_empty() {
            let own = start..tile.end * classes;
            to[own.clone()].iter_mut().zip(&slope[own]).for_each(|(g, slope)| *g *= slope);
        }
        if !is_plain {
            for (lane, i) in tile.enumerate() {
                if let Fate::Constant(value) = rows.fate(rows.job.label(first + i), &finished, lane) {
                    to[i * classes..(i + 1) * classes].fill(value);
                }
            }
        }
    }
}

/// The exponentials of all logits, relative to 0.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, exp: Exp<S>, x: &[f32], e: &mut [f32], ahead: &mut LinesAhead) {
    let length = block_len::<S>();
    let (blocks, rest) = x.split_at(x.len() - x.len() % length);
    for (x, e) in blocks.chunks_exact(length).zip(e.chunks_exact_mut(length)) {
        let mut block = load_block(simd, x);
        exp.of_block(
            &mut block,
            #[inline(always)]
            |i| {
                if i % 2 == 0 {
                    ahead.fetch(1);
                }
            },
        );
        store_block::<S>(&block, e);
    }
    if !rest.is_empty() {
        let mut block = load_up_to(simd, rest, 0.0);
        exp.of_block(&mut block, |_| {});
        store_up_to::<S>(&block, &mut e[blocks.len()..x.len()]);
    }
}

/// Adds up as many rows as there are lanes, a row a lane. Vectors reach into what is behind the rows.
///
/// Of two vectors, the halves of the one interleaved with those of the other are added: a vector of half as many terms of both.
/// After as many rounds as a lane's number has bits, a lane has a row. Its sum carries `classes / lanes` roundings and one a bit:
/// with four lanes 18, at most.
struct RowSums<S: Simd> {
    classes: usize,
    /// The lanes of a row's last vector that are its own.
    are_of_row: <S::f32s as SimdBase<S>>::Mask,
}

impl<S: Simd> RowSums<S> {
    #[inline(always)]
    fn new(simd: S, classes: usize) -> Self {
        let mut numbers: Lanes = [0.0; MAX_LANES];
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = i as f32;
        }
        let own = (classes - 1) % S::f32s::LEN + 1;
        Self { classes, are_of_row: load_lanes(simd, &numbers).simd_lt(splat(simd, own as f32)) }
    }

    #[inline(always)]
    fn of(&self, simd: S, e: &[f32]) -> S::f32s {
        let Self { classes, are_of_row } = *self;
        let lanes = S::f32s::LEN;
        let last = (classes - 1) / lanes * lanes;
        let mut sums = load_rows(simd, e, last, classes);
        for sum in &mut sums[..lanes] {
            *sum = are_of_row.select(*sum, splat(simd, 0.0));
        }
        for c in (0..last).step_by(lanes) {
            for (sum, row) in sums[..lanes].iter_mut().zip(&load_rows(simd, e, c, classes)) {
                *sum += *row;
            }
        }
        // Not a loop, so that all of them stay in registers.
        macro_rules! round {
            ($half:literal) => {
                if $half < lanes {
                    for i in 0..$half {
                        sums[i] = sums[i].zip_low(sums[i + $half]) + sums[i].zip_high(sums[i + $half]);
                    }
                }
            };
        }
        const { assert!(MAX_LANES == 16) };
        round!(8);
        round!(4);
        round!(2);
        round!(1);
        sums[0]
    }
}
