//! A row a lane: rows whose classes are planes apart, and rows of few classes that have more to them than logits.
//!
//! A group's logits become exponentials and those its gradient, all in the same memory:
//!
//! ```text
//! planes   (classes, rows of the group)    a tile is some of its columns
//! turned   (tiles, classes, lanes)
//! ```

use std::ops::Range;

use super::cap::{Capped, cap};
use super::finish::{MarginLoss, Statistics, TILES};
use super::group::{Group, Ledger, NONE};
use super::tile::Tile;
use super::turn::{PADDED, TileRows, turn_out};
use super::{MAX_ROWS, PartKernel, Rows};
use crate::cpu::RowTotals;
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{BLOCK, Kernel, MAX_LANES, Simd, SimdBase, SimdMask, load_lanes};
use crate::cpu::tensor::{LineWriter, Part};

/// Logits of the rows that are worked on together, where they are enough to fill vectors: a part of the second cache.
const GROUP: usize = 1 << 16;

/// Planes that have a writer each, at most: the memory of all of them is in the second cache too.
const WRITERS: usize = 256;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    x: Aligned,
    capped: Capped,
    buffer: Vec<f32>,
    /// Of the gradient, where it is not stored class by class.
    rows: Aligned,
    /// Of a tile that not all rows are of.
    padded: Aligned,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M, Scratch> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let (classes, all) = (part.layout().classes() as usize, part.rows());
        let together = Group::rows::<S>(GROUP, classes, TILES);
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let statistics = [Statistics::none(simd); TILES];
        let mut work = Work { simd, exp, rows, classes, statistics, ledger: Ledger::new(simd, rows, part, out) };
        // Of no classes either way gives the same.
        let is_turned = part.layout().inner() == 1 && classes > 0;
        // Each plane has its own, whose lines go on from group to group; but for planes that are too many, or too short.
        let inner = part.layout().inner() as usize;
        let mut writers: Vec<_> = if is_turned {
            part.writer().into_iter().collect()
        } else if classes <= WRITERS && inner >= MAX_ROWS {
            (0..classes).filter_map(|_| part.writer()).collect()
        } else {
            part.cached_writer().into_iter().collect()
        };
        for first in all.clone().step_by(together) {
            let group = Group { first, n: (all.end - first).min(together) };
            match (rows.has_extra, is_turned) {
                (true, true) => work.group::<true, true>(group, part, &mut writers, scratch),
                (true, false) => work.group::<true, false>(group, part, &mut writers, scratch),
                (false, _) => work.group::<false, false>(group, part, &mut writers, scratch),
            }
        }
        work.ledger.totals
    }
}

