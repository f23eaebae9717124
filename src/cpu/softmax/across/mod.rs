//! A row a lane: rows whose classes are planes apart, and rows of few classes that have more to them than logits.
//!
//! A group's logits become exponentials and those its gradient, all in the same memory:
//!
//! ```text
//! planes   (classes, rows of the group)    a tile is some of its columns
//! turned   (tiles, classes, lanes)
//! ```

mod gradient;
mod place;
mod planes;

use place::Place;
use planes::{Pass, Planes};

use super::cap::{Capped, cap};
use super::finish::{MarginLoss, Statistics, TILES};
use super::group::{Group, Ledger};
use super::tile::Tile;
use super::{MAX_ROWS, PADDED, PartKernel, Rows};
use crate::DType;
use crate::cpu::RowTotals;
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{Kernel, MAX_LANES, Simd, SimdBase, SimdMask, load_lanes};
use crate::cpu::survey::NO_CLASS;
use crate::cpu::tensor::{LineWriter, Part, Source};

/// Logits of the rows that are worked on together, where they are enough to fill vectors: a part of the second cache.
const GROUP: usize = 1 << 16;

/// As many where they are read where they lie, and nothing is kept of them; but for groups that end a part or go on in the planes of
/// another sample.
const GROUP_READ: usize = 1 << 20;

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
        let classes = part.layout().classes() as usize;
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
        let is_read_alone = writers.is_empty() && part.dtype() == DType::F32 && !rows.has_extra;
        let together = Group::rows::<S>(if is_read_alone { GROUP_READ } else { GROUP }, classes, TILES);
        for group in Group::of(part.rows(), together) {
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
        let simd = self.simd;
        let place = Place::of::<S, TURNED>(group, self.classes);
        let mut are_near = false;
        simd.vectorize(
            #[inline(always)]
            || {
                self.ledger.read_labels(group);
                if EXTRA {
                    self.add_up_extra::<TURNED>(place, part, scratch);
                } else {
                    are_near = self.add_up(place, part, &mut scratch.x, !writers.is_empty());
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
                || self.gradient::<EXTRA, TURNED>(place, scratch, part, writers),
            );
        }
    }

    /// Statistics of a group whose rows have more to them than logits. Exponentials are kept in `x`, or under a softcap in `capped`.
    #[inline(always)]
    fn add_up_extra<const TURNED: bool>(&mut self, place: Place, part: &Part<'_>, scratch: &mut Scratch) {
        let Self { rows, classes, .. } = *self;
        let Scratch { x, capped, buffer, padded, .. } = scratch;
        let (group, lanes) = (place.group, S::f32s::LEN);
        x.extend_to(place.values::<S>(classes));
        padded.extend_to(PADDED);
        let (mut e, mut low): (&mut [f32], &[f32]) = (&mut x[..place.values::<S>(classes)], &[]);
        let logits = self.logits::<TURNED>(place, part, e, buffer);
        if let Some(softcap) = rows.options.softcap {
            for k in 0..group.tiles::<S>() {
                self.turn_in(place, k, logits, padded, e);
            }
            cap(self.simd, e, softcap, capped);
            (e, low) = (&mut capped.high, &capped.low);
        }
        for k in 0..group.tiles::<S>() {
            if TURNED {
                part.fetch_ahead(part.row_start(group.first + k * lanes), classes * lanes);
            }
            if TURNED && low.is_empty() {
                // Turning keeps other parts of a processor busy than exponentials do.
                self.turn_in(place, k, logits, padded, e);
            }
            let of_tile = place.tile(k);
            let low = if low.is_empty() { low } else { &low[of_tile.clone()] };
            self.statistics[k] = self.tile(k, place).statistics::<true>(&mut e[of_tile], low, None);
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
        read_planes(part, group, place.stride, x);
        &[]
    }

    /// Statistics of a group in planes, of rows that have nothing but logits, and whether all of them are near 0. Exponentials are
    /// in `x` then, if they are `kept`.
    #[inline(always)]
    fn add_up(&mut self, place: Place, part: &Part<'_>, x: &mut Aligned, is_kept: bool) -> bool {
        let Self { simd, exp, classes, .. } = *self;
        let (Place { stride, .. }, values) = (place, place.values::<S>(classes));
        let in_place = self.planes(place, part);
        if is_kept || in_place.is_none() {
            x.extend_to(values);
        }
        if in_place.is_none() {
            read_planes(part, place.group, stride, &mut x[..values]);
        }
        let Self { ledger, statistics, .. } = self;
        let statistics = &mut statistics[..place.group.tiles::<S>()];
        let to = x.as_mut_ptr();
        let planes = in_place.unwrap_or(Planes { from: to, stride });
        let mut pass = Pass { simd, exp, planes, classes, statistics };
        // SAFETY: `x` has room for all tiles if it is read or written; else the logits are those of the group, as they lie.
        unsafe {
            if is_kept {
                pass.run(|k| ledger.classes_of(k), Some(to));
            } else {
                pass.run(|k| ledger.classes_of(k), None);
            }
        }
        let mut are_near = true;
        for k in 0..place.group.tiles::<S>() {
            are_near &= self.complete(place, k, part, x, is_kept);
        }
        are_near
    }

    /// The planes of a group where they lie, if they are in float32, and the group is whole and of one sample.
    #[inline(always)]
    fn planes(&self, Place { group, stride, .. }: Place, part: &Part<'_>) -> Option<Planes> {
        let inner = part.layout().inner() as usize;
        if self.classes == 0 || group.n < stride || group.first % inner + stride > inner {
            return None;
        }
        let at = part.layout().element(group.first as u32, 0) as usize;
        match part.source(at, (self.classes - 1) * inner + stride) {
            Source::F32(from) => Some(Planes { from, stride: inner }),
            _ => None,
        }
    }

    /// Says whether all rows of a tile are near 0. If not, the logits are read once more.
    #[inline(always)]
    fn complete(&mut self, place: Place, k: usize, part: &Part<'_>, x: &mut Aligned, is_kept: bool) -> bool {
        let first = k * S::f32s::LEN;
        let n = S::f32s::LEN.min(place.group.n - first);
        let are_near = self.statistics[k].are_near(self.simd);
        if are_near.all_true() {
            if self.ledger.takes_logits() {
                let mut targets = [f32::NEG_INFINITY; MAX_LANES];
                for (lane, target) in targets[..n].iter_mut().enumerate() {
                    let class = self.ledger.class[first + lane];
                    if class != NO_CLASS {
                        *target = part.logit(place.group.first + first + lane, class as usize);
                    }
                }
                self.statistics[k].target = load_lanes(self.simd, &targets);
            }
            return true;
        }
        self.redo(place, k, part, x, is_kept);
        false
    }

    /// Adds up the rows of a tile that are not near 0 once more, and keeps the exponentials of all.
    #[cold]
    fn redo(&mut self, place: Place, k: usize, part: &Part<'_>, x: &mut Aligned, is_kept: bool) {
        let (at, lanes) = (k * S::f32s::LEN, S::f32s::LEN);
        let group = Group { first: place.group.first + at, n: lanes.min(place.group.n - at) };
        // Where nothing is kept, the tile is by itself.
        let (place, of_tile) = if is_kept {
            (place, place.tile(k))
        } else {
            let place = Place::of::<S, false>(group, self.classes);
            (place, place.tile(0))
        };
        x.extend_to(of_tile.end);
        let x = &mut x[of_tile];
        read_planes(part, group, place.stride, x);
        let simd = self.simd;
        simd.vectorize(
            #[inline(always)]
            || {
                let near = Some((self.statistics[k], self.statistics[k].are_near(simd)));
                self.statistics[k] = self.tile(k, place).statistics::<false>(x, &[], near);
            },
        );
    }

    /// Turns the rows of tile `k`, if there are logits whose rows are next to one another.
    #[inline(always)]
    fn turn_in(&self, place: Place, k: usize, logits: &[f32], padded: &mut [f32], x: &mut [f32]) {
        if !logits.is_empty() {
            place.rows::<S>(k, logits, padded).turn_in(self.simd, &mut x[place.tile(k)], S::f32s::LEN);
        }
    }
}

/// Reads rows in planes, `stride` numbers from class to class.
fn read_planes(part: &Part<'_>, Group { first, n }: Group, stride: usize, x: &mut [f32]) {
    for (c, column) in x.chunks_mut(stride).enumerate() {
        part.read_column(first, c, &mut column[..n]);
    }
}
