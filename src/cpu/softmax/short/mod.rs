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
//! Rows of up to [`FEW`] classes are turned to be added up, and where there is no gradient their logits before the exponential.
//!
//! A row whose sum is too small or too large that way, or which has more to it than logits, is gone over by itself, relative to
//! its largest logit: which of the two is up to the row alone, as its bits are.
//!
//! Each step goes over all rows of a group, in a function of its own, whose loop has all registers to itself.

mod exponentials;
mod few;
mod gradient;
mod sums;

use few::{FEW, Values};
use gradient::Places;
pub(super) use sums::lane_by_lane;

use super::cap::{Capped, cap};
use super::finish::{MarginLoss, Statistics, TILES};
use super::group::{Group, Ledger};
use super::{MAX_ROWS, PADDED, PartKernel, Rows};
use crate::DType;
use crate::cpu::RowTotals;
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{Kernel, Simd, SimdBase, block_len, load, splat};
use crate::cpu::tensor::{Part, Pending, Source, Trail};

/// Exponentials of the rows that are worked on together, where they are enough to fill vectors: a part of the first cache.
const GROUP: usize = 1 << 12;

/// Tiles of a group at most, with a gradient. Where their end waits for a division and a logarithm, nothing runs beside it but what is
/// left of the tiles: without one, [`TILES`] took 0.92 of the time of eight of ten classes each. With a gradient they took 1.02:
/// conclusions and gradient are memory too.
const TILES_WITH_GRADIENT: usize = 8;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    buffer: Vec<f32>,
    exponentials: Aligned,
    capped: Capped,
    padded: Aligned,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M, Scratch> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let (lanes, classes) = (S::f32s::LEN, part.layout().classes() as usize);
        let tiles = if rows.job.tensor.has_gradient() { TILES_WITH_GRADIENT } else { TILES };
        let together = Group::rows::<S>(GROUP, classes, tiles);
        // Vectors reach behind the last row.
        let size = together * classes + block_len::<S>();
        let mut trail = Trail::new(part, size);
        if trail.is_none() {
            scratch.exponentials.extend_to(size);
        }
        scratch.padded.extend_to(PADDED);
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let mut work = Work {
            simd,
            exp,
            rows,
            classes,
            starts: sums::lane_starts(simd, classes),
            places: Places::new(classes, lanes),
            weights: if rows.has_extra { padded(rows.job.class_weights, classes, lanes) } else { Vec::new() },
            known: Known::default(),
            sums: [splat(simd, 0.0); TILES],
            ledger: Ledger::new(simd, rows, part, out),
        };
        for group in Group::of(part.rows(), together) {
            if rows.has_extra {
                work.group::<true>(group, part, trail.as_mut(), scratch);
            } else {
                work.group::<false>(group, part, trail.as_mut(), scratch);
            }
        }
        if let Some(trail) = trail {
            trail.finish(simd);
        }
        work.ledger.totals
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

/// What is known of each row of a group besides its label and the sum of its exponentials.
struct Known {
    reference: [f32; MAX_ROWS],
    deficit: [f32; MAX_ROWS],
    target: [f32; MAX_ROWS],
    target_low: [f32; MAX_ROWS],
    target_exp: [f32; MAX_ROWS],
}

impl Default for Known {
    fn default() -> Self {
        let zero = [0.0; MAX_ROWS];
        Self { reference: zero, deficit: zero, target: zero, target_low: zero, target_exp: zero }
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

    /// Where all are in float32.
    const fn in_float32(&self) -> Option<&'a [f32]> {
        match *self {
            Self::Widened(x) => Some(x),
            Self::Narrow(..) => None,
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
    /// Where the rows of a tile start in it.
    starts: S::u32s,
    places: Places,
    /// Of the classes, in whole vectors, if rows have more to them than logits.
    weights: Vec<f32>,
    known: Known,
    sums: [S::f32s; TILES],
    ledger: Ledger<'s, 'r, S, M>,
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Evaluates a group, and writes the gradient of the one before; its own is left to the `trail`.
    fn group<const EXTRA: bool>(
        &mut self,
        group: Group,
        part: &mut Part<'_>,
        mut trail: Option<&mut Trail<'_>>,
        scratch: &mut Scratch,
    ) {
        let Self { simd, rows, classes, .. } = *self;
        let Scratch { buffer, exponentials, capped, padded } = scratch;
        let has_gradient = trail.is_some();
        let blocks = if EXTRA { 0 } else { group.n * classes / block_len::<S>() };
        let (e, pending) = match &mut trail {
            Some(trail) => trail.start::<S>(blocks),
            None => (&mut exponentials[..], Pending::NONE),
        };
        let mut ahead = part.lines_ahead(part.row_start(group.first), group.n * classes);
        let logits;
        let mut low: &[f32] = &[];
        if EXTRA {
            ahead.fetch_left(ahead.left());
            let mut x = part.rows_together(group.first, group.n, buffer);
            if let Some(softcap) = rows.options.softcap {
                cap(simd, x, softcap, capped);
                (x, low) = (&capped.high, &capped.low);
            }
            logits = Neighbours::Widened(x);
        } else {
            logits = Neighbours::of(part, group, buffer);
        }
        let is_few = !EXTRA && classes <= FEW;
        let of_logits = logits.in_float32().filter(|_| is_few && !has_gradient);
        if !EXTRA && of_logits.is_none() {
            self.exponentials(&logits, e, pending, &mut ahead);
        }
        let are_near = if is_few {
            let values = of_logits.map_or(Values::Exponentials(e), Values::Logits);
            self.add_up_few(group, values, padded, &mut ahead)
        } else {
            self.take_targets(group, e);
            self.add_up(group, e, &mut ahead)
        };
        if EXTRA || !are_near || self.ledger.takes_logits() {
            self.find_logits(group, &logits, low);
        }
        if EXTRA || !are_near {
            if of_logits.is_some() {
                self.exponentials(&logits, e, Pending::NONE, &mut ahead);
            }
            self.redo_odd_rows::<EXTRA>(group, &logits, low, e);
        }
        let Self { known, sums, ledger, .. } = self;
        ledger.conclude(
            group,
            part,
            !EXTRA && are_near,
            #[inline(always)]
            |k| {
                let at = k * S::f32s::LEN;
                Statistics {
                    reference: load(simd, &known.reference, at),
                    sum: sums[k],
                    deficit: load(simd, &known.deficit, at),
                    target: load(simd, &known.target, at),
                    target_low: load(simd, &known.target_low, at),
                    target_exp: load(simd, &known.target_exp, at),
                    ..Statistics::none(simd)
                }
            },
        );
        if has_gradient {
            let slopes = if rows.options.softcap.is_some() { &capped.slope[..] } else { &[] };
            self.gradient::<EXTRA>(group, slopes, e);
        }
        if let Some(trail) = trail {
            simd.vectorize(
                #[inline(always)]
                || trail.advance(simd, part, group.first * classes, group.n * classes),
            );
        }
    }
}
