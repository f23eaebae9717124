//! Rows, told apart: their targets are taken out, and the rest of each is added up.

use super::few::FEW;
use super::{Neighbours, Work};
use crate::cpu::simd::gather::{gather, scatter};
use crate::cpu::simd::{
    MAX_LANES, Mask, Select, Simd, SimdBase, SimdFloat, SimdMask, block_len, load, load_block, load_rows,
    load_vector_up_to, splat, to_lanes,
};
use crate::cpu::softmax::finish::{MarginLoss, Statistics};
use crate::cpu::softmax::group::Group;
use crate::cpu::softmax::partition::NEAR_SUMS;
use crate::cpu::survey::NO_CLASS;
use crate::cpu::tensor::LinesAhead;

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Reads the labels, and takes the targets' exponentials out.
    ///
    /// Of all rows before the first is added up: a vector that is loaded right behind a store into it waits for that.
    #[inline(never)]
    pub(super) fn take_targets(&mut self, group: Group, e: &mut [f32]) {
        let Self { simd, classes, starts, ref mut known, ref mut ledger, .. } = *self;
        let lanes = S::f32s::LEN;
        ledger.read_labels(group);
        known.reference[..group.n].fill(0.0);
        let e = &mut e[..group.n * classes];
        let taken = group.n / lanes * lanes;
        simd.vectorize(
            #[inline(always)]
            || {
                let (zero, one) = (splat(simd, 0.0), splat(simd, 1.0));
                let (none, first) = (S::u32s::splat(simd, NO_CLASS), S::u32s::splat(simd, 0));
                let tiles = e.chunks_exact_mut(lanes * classes);
                for (k, (exp, e)) in known.target_exp.chunks_exact_mut(lanes).zip(tiles).enumerate() {
                    let counts = ledger.classes_of(k).simd_lt(none);
                    // Of rows that do not count the first class, which stays as it is.
                    let at = counts.select(ledger.classes_of(k), first) + starts;
                    // SAFETY: the survey has found all targets of rows that count to be classes, and all rows of the tile are in the
                    // slice. A check would take as long as the rest.
                    unsafe {
                        let values = gather(simd, e.as_ptr(), at);
                        counts.select(values, one).store_slice(exp);
                        scatter::<S>(counts.select(zero, values), e.as_mut_ptr(), at);
                    }
                }
            },
        );
        for (i, exp) in known.target_exp[..group.n].iter_mut().enumerate().skip(taken) {
            // Where nothing is left out, whatever is near.
            *exp = 1.0;
            if ledger.class[i] != NO_CLASS {
                *exp = std::mem::take(&mut e[i * classes + ledger.class[i] as usize]);
            }
        }
    }

    /// Finds the logits of the targets, which rows are finished with that are not near 0, or whose log-partition is wanted.
    #[inline(never)]
    pub(super) fn find_logits(&mut self, group: Group, logits: &Neighbours<'_>, low: &[f32]) {
        let Self { classes, ref mut known, ref ledger, .. } = *self;
        for (i, &class) in ledger.class[..group.n].iter().enumerate() {
            // Where nothing is left out, the log-partition is that of all classes.
            (known.target[i], known.target_low[i]) = (f32::NEG_INFINITY, 0.0);
            if class != NO_CLASS {
                let at = i * classes + class as usize;
                known.target[i] = logits.logit(at);
                known.target_low[i] = low.get(at).copied().unwrap_or(0.0);
            }
        }
    }

    /// Adds up the rows, and says whether all of them are near 0, and their targets too.
    #[inline(never)]
    pub(super) fn add_up(&mut self, group: Group, e: &[f32], ahead: &mut LinesAhead) -> bool {
        let (simd, classes, lanes) = (self.simd, self.classes, S::f32s::LEN);
        let (sums, target_exp) = (&mut self.sums[..group.tiles::<S>()], &self.known.target_exp);
        let lines = ahead.left().div_ceil(sums.len());
        simd.vectorize(
            #[inline(always)]
            || {
                let row_sums = RowSums::new(simd, classes);
                let mut are_near = splat(simd, 0.0).simd_eq(splat(simd, 0.0));
                for (k, sums) in sums.iter_mut().enumerate() {
                    *sums = row_sums.of(
                        simd,
                        &e[k * lanes * classes..],
                        #[inline(always)]
                        |rows| ahead.fetch_left((lines * rows).div_ceil(lanes)),
                    );
                    let target_exp = load(simd, target_exp, k * lanes);
                    are_near &= Statistics { sum: *sums, target_exp, ..Statistics::none(simd) }.are_near(simd);
                }
                are_near.all_true()
            },
        )
    }

    /// Goes over the rows that are not near 0 by themselves; over all, if they have more to them than logits.
    #[cold]
    pub(super) fn redo_odd_rows<const EXTRA: bool>(
        &mut self,
        group: Group,
        logits: &Neighbours<'_>,
        low: &[f32],
        e: &mut [f32],
    ) {
        let mut buffer = std::mem::take(&mut self.ledger.row);
        let (simd, lanes, classes) = (self.simd, S::f32s::LEN, self.classes);
        simd.vectorize(
            #[inline(always)]
            || {
                for k in 0..group.tiles::<S>() {
                    let sums = to_lanes::<S>(self.sums[k]);
                    for i in k * lanes..group.n.min((k + 1) * lanes) {
                        let is_near = NEAR_SUMS[0] <= sums[i - k * lanes] && sums[i - k * lanes] <= NEAR_SUMS[1];
                        if EXTRA || !is_near {
                            let row = i * classes..(i + 1) * classes;
                            let low = if low.is_empty() { low } else { &low[row.start..] };
                            self.redo::<EXTRA>(i, logits.row_and_on(i, classes, &mut buffer), low, &mut e[row]);
                        }
                    }
                    if !EXTRA && classes <= FEW {
                        self.add_up_again(k, e);
                    } else {
                        self.sums[k] = RowSums::new(simd, classes).of(simd, &e[k * lanes * classes..], |_| {});
                    }
                }
            },
        );
        self.ledger.row = buffer;
    }

    /// The exponentials of a row relative to its largest logit. `x` and `low` begin with the row and go on behind it.
    #[inline(always)]
    fn redo<const EXTRA: bool>(&mut self, i: usize, x: &[f32], low: &[f32], e: &mut [f32]) {
        let Self { simd, exp, classes, ref weights, ref mut known, ref ledger, .. } = *self;
        let lanes = S::f32s::LEN;
        let (zero, none, numbers) = (splat(simd, 0.0), splat(simd, f32::NEG_INFINITY), lane_numbers(simd));
        let class = if ledger.class[i] == NO_CLASS { -1.0 } else { ledger.class[i] as f32 };
        // Float32 counts classes exactly.
        let is_rest = |c: usize| {
            let at = numbers + splat(simd, c as f32);
            at.simd_lt(splat(simd, classes as f32)) & at.simd_ne(splat(simd, class))
        };
        let mut largest = splat(simd, f32::MIN);
        for c in (0..classes).step_by(lanes) {
            largest = largest.max(is_rest(c).select(load_vector_up_to(simd, &x[c..], 0.0), none));
        }
        known.reference[i] = largest.reduce_max();
        let reference = splat(simd, known.reference[i]);
        let mut deficit = zero;
        for c in (0..classes).step_by(lanes) {
            let is_rest = is_rest(c);
            let x = is_rest.select(load_vector_up_to(simd, &x[c..], 0.0), none);
            let mut d = x - reference;
            if EXTRA {
                let w = is_rest.select(load(simd, weights, c), zero);
                deficit += w.simd_eq(zero).select(zero, w * (reference - x));
                if !low.is_empty() {
                    d += is_rest.select(load_vector_up_to(simd, &low[c..], 0.0), zero);
                }
            }
            let exponentials = exp.of(d);
            match e.get_mut(c..c + lanes) {
                Some(e) => exponentials.store_slice(e),
                None => e[c..].copy_from_slice(&to_lanes::<S>(exponentials)[..classes - c]),
            }
        }
        if EXTRA {
            known.deficit[i] = deficit.reduce_sum();
        }
    }
}

