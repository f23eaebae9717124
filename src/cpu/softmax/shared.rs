//! All threads a row, each some of its segments: for long rows that are few.

use rayon::prelude::*;

use super::block::Buffers;
use super::finish::{Bundle, MarginLoss};
use super::partition::Merged;
use super::row::{Kept, LEVELS, Step, Unread, Unwritten, first_reference, levels_of, segments};
use super::scratch::Scratch;
use super::{Rows, SEGMENT, Standing};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{Kernel, Simd};
use crate::cpu::tensor::Part;
use crate::cpu::{RowOutputs, RowTotals};
use crate::totals::Label;

/// Evaluates rows one after the other. While one is read, the one before it is written.
pub(super) fn run<M: MarginLoss>(rows: &Rows<'_, M>, part: &mut Part<'_>, out: RowOutputs<'_>) -> RowTotals {
    // In the pool, whose threads hand tasks to each other sooner than to one outside.
    rayon::scope(|_| Scratch::with(|scratch| in_pool(rows, part, out, scratch)))
}

fn in_pool<M: MarginLoss>(
    rows: &Rows<'_, M>,
    part: &mut Part<'_>,
    out: RowOutputs<'_>,
    scratch: &mut Scratch,
) -> RowTotals {
    let Scratch { row: buffer, exponentials, levels, .. } = scratch;
    let (all, classes) = (part.rows(), part.layout().classes() as usize);
    let has_gradient = rows.job.tensor.has_gradient();
    let over_logits = rows.is_over_logits(part);
    // As many neighbouring segments a thread, so that it finds in its cache what it has left there.
    let together = classes.div_ceil(SEGMENT).div_ceil(rayon::current_num_threads());
    let length = together * SEGMENT;
    let kept = if has_gradient && !over_logits { classes.next_multiple_of(length) } else { 0 };
    exponentials.extend_to(kept);
    levels.resize(if has_gradient { classes.div_ceil(length) * together * LEVELS } else { 0 }, 0.0);
    let mut totals = RowTotals::new(all.clone());
    let mut old: Option<Unwritten> = None;
    // One more round, in which the last row is written.
    for row in all.start..=all.end {
        let label = if row < all.end { rows.job.label(row) } else { Label::Ignored };
        let mut bundle = Bundle::default();
        let mut new = None;
        let mut standing = Standing::default();
        if row < all.end {
            let target = rows.fill(part, label, row, 0, &mut bundle);
            if !out.details.is_empty() {
                standing = Standing::of(part.row(row, buffer), label);
            }
            new = (label != Label::Ignored || !out.details.is_empty()).then_some(Unread { row, target });
        }
        let pieces: Vec<_> = part.columns(length);
        let mut exponentials: Vec<_> = exponentials[..kept].chunks_mut(length).map(Some).collect();
        let mut levels: Vec<_> = levels.chunks_mut(together * LEVELS).map(Some).collect();
        exponentials.resize_with(pieces.len(), || None);
        levels.resize_with(pieces.len(), || None);
        let statistics: Vec<Merged> = pieces
            .into_par_iter()
            .zip(exponentials)
            .zip(levels)
            .flat_map_iter(|((mut part, exponentials), levels)| {
                let exponentials = exponentials.unwrap_or_default();
                let piece = Piece { rows, part: &mut part, old: old.as_ref(), new: new.as_ref(), exponentials, levels };
                let statistics = rows.job.instructions.run(piece);
                part.finish();
                statistics
            })
            .collect();
        if row == all.end {
            break;
        }
        if new.is_some() {
            let factor = f64::from(rows.options.inverse_temperature());
            bundle.put(statistics.into_iter().reduce(|a, b| a.and(b, factor)).unwrap_or(Merged::NONE), 0);
        }
        let finished = rows.job.instructions.finish_one(rows, classes, &bundle);
        if !out.details.is_empty() {
            out.details[row - all.start] = standing.details(label, &finished, 0);
        }
        totals.push(label, row, &finished, 0, out.losses);
        let fate = rows.fate(label, &finished, 0);
        old = has_gradient.then(|| Unwritten::of(row, fate, bundle.reference[0], &finished, 0));
    }
    totals
}

/// Neighbouring segments.
struct Piece<'s, 'r, 'p, M> {
    rows: &'s Rows<'r, M>,
    part: &'s mut Part<'p>,
    old: Option<&'s Unwritten>,
    new: Option<&'s Unread>,
    exponentials: &'s mut [f32],
    levels: Option<&'s mut [f32]>,
}

impl<M: MarginLoss> Kernel for Piece<'_, '_, '_, M> {
    type Output = Vec<Merged>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<Merged> {
        let Self { rows, part, old, new, exponentials, mut levels } = self;
        let exp = Exp::new(simd, rows.options.inverse_temperature());
        let mut writer = part.writer();
        let mut buffers = Buffers::default();
        let columns = part.columns_of();
        let mut statistics = Vec::new();
        for (i, segment) in segments(columns.len()).enumerate() {
            let classes = columns.start + segment.start..columns.start + segment.end;
            let kept = levels.as_mut().map(|levels| {
                let (at, n) = (i * SEGMENT, SEGMENT.min(exponentials.len()));
                Kept {
                    exponentials: &mut exponentials[if n == 0 { 0..0 } else { at..at + n }],
                    levels: &mut levels[i * LEVELS..][..levels_of::<S>(classes.len())],
                }
            });
            let reference = new.map_or(f32::MIN, |new| first_reference(simd, rows, part, new, classes.clone()));
            let step =
                Step { rows, part: &mut *part, writer: writer.as_mut(), buffers: &mut buffers, classes, reference };
            statistics.push(step.run(simd, exp, old, new, kept));
        }
        statistics
    }
}
