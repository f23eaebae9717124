//! Rows that are worked on together: their labels, and what they come to.

use std::ops::Range;

use super::finish::{Conclusion, MarginLoss, Statistics, TILES};
use super::near::Near;
use super::{MAX_ROWS, Rows, Standing};
use crate::cpu::simd::memory::{LINE, prefetch};
use crate::cpu::simd::{Mask, Select, Simd, SimdBase, SimdMask, load, splat};
use crate::cpu::survey::NO_CLASS;
use crate::cpu::tensor::Part;
use crate::cpu::{RowOutputs, RowTotals};

/// Rows that are worked on together.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) first: usize,
    pub(super) n: usize,
}

impl Group {
    /// Vectors with a row a lane.
    pub(super) const fn tiles<S: Simd>(self) -> usize {
        self.n.div_ceil(S::f32s::LEN)
    }

    /// The groups of some rows, `together` in each but the last.
    pub(super) fn of(rows: Range<usize>, together: usize) -> impl Iterator<Item = Self> {
        let end = rows.end;
        rows.step_by(together).map(move |first| Self { first, n: (end - first).min(together) })
    }

    /// Rows that are worked on together where their classes may be `values` numbers of memory: whole tiles, `most` at most, and a
    /// power of two, as sums of many rows need it.
    pub(super) fn rows<S: Simd>(values: usize, classes: usize, most: usize) -> usize {
        let lanes = S::f32s::LEN;
        lanes << (values / (classes.max(1) * lanes)).clamp(1, most).ilog2()
    }
}

/// What the gradients of the rows of a group are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gradients {
    /// Those of rows with targets.
    OfTargets,
    /// Those, or 0 where a row does not count.
    OfTargetsOr0,
    /// Each may be anything.
    Any,
}

/// The rows of a part, on their way from labels and statistics to the totals, group by group.
pub(super) struct Ledger<'s, 'r, S: Simd, M> {
    simd: S,
    rows: &'s Rows<'r, M>,
    classes: usize,
    /// Where rows may be near 0.
    near: Option<Near<'s, S, M>>,
    /// Of the rows of a group: the class, or [`NO_CLASS`], and the weights of the class and of the row.
    pub(super) class: [u32; MAX_ROWS],
    class_weight: [f32; MAX_ROWS],
    row_weight: [f32; MAX_ROWS],
    /// Of its tiles.
    pub(super) conclusions: [Conclusion<S>; TILES],
    /// What the gradients of its rows are.
    pub(super) gradients: Gradients,
    out: RowOutputs<'s>,
    pub(super) totals: RowTotals,
    /// Memory for a row.
    pub(super) row: Vec<f32>,
}

impl<'s, 'r, S: Simd, M: MarginLoss> Ledger<'s, 'r, S, M> {
    pub(super) fn new(simd: S, rows: &'s Rows<'r, M>, part: &Part<'_>, out: RowOutputs<'s>) -> Self {
        let classes = part.layout().classes() as usize;
        Self {
            simd,
            rows,
            classes,
            near: rows.options.is_of_margin().then(|| Near::new(simd, &rows.finishing(classes))),
            class: [NO_CLASS; MAX_ROWS],
            class_weight: [1.0; MAX_ROWS],
            row_weight: [1.0; MAX_ROWS],
            conclusions: [Conclusion::none(simd); TILES],
            gradients: Gradients::Any,
            out,
            totals: RowTotals::new(part.rows()),
            row: Vec::new(),
        }
    }

    /// Reads the labels of a group.
    #[inline(always)]
    pub(super) fn read_labels(&mut self, Group { first, n }: Group) {
        if let Some(all) = self.rows.plain_targets {
            // Where memory is read in order nobody has to ask for what comes next; but these are few between many others.
            let next = all.as_ptr().wrapping_add(first + 2 * n);
            (0..n.div_ceil(LINE / size_of::<i32>())).for_each(|i| prefetch(next.cast::<u8>().wrapping_add(i * LINE)));
            // Not a copy of a slice, which would be a call.
            for (class, &target) in self.class.iter_mut().zip(&all[first..first + n]) {
                *class = target as u32;
            }
            return;
        }
        let (simd, rows) = (self.simd, self.rows);
        simd.vectorize(
            #[inline(always)]
            || {
                rows.job.read_labels(first, &mut self.class[..n], &mut self.class_weight, &mut self.row_weight);
            },
        );
    }

    /// Whether every row counts with a weight of 1.
    #[inline(always)]
    const fn has_plain_targets(&self) -> bool {
        self.rows.plain_targets.is_some()
    }

    /// Whether a row that is near 0 is finished with the logit of its target: for the log-partition.
    #[inline(always)]
    pub(super) const fn takes_logits(&self) -> bool {
        self.near.is_none() || self.has_details()
    }

    const fn has_details(&self) -> bool {
        !self.out.details.is_empty()
    }

