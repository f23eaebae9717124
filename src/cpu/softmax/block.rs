//! A block at a time, of whatever kind: under a softcap or label smoothing, or of fewer logits than a block has.

use std::ops::Range;

use super::cap::{Capped, cap};
use super::finish::MarginLoss;
use super::partition::{Extra, Partition};
use super::row::{Kept, Step, Unread, Unwritten, within};
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{
    Block, MAX_BLOCK, Simd, block_len, load_block, load_up_to, numbers, replaced, splat, store_block, store_up_to,
};

/// Memory of a thread for a block.
pub(super) struct Buffers {
    wide: [f32; MAX_BLOCK],
    capped: Capped,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { wide: [0.0; MAX_BLOCK], capped: Capped::default() }
    }
}

impl<M: MarginLoss> Step<'_, '_, '_, M> {
    /// Writes a block of one row, and reads that of another.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "two rows, and what is kept of them")]
    pub(super) fn block<S: Simd, const EXTRA: bool>(
        &mut self,
        simd: S,
        exp: Exp<S>,
        old: Option<&Unwritten>,
        new: Option<&Unread>,
        b: usize,
        kept: &mut Option<Kept<'_>>,
        partition: &mut Partition<S>,
    ) {
        let length = block_len::<S>();
        let first = self.classes.start + b * length;
        let block = first..self.classes.end.min(first + length);
        if let (Some(old), Some(kept)) = (old, kept.as_ref()) {
            self.write(simd, old, block.clone(), b, kept);
        }
        let Some(new) = new else { return };
        let at = self.part.row_start(new.row) + block.start;
        self.part.fetch_ahead(at, block.len());
        let e = self.read::<S, EXTRA>(simd, exp, new, at, block.clone(), partition);
        if let (Some(kept), Some(e)) = (kept, e) {
            if kept.exponentials.is_empty() {
                store_up_to::<S>(&e, self.part.overwritten(at, block.len()));
            } else {
                store_block::<S>(&e, &mut kept.exponentials[b * length..(b + 1) * length]);
            }
            kept.levels[b] = partition.reference;
        }
    }

    /// Adds a block to the statistics, and gives its exponentials.
    #[inline(always)]
    fn read<S: Simd, const EXTRA: bool>(
        &mut self,
        simd: S,
        exp: Exp<S>,
        new: &Unread,
        at: usize,
        block: Range<usize>,
        partition: &mut Partition<S>,
    ) -> Option<Block<S>> {
        let Buffers { wide, capped } = &mut *self.buffers;
        let x = self.part.neighbours(at, block.len(), wide);
        let hole = new.target.and_then(|t| within(t, block.clone()));
        if !EXTRA {
            return partition.add::<false, true>(simd, exp, || patched(simd, x, hole, f32::NEG_INFINITY), |_| {});
        }
        let (x, low) = match self.rows.options.softcap {
            Some(softcap) => {
                cap(simd, x, softcap, capped);
                (&capped.high[..], patched(simd, &capped.low, hole, 0.0))
            }
            None => (x, [splat(simd, 0.0); _]),
        };
        let ones = [1.0; MAX_BLOCK];
        let weights = self.rows.job.class_weights.map_or(&ones[..block.len()], |w| &w[block]);
        let extra = Extra { low, weight: patched(simd, weights, hole, 0.0) };
        Some(partition.add_extra(simd, exp, patched(simd, x, hole, f32::NEG_INFINITY), &extra))
    }

    /// Writes the gradient of a block.
    #[inline(always)]
    fn write<S: Simd>(&mut self, simd: S, old: &Unwritten, block: Range<usize>, b: usize, kept: &Kept<'_>) {
        let Some(writer) = &mut self.writer else { return };
        let n = block.len();
        let at = self.part.row_start(old.row) + block.start;
        let length = block_len::<S>();
        let e = if kept.exponentials.is_empty() {
            load_up_to(simd, self.part.overwritten(at, n), 0.0)
        } else {
            load_block(simd, &kept.exponentials[b * length..])
        };
        let factor = splat(simd, kept.levels[b]);
        let mut gradient = e;
        for g in &mut gradient {
            *g *= factor;
        }
        if old.share != 0.0 {
            let share = splat(simd, old.share);
            match self.rows.job.class_weights {
                Some(weights) => {
                    let weights: Block<S> = load_up_to(simd, &weights[block.clone()], 0.0);
                    for (g, w) in gradient.iter_mut().zip(weights) {
                        *g -= share * w;
                    }
                }
                None => {
                    for g in &mut gradient {
                        *g -= share;
                    }
                }
            }
        }
        if let Some(target) = old.fate.target().and_then(|target| within(target, block)) {
            gradient = replaced::<S>(simd, &gradient, &numbers::<S>(simd), target, old.at_target);
        }
        if let Some(softcap) = self.rows.options.softcap {
            let Buffers { wide, capped } = &mut *self.buffers;
            cap(simd, self.part.neighbours(at, n, wide), softcap, capped);
            let slopes: Block<S> = load_up_to(simd, &capped.slope, 0.0);
            for (g, slope) in gradient.iter_mut().zip(slopes) {
                *g *= slope;
            }
        }
        let mut values = [0.0; MAX_BLOCK];
        store_block::<S>(&gradient, &mut values);
        writer.push(&values[..n]);
    }
}

/// Up to a block of values, with `fill` behind them and in the hole.
#[inline(always)]
fn patched<S: Simd>(simd: S, values: &[f32], hole: Option<usize>, fill: f32) -> Block<S> {
    let Some(hole) = hole else { return load_up_to(simd, values, fill) };
    replaced::<S>(simd, &load_up_to(simd, values, fill), &numbers::<S>(simd), hole, fill)
}
