//! Rows of few classes, next to one another.
//!
//! The exponentials of some rows are computed as if those were one: no lane is empty, and nothing is done once a row that need
//! not be. Rows come apart only where they are added up:
//!
//! ```text
//! exponentials   a a a b b b c c | c d d d e e e f | ...   relative to 0; then 0 at the targets
//! sums           a vector or more a row; two vectors become one, half of it each's, until a lane has a row
//! gradient       a a a b b b c c | c d d d e e e f | ...   times the factors of the rows
//! ```
//!
//! A row whose sum is too small or too large that way, or which has more to it than logits, is gone over by itself, relative to
//! its largest logit: which of the two is up to the row alone, as its bits are.
//!
//! Each step goes over all rows of a group, in a function of its own, whose loop has all registers to itself.

mod exponentials;
mod gradient;
mod sums;

use super::cap::{Capped, cap};
use super::finish::{Conclusion, Finished, MarginLoss, Statistics, TILES};
use super::{MAX_ROWS, PartKernel, Rows, Standing};
use crate::DType;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{Kernel, Simd, SimdBase, SimdMask, block_len, load, splat};
use crate::cpu::tensor::{LineWriter, Part, Source};
use crate::cpu::{RowOutputs, RowTotals};
use exponentials::write;

/// Exponentials of the rows that are worked on together, where they are enough to fill vectors: a part of the first cache.
const GROUP: usize = 1 << 12;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    buffer: Vec<f32>,
    exponentials: Vec<f32>,
    /// Of the rows before those that are read, written meanwhile.
    gradient: Vec<f32>,
    capped: Capped,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M, Scratch> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let (lanes, classes) = (S::f32s::LEN, part.layout().classes() as usize);
        let together = lanes << (GROUP / (classes * lanes)).clamp(1, TILES).ilog2();
        let all = part.rows();
        let has_weights = rows.job.class_weights.is_some() || rows.job.row_weights.is_some();
        let plain_targets = rows.job.plain_targets().filter(|_| !has_weights && !rows.has_extra);
        let mut work = Work {
            simd,
            exp: Exp::new(simd, rows.options.inverse_temperature()),
            rows,
            classes,
            plain_targets,
            weights: if rows.has_extra { padded(rows.job.class_weights, classes, lanes) } else { Vec::new() },
            known: Known::default(),
            row: Vec::new(),
            sums: [splat(simd, 0.0); TILES],
            conclusions: [Conclusion::none(simd); TILES],
            out,
            totals: RowTotals::new(all.clone()),
        };
        let mut writer = part.writer();
        let mut unwritten = 0;
        for first in all.clone().step_by(together) {
            let group = Group { first, n: (all.end - first).min(together) };
            if rows.has_extra {
                work.group::<true>(group, part, writer.as_mut(), scratch, &mut unwritten);
            } else {
                work.group::<false>(group, part, writer.as_mut(), scratch, &mut unwritten);
            }
        }
        if let Some(writer) = &mut writer {
            write(simd, writer, &scratch.gradient[..unwritten]);
        }
        work.totals
    }
}

/// The weights of classes, or as many of 1, and 1 behind them up to a multiple of `lanes`.
fn padded(weights: Option<&[f32]>, classes: usize, lanes: usize) -> Vec<f32> {
    let mut padded = vec![1.0; classes.next_multiple_of(lanes)];
    if let Some(weights) = weights {
        padded[..classes].copy_from_slice(weights);
    }
    padded
}

/// What is known of each row of a group, but for the sum of its exponentials.
struct Known {
    /// The class, or [`NONE`].
    class: [u32; MAX_ROWS],
    reference: [f32; MAX_ROWS],
    deficit: [f32; MAX_ROWS],
    target: [f32; MAX_ROWS],
    target_low: [f32; MAX_ROWS],
    class_weight: [f32; MAX_ROWS],
    row_weight: [f32; MAX_ROWS],
}