struct Work<'s, 'r, S: Simd, M> {
    simd: S,
    exp: Exp<S>,
    rows: &'s Rows<'r, M>,
    classes: usize,
    /// Of the tiles of a group, without weights.
    statistics: [Statistics<S>; TILES],
    ledger: Ledger<'s, 'r, S, M>,
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    #[inline(never)]
    fn group<const EXTRA: bool, const TURNED: bool>(
        &mut self,
        group: Group,
        part: &mut Part<'_>,
        writers: &mut [LineWriter<'_>],
        scratch: &mut Scratch,
    ) {
        let Self { simd, rows, classes, .. } = *self;
        let Scratch { x, capped, buffer, rows: gradient, padded } = scratch;
        padded.extend_to(PADDED);
        let place = Place::of::<S, TURNED>(group, classes);
        let values = group.tiles::<S>() * S::f32s::LEN * classes.max(1);
        x.extend_to(values);
        let (mut e, mut low, mut slopes): (_, &[f32], &[f32]) = (&mut x[..values], &[], &[]);
        let (is_kept, mut are_near) = (!writers.is_empty(), true);
        simd.vectorize(
            #[inline(always)]
            || {
                self.ledger.read_labels(group);
                let logits = self.logits::<TURNED>(place, part, e, buffer);
                if let Some(softcap) = rows.options.softcap.filter(|_| EXTRA) {
                    for k in 0..group.tiles::<S>() {
                        self.turn_in(place, k, logits, padded, e);
                    }
                    cap(e, softcap, capped);
                    (e, low, slopes) = (&mut capped.high, &capped.low, &capped.slope);
                }
                for k in 0..group.tiles::<S>() {
                    if TURNED {
                        let rows = group.first + k * S::f32s::LEN;
                        part.fetch_ahead(part.row_start(rows), classes * S::f32s::LEN);
                    }
                    if TURNED && low.is_empty() {
                        // Turning keeps other parts of a processor busy than exponentials do.
                        self.turn_in(place, k, logits, padded, e);
                    }
                    let of_tile = place.tile(k);
                    let is_near;
                    (self.statistics[k], is_near) = if EXTRA {
                        let low = if low.is_empty() { low } else { &low[of_tile.clone()] };
                        (self.tile(k, place).statistics::<EXTRA>(&mut e[of_tile], low, None), false)
                    } else if is_kept {
                        self.statistics_of::<true>(place, k, part, &mut e[of_tile])
                    } else {
                        self.statistics_of::<false>(place, k, part, &mut e[of_tile])
                    };
                    are_near &= is_near;
                }
            },
        );
        let Self { ledger, statistics, .. } = self;
        ledger.conclude(
            group,
            part,
            are_near,
            #[inline(always)]
            |k| statistics[k],
        );
        if !writers.is_empty() {
            simd.vectorize(
                #[inline(always)]
                || self.gradient::<EXTRA, TURNED>(place, e, slopes, gradient, part, writers),
            );
        }
    }

    #[inline(always)]
    fn tile(&self, k: usize, place: Place) -> Tile<'_, S> {
        let Self { simd, exp, rows, ref ledger, .. } = *self;
        let weights = rows.job.class_weights;
        Tile { simd, exp, stride: place.stride, targets: ledger.classes_of(k), weights }
    }