    /// The classes of tile `k`.
    #[inline(always)]
    pub(super) fn classes_of(&self, k: usize) -> S::u32s {
        S::u32s::from_slice(self.simd, &self.class[k * S::f32s::LEN..][..S::f32s::LEN])
    }

    /// Finishes the rows of a group, adds them to the totals, and fills in what is asked for of each. `statistics` gives those of a
    /// tile, without weights; `are_near` says that all rows are near 0, and their targets too.
    #[inline(always)]
    pub(super) fn conclude(
        &mut self,
        group: Group,
        part: &Part<'_>,
        are_near: bool,
        statistics: impl Fn(usize) -> Statistics<S>,
    ) {
        let is_whole = group.n.is_power_of_two() && group.n >= S::f32s::LEN && !self.has_details();
        if is_whole && are_near && self.has_plain_targets() && self.near.is_some() {
            self.conclude_plain(group, statistics);
        } else {
            self.conclude_any(group, part, is_whole, statistics);
        }
    }

    #[inline(never)]
    fn conclude_plain(&mut self, group: Group, statistics: impl Fn(usize) -> Statistics<S>) {
        let Self { simd, rows, near, conclusions, gradients, totals, out, .. } = self;
        let (simd, Some(near)) = (*simd, near) else { return };
        let tiles = group.tiles::<S>();
        simd.vectorize(
            #[inline(always)]
            || {
                let mut losses = [splat(simd, 0.0); TILES];
                // Of the number that most groups have it is compiled as such.
                if tiles == TILES {
                    near.plain(statistics, &mut losses, conclusions);
                    totals.push_tiles(simd, group.first, &losses, out.losses);
                } else {
                    near.plain(statistics, &mut losses[..tiles], conclusions);
                    totals.push_tiles(simd, group.first, &losses[..tiles], out.losses);
                }
            },
        );
        *gradients = if rows.scale == 0.0 { Gradients::Any } else { Gradients::OfTargets };
    }

    #[inline(never)]
    fn conclude_any(
        &mut self,
        group: Group,
        part: &Part<'_>,
        is_whole: bool,
        statistics: impl Fn(usize) -> Statistics<S>,
    ) {
        let Self { simd, rows, classes, .. } = *self;
        let plain_targets = rows.plain_targets;
        let (lanes, tiles) = (S::f32s::LEN, group.tiles::<S>());
        let Self { near, class, class_weight, row_weight, conclusions, gradients, totals, out, row: buffer, .. } = self;
        let conclusions = &mut conclusions[..tiles];
        let finishing = rows.finishing(classes);
        let is_done = simd.vectorize(
            #[inline(always)]
            || {
                let zero = splat(simd, 0.0);
                finishing.all(
                    simd,
                    near.as_ref(),
                    #[inline(always)]
                    |k| Statistics {
                        class_weight: load(simd, class_weight, k * lanes),
                        row_weight: load(simd, row_weight, k * lanes),
                        ..statistics(k)
                    },
                    #[inline(always)]
                    |k| if plain_targets.is_some() { zero.simd_eq(zero) } else { counts(simd, class, k) },
                    !out.details.is_empty(),
                    conclusions,
                );
                let mut losses = [zero; TILES];
                let mut are_finite = zero.simd_eq(zero);
                for (k, (to, conclusion)) in losses.iter_mut().zip(&*conclusions).enumerate() {
                    let mut lse = conclusion.lse;
                    *to = conclusion.loss;
                    if plain_targets.is_none() {
                        // Rows that do not count come to 0.
                        let counts = counts(simd, class, k);
                        (*to, lse) = (counts.select(*to, zero), counts.select(lse, zero));
                    }
                    are_finite &= lse.simd_eq(lse);
                }
                let is_done = is_whole && are_finite.all_true();
                if is_done {
                    totals.push_tiles(simd, group.first, &losses[..tiles], out.losses);
                }
                is_done
            },
        );
        *gradients = match plain_targets {
            _ if !is_done || rows.scale == 0.0 => Gradients::Any,
            Some(_) => Gradients::OfTargets,
            None => Gradients::OfTargetsOr0,
        };
        if is_done {
            return;
        }
        for (k, conclusion) in conclusions.iter().enumerate() {
            let finished = simd.vectorize(
                #[inline(always)]
                || conclusion.lanes(),
            );
            for lane in 0..lanes.min(group.n - k * lanes) {
                let row = group.first + k * lanes + lane;
                let label = rows.job.label(row);
                if !out.details.is_empty() {
                    let standing = Standing::of(part.row(row, buffer), label);
                    out.details[row - totals.first()] = standing.details(label, &finished, lane);
                }
                totals.push(label, row, &finished, lane, out.losses);
            }
        }
    }
}

/// Which rows of tile `k` count.
#[inline(always)]
fn counts<S: Simd>(simd: S, class: &[u32; MAX_ROWS], k: usize) -> Mask<S> {
    let class = S::u32s::from_slice(simd, &class[k * S::f32s::LEN..][..S::f32s::LEN]);
    class.simd_lt(S::u32s::splat(simd, NO_CLASS))
}