/// What stands for the class of a row that has none.
const NONE: u32 = u32::MAX;

impl Default for Known {
    fn default() -> Self {
        let (zero, one) = ([0.0; MAX_ROWS], [1.0; MAX_ROWS]);
        Self {
            class: [NONE; MAX_ROWS],
            reference: zero,
            deficit: zero,
            target: zero,
            target_low: zero,
            class_weight: one,
            row_weight: one,
        }
    }
}

/// Rows that are worked on together.
#[derive(Clone, Copy)]
struct Group {
    first: usize,
    n: usize,
}

impl Group {
    /// Vectors with a row a lane.
    const fn tiles<S: Simd>(self) -> usize {
        self.n.div_ceil(S::f32s::LEN)
    }
}

/// The logits of a group, next to one another.
enum Neighbours<'a> {
    /// In float32, where they lie or collected.
    Widened(&'a [f32]),
    /// In 16 bits, where they lie.
    Narrow(&'a Part<'a>, Group),
}

impl<'a> Neighbours<'a> {
    fn of(part: &'a Part<'a>, group: Group, buffer: &'a mut Vec<f32>) -> Self {
        if part.layout().is_contiguous() && part.dtype() != DType::F32 {
            Self::Narrow(part, group)
        } else {
            Self::Widened(part.rows_together(group.first, group.n, buffer))
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Widened(x) => x.len(),
            Self::Narrow(part, group) => group.n * part.layout().classes() as usize,
        }
    }

    fn source(&self) -> Source {
        match self {
            Self::Widened(x) => Source::F32(x.as_ptr()),
            Self::Narrow(part, group) => part.source(part.row_start(group.first), self.len()),
        }
    }

    /// The logit at a place.
    #[inline(always)]
    fn logit(&self, at: usize) -> f32 {
        match self {
            Self::Widened(x) => x[at],
            Self::Narrow(part, group) => part.neighbour(part.row_start(group.first) + at),
        }
    }

    /// Row `i`, and perhaps what is behind it.
    fn row_and_on<'b>(&'b self, i: usize, classes: usize, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        match self {
            Self::Widened(x) => &x[i * classes..],
            Self::Narrow(part, group) => part.row(group.first + i, buffer),
        }
    }
}

struct Work<'s, 'r, S: Simd, M> {
    simd: S,
    exp: Exp<S>,
    rows: &'s Rows<'r, M>,
    classes: usize,
    /// Of all rows of the batch, if every row counts with a weight of 1 and has no more to it than logits.
    plain_targets: Option<&'s [i32]>,
    /// Of the classes, in whole vectors, if rows have more to them than logits.
    weights: Vec<f32>,
    known: Known,
    /// Memory for a row.
    row: Vec<f32>,
    sums: [S::f32s; TILES],
    conclusions: [Conclusion<S>; TILES],
    out: RowOutputs<'s>,
    totals: RowTotals,
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Evaluates a group, and writes the gradient of the one before, `unwritten` numbers; its own is left to be written.
    fn group<const EXTRA: bool>(
        &mut self,
        group: Group,
        part: &mut Part<'_>,
        mut writer: Option<&mut LineWriter<'_>>,
        scratch: &mut Scratch,
        unwritten: &mut usize,
    ) {
        let Self { simd, rows, classes, .. } = *self;
        let Scratch { buffer, exponentials: e, gradient, capped } = scratch;
        // Vectors reach behind the last row.
        let size = group.n.next_multiple_of(S::f32s::LEN) * classes + block_len::<S>();
        e.resize(size.max(e.len()), 0.0);
        gradient.resize(size.max(gradient.len()), 0.0);
        let before = writer.as_deref_mut().map(|writer| (&gradient[..*unwritten], writer));
        let mut ahead = part.lines_ahead(part.row_start(group.first), group.n * classes);
        let logits;
        let mut low: &[f32] = &[];
        if EXTRA {
            if let Some((before, writer)) = before {
                write(simd, writer, before);
            }
            ahead.fetch_left(ahead.left());
            let mut x = part.rows_together(group.first, group.n, buffer);
            if let Some(softcap) = rows.options.softcap {
                cap(x, softcap, capped);
                (x, low) = (&capped.high, &capped.low);
            }
            logits = Neighbours::Widened(x);
        } else {
            logits = Neighbours::of(part, group, buffer);
            self.exponentials(&logits, e, before, &mut ahead);
        }
        self.find_targets(group, &logits, low, e);
        let are_near = self.add_up(group, e, &mut ahead);
        if EXTRA || !are_near {
            self.redo_odd_rows::<EXTRA>(group, &logits, low, e);
        }
        let is_plain = self.conclude(group, part);
        if let Some(writer) = writer {
            let slopes = if rows.options.softcap.is_some() { &capped.slope[..] } else { &[] };
            self.gradient::<EXTRA>(group, is_plain, slopes, e, gradient);
            if part.layout().is_contiguous() {
                part.start_rows(writer, group.first..group.first + group.n);
                *unwritten = group.n * classes;
            } else {
                part.write_rows(writer, group.first, &gradient[..group.n * classes]);
            }
        }
    }

