//! Rows of some thousand classes, as many together as a vector has lanes.
//!
//! Of a longer row the blocks are most of the work. Of such a row what is done once is a good part of it, and so nothing is: the
//! loop goes from row to row without a call, sums stay vectors until each row of the group has one, and the group is finished with a
//! row a lane. The gradient of the group before is written meanwhile, from where the new exponentials go, as one run of lines that
//! knows no rows but where one ends:
//!
//! ```text
//! read      a0 a1 .. an ar | b0 b1 .. bn br | ...     blocks of a row, and the rest of it
//! written   c0 c1 ..         ..  cd  ..  dn dr ...    blocks of lines, some of two rows, never behind what is read
//! ```
//!
//! Exponentials are relative to 0. A row whose sum is too small or too large that way is gone over by itself, relative to its largest
//! logit: which of the two is up to the row alone, as its bits are.

mod pending;
mod read;

use super::finish::{MarginLoss, Statistics};
use super::group::{Gradients, Group, Ledger};
use super::partition::NEAR_SUMS;
use super::row::row_statistics;
use super::{Fate, PartKernel, Rows};
use crate::cpu::RowTotals;
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{
    Kernel, Lanes, MAX_LANES, Simd, SimdBase, SimdMask, block_len, load_lanes, load_vector_up_to, splat, to_lanes,
};
use crate::cpu::survey::NO_CLASS;
use crate::cpu::tensor::{LineWriter, Part};
use pending::Pending;

/// Memory of a thread, reused from part to part.
#[derive(Default)]
pub(super) struct Scratch {
    buffer: Vec<f32>,
    row: Vec<f32>,
    exponentials: Aligned,
}

impl<M: MarginLoss> Kernel for PartKernel<'_, '_, '_, M, Scratch> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { rows, part, out, scratch } = self;
        let classes = part.layout().classes() as usize;
        let mut writer = part.writer();
        let stride = if writer.is_some() { classes.next_multiple_of(block_len::<S>()) } else { 0 };
        // A block in which the last row ends reaches behind it.
        scratch.exponentials.extend_to(stride * S::f32s::LEN + block_len::<S>());
        let mut work = Work {
            simd,
            exp: Exp::new(simd, rows.options.inverse_temperature()),
            rows,
            smooths: rows.options.label_smoothing > 0.0,
            classes,
            stride,
            known: Known::default(),
            sums: splat(simd, 0.0),
            pending: Pending::none(classes, stride),
            ledger: Ledger::new(simd, rows, part, out),
        };
        for group in Group::of(part.rows(), S::f32s::LEN) {
            work.group(group, part, writer.as_mut(), scratch);
        }
        if let Some(writer) = &mut writer {
            work.write_left(part, writer, &scratch.exponentials);
        }
        work.ledger.totals
    }
}

/// What is known of each row of a group besides its label and the sum of its exponentials.
#[derive(Default)]
struct Known {
    reference: Lanes,
    target: Lanes,
    target_exp: Lanes,
    /// Where labels are smoothed, the sum of all logits, and what those but the target's fall short of the reference.
    logits: Lanes,
    deficit: Lanes,
}

struct Work<'s, 'r, S: Simd, M> {
    simd: S,
    exp: Exp<S>,
    rows: &'s Rows<'r, M>,
    smooths: bool,
    classes: usize,
    /// From the exponentials of a row to those of the next; 0 if nobody keeps them.
    stride: usize,
    known: Known,
    sums: S::f32s,
    /// The rows whose gradient is not yet written.
    pending: Pending,
    ledger: Ledger<'s, 'r, S, M>,
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Evaluates a group, and writes the gradient of the one before; its own is left to be written.
    fn group(
        &mut self,
        group: Group,
        part: &mut Part<'_>,
        mut writer: Option<&mut LineWriter<'_>>,
        scratch: &mut Scratch,
    ) {
        let Self { simd, classes, .. } = *self;
        let Scratch { buffer, row, exponentials: e } = scratch;
        self.ledger.read_labels(group);
        self.read_rows(group, part, writer.as_deref_mut(), e);
        // Now that they are in a cache.
        self.find_targets(group, part);
        let target_exp = load_lanes(simd, &self.known.target_exp);
        self.known.reference = [0.0; MAX_LANES];
        if self.smooths {
            let Known { target, logits, deficit, .. } = &mut self.known;
            for ((deficit, target), logits) in deficit.iter_mut().zip(target).zip(logits) {
                *deficit = *target - *logits;
            }
        }
        let are_near = simd.vectorize(
            #[inline(always)]
            || Statistics { sum: self.sums, target_exp, ..Statistics::none(simd) }.are_near(simd).all_true(),
        );
        if !are_near {
            self.redo_odd_rows(group, part, buffer, row, e);
        }
        let Self { known, sums, ledger, .. } = self;
        ledger.conclude(
            group,
            part,
            are_near,
            #[inline(always)]
            |_| Statistics {
                reference: load_lanes(simd, &known.reference),
                sum: *sums,
                deficit: load_lanes(simd, &known.deficit),
                target: load_lanes(simd, &known.target),
                target_exp: load_lanes(simd, &known.target_exp),
                ..Statistics::none(simd)
            },
        );
        if let Some(writer) = writer {
            self.pending.set::<S>(group.n, &self.ledger.conclusions[0], &self.ledger.class);
            if self.ledger.gradients != Gradients::OfTargets {
                self.fill_constant_rows(group, e);
            }
            if part.layout().is_contiguous() {
                part.start_rows(writer, group.first..group.first + group.n);
            } else {
                for (i, row) in (group.first..group.first + group.n).enumerate() {
                    part.start_row(writer, row, 0..classes);
                    self.push_row(i, e, writer);
                }
                self.pending.n = 0;
            }
        }
    }

