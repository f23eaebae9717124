//! A row, or a segment of one, block by block: its logits are read, and in the same pass the gradient of an earlier row written.
//!
//! Memory is then read and written at once, as in a copy. The exponentials of the row that is read take the place of those of the
//! row that is written, so that one row of them is all that a cache has to hold.

use std::ops::Range;

use super::block::Buffers;
use super::finish::{Finished, MarginLoss};
use super::partition::{Merged, Partition};
use super::stretch::{NOWHERE, Old, Stretch, glance};
use super::{Fate, Rows, SEGMENT};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{BLOCK, MAX_BLOCK, MAX_LANES, Simd, SimdBase, block_len, load, load_up_to, splat};
use crate::cpu::tensor::{LineWriter, Part};

/// A row whose logits are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unread {
    pub(super) row: usize,
    /// The class that is left out.
    pub(super) target: Option<usize>,
}

/// A row whose gradient is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unwritten {
    pub(super) row: usize,
    pub(super) fate: Fate,
    /// The gradient is `softmax * exp((x - reference) / T) - share * weight`, and this at the target.
    pub(super) reference: f32,
    pub(super) softmax: f32,
    pub(super) share: f32,
    pub(super) at_target: f32,
}

impl Kept<'_> {
    fn reborrowed(&mut self) -> Kept<'_> {
        Kept { exponentials: self.exponentials, levels: self.levels }
    }
}

impl Unwritten {
    pub(super) fn of(row: usize, fate: Fate, reference: f32, finished: &Finished, lane: usize) -> Self {
        let [softmax, share, at_target] = [finished.softmax[lane], finished.share[lane], finished.at_target[lane]];
        Self { row, fate, reference, softmax, share, at_target }
    }
}

/// What of a row is kept between the two, for its classes of a step.
pub(super) struct Kept<'a> {
    /// Exponentials, in whole blocks; empty where they lie over the logits.
    pub(super) exponentials: &'a mut [f32],
    /// The reference of each block's exponentials; [`levels_of`] of them.
    pub(super) levels: &'a mut [f32],
}

/// What goes on in the classes of a segment.
pub(super) struct Step<'s, 'r, 'p, M> {
    pub(super) rows: &'s Rows<'r, M>,
    pub(super) part: &'s mut Part<'p>,
    pub(super) writer: Option<&'s mut LineWriter<'p>>,
    pub(super) buffers: &'s mut Buffers,
    /// At most [`SEGMENT`], from a multiple of it on.
    pub(super) classes: Range<usize>,
    /// What [`first_reference`] gives for the row that is read.
    pub(super) reference: f32,
}

/// The reference that the statistics of some classes begin with. It depends on their logits alone, as their bits do.
#[inline(always)]
pub(super) fn first_reference<S: Simd, M>(
    simd: S,
    rows: &Rows<'_, M>,
    part: &Part<'_>,
    row: &Unread,
    classes: Range<usize>,
) -> f32 {
    let blocks = classes.len() / block_len::<S>();
    let at = part.row_start(row.row) + classes.start;
    if rows.has_extra {
        return f32::MIN;
    }
    let hole = place(row.target, &classes);
    // SAFETY: the source has that many blocks, and the part is borrowed from whoever writes to it.
    unsafe {
        glance(simd, part.source(at, blocks * block_len::<S>()), blocks, hole, rows.options.inverse_temperature())
    }
}