    /// Finishes the rows, adds them to the totals, and fills in what is asked for of each. Says whether all of them count and have a
    /// softmax.
    #[inline(never)]
    fn conclude(&mut self, group: Group, part: &Part<'_>) -> bool {
        let (simd, lanes, classes) = (self.simd, S::f32s::LEN, self.classes);
        let tiles = group.tiles::<S>();
        let (known, sums) = (&self.known, &self.sums);
        let statistics = |k: usize| {
            let at = k * lanes;
            Statistics {
                reference: load(simd, &known.reference, at),
                sum: sums[k],
                deficit: load(simd, &known.deficit, at),
                target: load(simd, &known.target, at),
                target_low: load(simd, &known.target_low, at),
                class_weight: load(simd, &known.class_weight, at),
                row_weight: load(simd, &known.row_weight, at),
            }
        };
        let conclusions = &mut self.conclusions[..tiles];
        let finishing = self.rows.finishing(classes);
        let is_whole = group.n == tiles * lanes && group.n.is_power_of_two();
        let can_be_plain =
            self.plain_targets.is_some() && is_whole && self.out.details.is_empty() && self.rows.scale != 0.0;
        let (totals, losses) = (&mut self.totals, &mut *self.out.losses);
        let mut finished = [Finished::default(); TILES];
        let is_plain = simd.vectorize(
            #[inline(always)]
            || {
                finishing.several(simd, statistics, conclusions);
                let mut of_rows = [0.0; MAX_ROWS];
                let mut are_finite = splat(simd, 0.0).simd_eq(splat(simd, 0.0));
                for (loss, conclusion) in of_rows.chunks_exact_mut(lanes).zip(&*conclusions) {
                    conclusion.loss.store_slice(loss);
                    are_finite &= conclusion.lse.simd_eq(conclusion.lse);
                }
                let is_plain = can_be_plain && are_finite.all_true();
                if is_plain {
                    totals.push_rows(group.first, &of_rows[..group.n], losses);
                } else {
                    for (finished, conclusion) in finished.iter_mut().zip(&*conclusions) {
                        *finished = conclusion.lanes();
                    }
                }
                is_plain
            },
        );
        if is_plain {
            return true;
        }
        for (k, finished) in finished[..tiles].iter().enumerate() {
            for lane in 0..lanes.min(group.n - k * lanes) {
                let row = group.first + k * lanes + lane;
                let label = self.rows.job.label(row);
                if !self.out.details.is_empty() {
                    let standing = Standing::of(part.row(row, &mut self.row), label);
                    self.out.details[row - self.totals.first()] = standing.details(label, finished, lane);
                }
                self.totals.push(label, row, finished, lane, self.out.losses);
            }
        }
        false
    }
}