    /// Finds the logits of the targets, and their exponentials relative to 0.
    fn find_targets(&mut self, group: Group, part: &Part<'_>) {
        let Self { simd, exp, ref mut known, ref ledger, .. } = *self;
        for (i, &class) in ledger.class[..group.n].iter().enumerate() {
            // Where nothing is left out, the log-partition is that of all classes.
            let is_class = class != NO_CLASS;
            let at = || part.row_start(group.first + i) + class as usize;
            known.target[i] = if is_class { part.neighbour(at()) } else { f32::NEG_INFINITY };
        }
        known.target_exp = simd.vectorize(
            #[inline(always)]
            || to_lanes::<S>(exp.of(load_lanes(simd, &known.target))),
        );
        for (exp, &class) in known.target_exp[..group.n].iter_mut().zip(&ledger.class) {
            if class == NO_CLASS {
                // Whatever is near.
                *exp = 1.0;
            }
        }
    }

    /// Goes over the rows whose sum is not near 0, or whose deficit is not known, by themselves, relative to their largest logit.
    #[cold]
    fn redo_odd_rows(
        &mut self,
        group: Group,
        part: &Part<'_>,
        buffer: &mut Vec<f32>,
        row: &mut Vec<f32>,
        e: &mut [f32],
    ) {
        let Self { simd, exp, stride, ref mut known, ref mut sums, ref ledger, rows, .. } = *self;
        let factor = f64::from(rows.options.inverse_temperature());
        let mut all = to_lanes::<S>(*sums);
        for (i, sum) in all.iter_mut().enumerate().take(group.n) {
            // What is left of a sum of logits of -inf without a target that is one of them cannot be told.
            if NEAR_SUMS[0] <= *sum && *sum <= NEAR_SUMS[1] && !known.deficit[i].is_nan() {
                continue;
            }
            row.clear();
            row.extend_from_slice(part.row(group.first + i, buffer));
            if let Some(target) = row.get_mut(ledger.class[i] as usize) {
                *target = f32::NEG_INFINITY;
            }
            let merged = simd.vectorize(
                #[inline(always)]
                || {
                    let merged = row_statistics(simd, exp, row, factor);
                    let reference = splat(simd, merged.reference);
                    let e = e[i * stride..][..stride].chunks_exact_mut(S::f32s::LEN);
                    for (e, x) in e.zip(row.chunks(S::f32s::LEN)) {
                        exp.of(load_vector_up_to(simd, x, f32::NEG_INFINITY) - reference).store_slice(e);
                    }
                    merged
                },
            );
            (known.reference[i], *sum) = (merged.reference, merged.sum as f32);
            if self.smooths {
                let deficits = row.iter().map(|x| f64::from(merged.reference) - f64::from(*x)).enumerate();
                let of_others = deficits.filter(|(class, _)| *class != ledger.class[i] as usize);
                known.deficit[i] = of_others.map(|(_, deficit)| deficit).sum::<f64>() as f32;
            }
        }
        *sums = load_lanes(simd, &all);
    }

    /// Makes the gradient of the rows that have none what it is instead.
    #[cold]
    fn fill_constant_rows(&mut self, group: Group, e: &mut [f32]) {
        let finished = self.ledger.conclusions[0].lanes();
        for i in 0..group.n {
            let label = self.rows.job.label(group.first + i);
            if let Fate::Constant(value) = self.rows.fate(label, &finished, i) {
                self.pending.fill(i, value, e);
            }
        }
    }

    /// Writes the gradient of row `i` of the group by itself.
    fn push_row(&self, i: usize, e: &[f32], writer: &mut LineWriter<'_>) {
        // SAFETY: the exponentials have the room that the kernel has given them.
        unsafe { self.pending.push(self.simd, e.as_ptr(), i * self.classes..(i + 1) * self.classes, writer) };
    }
}