/// Adds up as many rows as there are lanes, a row a lane. Vectors reach into what is behind the rows.
///
/// Of two vectors, the halves of the one interleaved with those of the other are added: a vector of half as many terms of both.
/// After as many rounds as a lane's number has bits, a lane has a row. Its sum carries a rounding a bit, and one a block of the
/// row and 6 more: 26 with sixteen lanes, 72 with four.
struct RowSums<S: Simd> {
    classes: usize,
    /// The lanes of a row's last vector that are its own.
    are_own: Mask<S>,
}

impl<S: Simd> RowSums<S> {
    #[inline(always)]
    fn new(simd: S, classes: usize) -> Self {
        let own = (classes - 1) % S::f32s::LEN + 1;
        Self { classes, are_own: lane_numbers(simd).simd_lt(splat(simd, own as f32)) }
    }

    /// Between the rows it calls `between`, with the number of rows so far since the last call.
    #[inline(always)]
    fn of(&self, simd: S, e: &[f32], mut between: impl FnMut(usize)) -> S::f32s {
        let (classes, lanes) = (self.classes, S::f32s::LEN);
        let last = (classes - 1) / lanes * lanes;
        // Two variables, of which the first stays in registers.
        if last <= block_len::<S>() {
            let mut sums = self.last_vectors(simd, e, last);
            for c in (0..last).step_by(lanes) {
                for (sum, row) in sums[..lanes].iter_mut().zip(&load_rows(simd, e, c, classes)) {
                    *sum += *row;
                }
            }
            between(lanes);
            lane_by_lane(sums)
        } else {
            let mut sums = self.last_vectors(simd, e, last);
            for (sum, row) in sums[..lanes].iter_mut().zip(e.chunks_exact(classes)) {
                *sum += whole_vectors(simd, &row[..last]);
                between(1);
            }
            lane_by_lane(sums)
        }
    }