impl<M: MarginLoss> Step<'_, '_, '_, M> {
    /// Writes the gradient of one row, and reads another.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        mut self,
        simd: S,
        exp: Exp<S>,
        old: Option<&Unwritten>,
        new: Option<&Unread>,
        kept: Option<Kept<'_>>,
    ) -> Merged {
        if old.is_none() && new.is_none() {
            return Merged::NONE;
        }
        simd.vectorize(
            #[inline(always)]
            || {
                if self.rows.has_extra {
                    self.blocks::<S, true>(simd, exp, old, new, kept)
                } else {
                    self.blocks::<S, false>(simd, exp, old, new, kept)
                }
            },
        )
    }

    #[inline(always)]
    fn blocks<S: Simd, const EXTRA: bool>(
        &mut self,
        simd: S,
        exp: Exp<S>,
        old: Option<&Unwritten>,
        new: Option<&Unread>,
        mut kept: Option<Kept<'_>>,
    ) -> Merged {
        let mut old = old.filter(|old| self.begin::<S>(simd, exp, old, kept.as_mut()));
        let mut partition = Partition::new(simd, self.reference);
        let is_long = self.classes.len() >= block_len::<S>();
        if !EXTRA && is_long {
            self.stretch(simd, exp, old, new, kept, &mut partition);
        } else {
            if is_long && self.rows.has_plain_smoothing() && old.is_some() {
                self.stretch(simd, exp, old.take(), None, kept.as_mut().map(Kept::reborrowed), &mut partition);
            }
            for b in 0..self.classes.len().div_ceil(block_len::<S>()) {
                simd.vectorize(
                    #[inline(always)]
                    || self.block::<S, EXTRA>(simd, exp, old, new, b, &mut kept, &mut partition),
                );
            }
        }
        partition.merged::<EXTRA>()
    }

    /// Begins to write a row: all of it, if its gradient is constant; else turns levels into factors, and says that it goes on.
    #[inline(always)]
    fn begin<S: Simd>(&mut self, simd: S, exp: Exp<S>, old: &Unwritten, kept: Option<&mut Kept<'_>>) -> bool {
        let (Some(writer), Some(kept)) = (&mut self.writer, kept) else { return false };
        let n = self.classes.len();
        self.part.start_row(writer, old.row, self.classes.clone());
        if let Fate::Constant(value) = old.fate {
            for first in (0..n).step_by(MAX_BLOCK) {
                writer.push(&[value; MAX_BLOCK][..MAX_BLOCK.min(n - first)]);
            }
            return false;
        }
        factors(simd, exp, &mut kept.levels[..levels_of::<S>(n)], old.reference, old.softmax);
        true
    }

    /// All blocks, in one loop.
    #[inline(always)]
    fn stretch<S: Simd>(
        &mut self,
        simd: S,
        exp: Exp<S>,
        old: Option<&Unwritten>,
        new: Option<&Unread>,
        kept: Option<Kept<'_>>,
        partition: &mut Partition<S>,
    ) {
        let (first, length) = (self.classes.start, self.classes.len());
        let at = |row: usize| self.part.row_start(row) + first;
        let source = new.map_or(self.part.source(0, 0), |new| self.part.source(at(new.row), length));
        let (mut places, mut levels): (_, &mut [f32]) = ([None; 2], &mut []);
        if let Some(kept) = kept {
            levels = kept.levels;
            places = if kept.exponentials.is_empty() {
                let places = [old.map(|old| at(old.row)), new.map(|new| at(new.row))];
                places.map(|at| at.map(|at| self.part.overwritten(at, length).as_mut_ptr()))
            } else {
                let place = kept.exponentials[..length].as_mut_ptr();
                [old.map(|_| place), new.map(|_| place)]
            };
        }
        let [exponentials, kept] = places;
        // References do not fall from block to block: if the last is the first, all are.
        let factor = |levels: &[f32]| {
            let last = levels[length.div_ceil(block_len::<S>()) - 1];
            (levels[0] == last).then_some(last)
        };
        let old = old.zip(exponentials).map(|(old, exponentials)| Old {
            exponentials,
            factor: factor(levels),
            share: old.share,
            target: place(old.fate.target(), &self.classes),
            at_target: old.at_target,
        });
        let old = old.zip(self.writer.as_deref_mut());
        let hole = place(new.and_then(|new| new.target), &self.classes);
        let stretch = Stretch { length, source, reads: new.is_some(), hole, kept, old, levels };
        // SAFETY: the places are as long as the stretch; this step has them to itself.
        unsafe { stretch.run(simd, exp, partition) };
    }
}

/// Where a class stands among `classes`, if it is one of them.
#[inline(always)]
pub(super) fn within(class: usize, classes: Range<usize>) -> Option<usize> {
    classes.contains(&class).then(|| class - classes.start)
}

/// As [`within`], of a class that there may be; [`NOWHERE`] if it is none of them.
#[inline(always)]
fn place(class: Option<usize>, classes: &Range<usize>) -> usize {
    class.and_then(|class| within(class, classes.clone())).unwrap_or(NOWHERE)
}

/// Turns the references of blocks into the factors of their exponentials, `softmax * exp((level - reference) / T)`.
#[inline(always)]
fn factors<S: Simd>(simd: S, exp: Exp<S>, levels: &mut [f32], reference: f32, softmax: f32) {
    let (reference, softmax) = (splat(simd, reference), splat(simd, softmax));
    for levels in levels.chunks_exact_mut(S::f32s::LEN) {
        (softmax * exp.of(load(simd, levels, 0) - reference)).store_slice(levels);
    }
}

/// Levels of a segment, a multiple of [`MAX_LANES`].
pub(super) fn levels_of<S: Simd>(classes: usize) -> usize {
    classes.div_ceil(block_len::<S>()).next_multiple_of(MAX_LANES)
}

/// Levels of a segment, with the narrowest vectors.
pub(super) const LEVELS: usize = SEGMENT / (BLOCK * 4);

/// The segments of a row.
pub(super) fn segments(classes: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    (0..classes).step_by(SEGMENT).map(move |first| first..classes.min(first + SEGMENT))
}

/// Statistics of float32 logits next to one another.
#[inline(always)]
pub(in crate::cpu) fn row_statistics<S: Simd>(simd: S, exp: Exp<S>, x: &[f32], factor: f64) -> Merged {
    let mut merged: Option<Merged> = None;
    for segment in segments(x.len()) {
        let mut partition = Partition::new(simd, f32::MIN);
        for block in x[segment].chunks(block_len::<S>()) {
            partition.add::<false, false>(simd, exp, || load_up_to(simd, block, f32::NEG_INFINITY), |_| {});
        }
        let segment = partition.merged::<false>();
        merged = Some(merged.map_or(segment, |merged| merged.and(segment, factor)));
    }
    merged.unwrap_or(Merged::NONE)
}