    /// Reads a group in planes. Of rows next to one another it gives the logits, for [`turn_in`](Self::turn_in).
    #[inline(always)]
    fn logits<'b, const TURNED: bool>(
        &self,
        place: Place,
        part: &'b Part<'_>,
        x: &mut [f32],
        buffer: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        let group = place.group;
        if TURNED {
            // A vector may reach into rows behind a tile's.
            let reach = group.n + S::f32s::LEN.div_ceil(self.classes.max(1));
            return part.rows_together(group.first, reach.min(part.rows().end - group.first), buffer);
        }
        for (c, column) in x.chunks_exact_mut(place.stride).enumerate().take(self.classes) {
            part.read_column(group.first, c, &mut column[..group.n]);
        }
        &[]
    }

    /// Statistics of a tile in planes, of rows that have nothing but logits, and whether all of them are near 0. If not, the
    /// logits are read once more.
    #[inline(always)]
    fn statistics_of<const KEPT: bool>(
        &self,
        place: Place,
        k: usize,
        part: &Part<'_>,
        x: &mut [f32],
    ) -> (Statistics<S>, bool) {
        let tile = self.tile(k, place);
        let (mut statistics, are_near) = tile.near::<KEPT>(self.classes, x);
        let first = k * S::f32s::LEN;
        let n = S::f32s::LEN.min(place.group.n - first);
        if are_near.all_true() {
            if self.ledger.takes_logits() {
                let mut targets = [f32::NEG_INFINITY; MAX_LANES];
                for (lane, target) in targets[..n].iter_mut().enumerate() {
                    let class = self.ledger.class[first + lane];
                    if class != NONE {
                        *target = part.logit(place.group.first + first + lane, class as usize);
                    }
                }
                statistics.target = load_lanes(self.simd, &targets);
            }
            return (statistics, true);
        }
        for (c, column) in x.chunks_mut(place.stride).enumerate() {
            part.read_column(place.group.first + first, c, &mut column[..n]);
        }
        (tile.statistics::<false>(x, &[], Some((statistics, are_near))), false)
    }

    /// Turns the rows of tile `k`, if there are logits whose rows are next to one another.
    #[inline(always)]
    fn turn_in(&self, place: Place, k: usize, logits: &[f32], padded: &mut [f32], x: &mut [f32]) {
        if !logits.is_empty() {
            place.rows::<S>(k, logits, padded).turn_in(self.simd, &mut x[place.tile(k)]);
        }
    }

    /// Turns the exponentials of a group into its gradient and writes it.
    #[inline(always)]
    fn gradient<const EXTRA: bool, const TURNED: bool>(
        &self,
        place: Place,
        e: &mut [f32],
        slopes: &[f32],
        rows: &mut Aligned,
        part: &Part<'_>,
        writers: &mut [LineWriter<'_>],
    ) {
        let Self { simd, classes, ref ledger, .. } = *self;
        let group = place.group;
        let (is_contiguous, size) = (part.layout().is_contiguous(), group.n * classes);
        let mut written = 0;
        if TURNED {
            rows.extend_to(e.len() + BLOCK);
            if is_contiguous {
                part.start_rows(&mut writers[0], group.first..group.first + group.n);
            }
        }
        for (k, conclusion) in ledger.conclusions[..group.tiles::<S>()].iter().enumerate() {
            let of_tile = place.tile(k);
            let slopes = if slopes.is_empty() { slopes } else { &slopes[of_tile.clone()] };
            let fates =
                if ledger.is_plain { None } else { Some(self.rows.fates(simd, ledger.classes_of(k), conclusion)) };
            let (tile, of_class) = (self.tile(k, place), &mut e[of_tile.clone()]);
            if !TURNED {
                for c in 0..classes {
                    let value = tile.gradient::<EXTRA>(c, of_class, slopes, conclusion, fates.as_ref());
                    value.store_slice(&mut of_class[c * place.stride..][..S::f32s::LEN]);
                }
                continue;
            }
            if is_contiguous {
                // The tile before, whose rows have left the registers.
                written += writers[0].push_blocks(simd, &rows[written..of_tile.start]);
            }
            turn_out(
                simd,
                classes,
                &mut rows[of_tile.start..],
                #[inline(always)]
                |c| tile.gradient::<EXTRA>(c, of_class, slopes, conclusion, fates.as_ref()),
            );
        }
        if !TURNED {
            let n = writers.len();
            for (c, column) in e.chunks_exact(place.stride).enumerate().take(classes) {
                part.push_column(simd, &mut writers[c % n], group.first, c, &column[..group.n]);
            }
        } else if is_contiguous {
            writers[0].push_all(simd, &rows[written..size]);
        } else {
            part.push_rows(simd, &mut writers[0], group.first, &rows[..size]);
        }
    }
}

/// Where the tiles of a group are.
#[derive(Clone, Copy)]
struct Place {
    group: Group,
    /// Numbers from class to class, from tile to tile, and from the first of a tile to behind the last.
    stride: usize,
    step: usize,
    length: usize,
}

impl Place {
    #[inline(always)]
    const fn of<S: Simd, const TURNED: bool>(group: Group, classes: usize) -> Self {
        let lanes = S::f32s::LEN;
        if TURNED {
            return Self { group, stride: lanes, step: classes * lanes, length: classes * lanes };
        }
        let stride = group.tiles::<S>() * lanes;
        Self { group, stride, step: lanes, length: (classes * stride).saturating_sub(stride - lanes) }
    }

    /// Tile `k`.
    #[inline(always)]
    const fn tile(self, k: usize) -> Range<usize> {
        k * self.step..k * self.step + self.length
    }

    /// The rows of tile `k`, of logits whose rows are next to one another.
    #[inline(always)]
    fn rows<'a, S: Simd>(self, k: usize, logits: &'a [f32], padded: &'a mut [f32]) -> TileRows<'a> {
        let (lanes, classes) = (S::f32s::LEN, self.length / S::f32s::LEN);
        TileRows::new::<S>(&logits[k * self.length..], classes, lanes.min(self.group.n - k * lanes), padded)
    }
}