    /// The last vector of each row, with 0 in place of what is behind it.
    #[inline(always)]
    fn last_vectors(&self, simd: S, e: &[f32], last: usize) -> [S::f32s; MAX_LANES] {
        let mut vectors = load_rows(simd, e, last, self.classes);
        for vector in &mut vectors[..S::f32s::LEN] {
            *vector = self.are_own.select(*vector, splat(simd, 0.0));
        }
        vectors
    }
}

/// Of as many vectors as there are lanes, the sum of each in a lane.
#[inline(always)]
pub(in crate::cpu::softmax) fn lane_by_lane<S: Simd, V: SimdFloat<S>>(mut sums: [V; MAX_LANES]) -> V {
    // Not a loop, so that all of them stay in registers.
    macro_rules! round {
        ($half:literal) => {
            if $half < V::LEN {
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

/// The sum of the vectors of a row.
#[inline(always)]
fn whole_vectors<S: Simd>(simd: S, row: &[f32]) -> S::f32s {
    let mut sum = splat(simd, 0.0);
    let blocks = row.chunks_exact(block_len::<S>());
    for vector in blocks.remainder().chunks_exact(S::f32s::LEN) {
        sum += load(simd, vector, 0);
    }
    for block in blocks {
        let [a, b, c, d] = load_block(simd, block);
        sum += (a + c) + (b + d);
    }
    sum
}

/// Where the rows of a tile start in it.
#[inline(always)]
pub(super) fn lane_starts<S: Simd>(simd: S, classes: usize) -> S::u32s {
    let mut starts = [0; MAX_LANES];
    for (i, start) in starts.iter_mut().enumerate() {
        *start = (i * classes) as u32;
    }
    S::u32s::from_slice(simd, &starts[..S::f32s::LEN])
}

/// 0, 1, 2, ...
#[inline(always)]
pub(super) fn lane_numbers<S: Simd>(simd: S) -> S::f32s {
    let mut numbers = [0.0; MAX_LANES];
    for (i, number) in numbers.iter_mut().enumerate() {
        *number = i as f32;
    }
    load(simd, &numbers, 0)
}
