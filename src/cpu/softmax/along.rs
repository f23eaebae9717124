//! A thread a row, its lanes along the classes.

use std::ops::Range;

use super::finish::{Bundle, MarginLoss};
use super::partition::Merged;
use super::row::{Kept, Step, Unread, Unwritten, first_reference, levels_of, segments};
use super::scratch::Scratch;
use super::{PartKernel, Rows, SEGMENT, Standing};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::memory::LINE;
use crate::cpu::simd::{Kernel, MAX_LANES, Simd, SimdBase, block_len};
use crate::cpu::tensor::{LineWriter, Part};
use crate::cpu::{RowOutputs, RowTotals};
use crate::totals::Label;

/// Logits whose exponentials stay close: rows are finished together, a row a lane, as many as there are lanes and room for.
const BUNDLE: usize = 1 << 13;

/// Logits that are asked for at the start of a row: memory should be at work while a core does what a row costs besides its logits.
/// More than sixteen lines took longer.
const BURST: usize = 16 * LINE / size_of::<f32>();

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M, Scratch> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { rows, part, mut out, scratch } = self;
        let (all, classes) = (part.rows(), part.layout().classes() as usize);
        let writer = part.writer();
        let over_logits = rows.is_over_logits(part);
        let together = if writer.is_some() { (BUNDLE / classes).clamp(1, S::f32s::LEN) } else { S::f32s::LEN };
        let stride = Stride::of::<S>(classes, over_logits);
        if writer.is_some() {
            scratch.exponentials.extend_to(together * stride.exponentials);
            scratch.levels.resize(together * stride.levels, 0.0);
        }
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let mut worker =
            Worker { simd, exp, rows, part, writer, scratch, stride, has_details: !out.details.is_empty() };
        let mut totals = RowTotals::new(all.clone());
        let mut unwritten = [None; MAX_LANES];
        for first in all.clone().step_by(together) {
            let bundle = first..all.end.min(first + together);
            unwritten = worker.bundle(bundle, &unwritten, &mut out, &mut totals);
            if over_logits {
                worker.write(&unwritten);
                unwritten = [None; MAX_LANES];
            }
        }
        worker.write(&unwritten);
        totals
    }
}

/// Distances between the rows of a bundle in memory.
struct Stride {
    classes: usize,
    exponentials: usize,
    levels: usize,
}

impl Stride {
    fn of<S: Simd>(classes: usize, over_logits: bool) -> Self {
        let exponentials = if over_logits { 0 } else { classes.next_multiple_of(block_len::<S>()) };
        Self { classes, exponentials, levels: levels_of::<S>(classes) }
    }
}

struct Worker<'s, 'r, 'p, S: Simd, M> {
    simd: S,
    exp: Exp<S>,
    rows: &'s Rows<'r, M>,
    part: &'s mut Part<'p>,
    writer: Option<LineWriter<'p>>,
    scratch: &'s mut Scratch,
    stride: Stride,
    has_details: bool,
}

impl<S: Simd, M: MarginLoss> Worker<'_, '_, '_, S, M> {
    /// Reads and finishes rows, a row a lane, while others are written.
    #[inline(always)]
    fn bundle(
        &mut self,
        bundle: Range<usize>,
        unwritten: &[Option<Unwritten>; MAX_LANES],
        out: &mut RowOutputs<'_>,
        totals: &mut RowTotals,
    ) -> [Option<Unwritten>; MAX_LANES] {
        let mut statistics = Bundle::default();
        let mut standings = [Standing::default(); MAX_LANES];
        let of_last = unwritten.iter().filter(|row| row.is_some()).count();
        for lane in 0..bundle.len().max(of_last) {
            let row = bundle.start + lane;
            let mut unread = None;
            if bundle.contains(&row) {
                let label = self.rows.job.label(row);
                self.rows.fill(self.part, label, row, lane, &mut statistics);
                if self.has_details {
                    standings[lane] = Standing::of(self.part.row(row, &mut self.scratch.row), label);
                }
                let target = if let Label::Class(target) = label { Some(target) } else { None };
                unread = (label != Label::Ignored || self.has_details).then_some(Unread { row, target });
            }
            let merged = self.row(lane, unwritten[lane].as_ref(), unread);
            if unread.is_some() {
                statistics.put(merged, lane);
            }
        }
        let finished = self.rows.finish(self.simd, self.stride.classes, &statistics);
        let mut next = [None; MAX_LANES];
        for (lane, row) in bundle.clone().enumerate() {
            let label = self.rows.job.label(row);
            if self.has_details {
                out.details[row - totals.first()] = standings[lane].details(label, &finished, lane);
            }
            totals.push(label, row, &finished, lane, out.losses);
            if self.writer.is_some() {
                let fate = self.rows.fate(label, &finished, lane);
                next[lane] = Some(Unwritten::of(row, fate, statistics.reference[lane], &finished, lane));
            }
        }
        next
    }

    /// Writes the last rows.
    #[inline(always)]
    fn write(&mut self, unwritten: &[Option<Unwritten>; MAX_LANES]) {
        for (lane, row) in unwritten.iter().enumerate() {
            if row.is_some() {
                self.row(lane, row.as_ref(), None);
            }
        }
    }

    /// Goes over the row of a lane.
    #[inline(always)]
    fn row(&mut self, lane: usize, old: Option<&Unwritten>, new: Option<Unread>) -> Merged {
        let Self { simd, exp, rows, part, writer, scratch, stride, .. } = self;
        let factor = f64::from(rows.options.inverse_temperature());
        if let Some(new) = &new {
            part.fetch_ahead(part.row_start(new.row), BURST);
        }
        let mut merged: Option<Merged> = None;
        // A row that is only written is begun with its last segment, whose exponentials a cache still holds: over the logits, where
        // that is every row, 16 rows of 262,144 classes took 0.72 to 0.84 of the time.
        let (mut upwards, mut downwards) = (segments(stride.classes), segments(stride.classes).rev());
        while let Some(classes) = if new.is_some() { upwards.next() } else { downwards.next() } {
            let kept = writer.is_some().then(|| {
                let (first, n) = (classes.start, stride.exponentials.saturating_sub(classes.start).min(SEGMENT));
                let exponentials = lane * stride.exponentials + if n == 0 { 0 } else { first };
                let levels = lane * stride.levels + first / block_len::<S>();
                Kept {
                    exponentials: &mut scratch.exponentials[exponentials..exponentials + n],
                    levels: &mut scratch.levels[levels..levels + levels_of::<S>(classes.len())],
                }
            });
            let new = new.as_ref();
            let reference = new.map_or(f32::MIN, |new| first_reference(*simd, rows, part, new, classes.clone()));
            let step = Step { rows, part, writer: writer.as_mut(), buffers: &mut scratch.buffers, classes, reference };
            let segment = step.run(*simd, *exp, old, new, kept);
            merged = Some(merged.map_or(segment, |merged| merged.and(segment, factor)));
        }
        merged.unwrap_or(Merged::NONE)
    }
}
