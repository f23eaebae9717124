//! The gradient of a group: its exponentials times the factors of their rows.

use std::ops::Range;

use super::Work;
use super::sums::lane_numbers;
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::gather::scatter;
use crate::cpu::simd::{Bytes, Select, Simd, SimdBase, load, splat, to_lanes};
use crate::cpu::softmax::Fate;
use crate::cpu::softmax::finish::{Conclusion, MarginLoss};
use crate::cpu::softmax::group::{Gradients, Group, NONE};

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Turns the exponentials of a group into its gradient, in `gradient`; `e` is overwritten.
    #[inline(never)]
    pub(super) fn gradient<const EXTRA: bool>(
        &self,
        group: Group,
        slopes: &[f32],
        e: &mut Aligned,
        gradient: &mut Aligned,
    ) {
        let (simd, lanes) = (self.simd, S::f32s::LEN);
        std::mem::swap(e, gradient);
        simd.vectorize(
            #[inline(always)]
            || {
                for (k, conclusion) in self.ledger.conclusions[..group.tiles::<S>()].iter().enumerate() {
                    let tile = k * lanes..group.n.min((k + 1) * lanes);
                    if self.classes < lanes {
                        self.scale_few(conclusion.softmax, &tile, gradient);
                    } else {
                        self.scale(conclusion.softmax, &tile, gradient);
                    }
                    self.complete::<EXTRA>(group, tile, conclusion, slopes, gradient);
                }
            },
        );
    }

    /// Multiplies the exponentials of a tile by the factors of their rows, which are shorter than a vector.
    #[inline(always)]
    fn scale_few(&self, factors: S::f32s, tile: &Range<usize>, e: &mut [f32]) {
        let (simd, lanes) = (self.simd, S::f32s::LEN);
        let e = &mut e[tile.start * self.classes..][..lanes * self.classes];
        if lanes == 4 {
            // Not every processor can look lanes up.
            for (row, factor) in e.chunks_exact_mut(self.classes).zip(to_lanes::<S>(factors)) {
                row.iter_mut().for_each(|e| *e *= factor);
            }
            return;
        }
        for (e, rows) in e.chunks_exact_mut(lanes).zip(self.rows_of.chunks_exact(lanes)) {
            let rows = S::u32s::from_slice(simd, rows).to_bytes();
            (load(simd, e, 0) * factors.swizzle_dyn(rows)).store_slice(e);
        }
    }

    /// As [`scale_few`](Self::scale_few), of rows of a vector and more.
    #[inline(always)]
    fn scale(&self, factors: S::f32s, tile: &Range<usize>, e: &mut [f32]) {
        let (simd, classes, lanes) = (self.simd, self.classes, S::f32s::LEN);
        let (factors, numbers) = (to_lanes::<S>(factors), lane_numbers(simd));
        let e = &mut e[tile.start * classes..(tile.end * classes).next_multiple_of(lanes)];
        let mut at = 0;
        for lane in 0..tile.len() {
            let (end, factor) = ((lane + 1) * classes, splat(simd, factors[lane]));
            let whole = (end - at) / lanes * lanes;
            for e in e[at..at + whole].chunks_exact_mut(lanes) {
                (load(simd, e, 0) * factor).store_slice(e);
            }
            at += whole;
            if at < end {
                // A vector that ends with the next row.
                let next = splat(simd, factors[(lane + 1) % lanes]);
                let factor = numbers.simd_lt(splat(simd, (end - at) as f32)).select(factor, next);
                (load(simd, e, at) * factor).store_slice(&mut e[at..at + lanes]);
                at += lanes;
            }
        }
    }

    /// What else there is to the gradient of a tile: under label smoothing and a softcap, at the targets, and of rows that do not
    /// count.
    #[inline(always)]
    fn complete<const EXTRA: bool>(
        &self,
        group: Group,
        tile: Range<usize>,
        conclusion: &Conclusion<S>,
        slopes: &[f32],
        to: &mut [f32],
    ) {
        let Self { simd, rows, classes, starts, ref ledger, ref weights, .. } = *self;
        let of_tile = &mut to[tile.start * classes..tile.end * classes];
        if EXTRA {
            for (row, share) in of_tile.chunks_exact_mut(classes).zip(to_lanes::<S>(conclusion.share)) {
                row.iter_mut().zip(weights).for_each(|(g, weight)| *g -= share * weight);
            }
        }
        let class = &ledger.class[tile.clone()];
        if class.len() == S::f32s::LEN {
            // Rows that do not count become 0 later.
            let class = ledger.classes_of(tile.start / S::f32s::LEN);
            let (none, first) = (S::u32s::splat(simd, NONE), S::u32s::splat(simd, 0));
            let at = class.simd_lt(none).select(class, first) + starts;
            // SAFETY: the survey has found all targets of rows that count to be classes, and there are that many rows.
            unsafe { scatter::<S>(conclusion.at_target, of_tile.as_mut_ptr(), at) };
        } else {
            let rows = of_tile.chunks_exact_mut(classes).zip(class).zip(to_lanes::<S>(conclusion.at_target));
            for ((row, &class), at_target) in rows.filter(|((_, class), _)| **class != NONE) {
                row[class as usize] = at_target;
            }
        }
        if EXTRA && !slopes.is_empty() {
            let of_tile = tile.start * classes..tile.end * classes;
            to[of_tile.clone()].iter_mut().zip(&slopes[of_tile]).for_each(|(g, slope)| *g *= slope);
        }
        match ledger.gradients {
            Gradients::OfTargets => {}
            Gradients::OfTargetsOr0 => {
                let rows = to[tile.start * classes..tile.end * classes].chunks_exact_mut(classes);
                rows.zip(class).filter(|(_, class)| **class == NONE).for_each(|(row, _)| row.fill(0.0));
            }
            Gradients::Any => {
                let finished = conclusion.lanes();
                for (lane, i) in tile.enumerate() {
                    if let Fate::Constant(value) = rows.fate(rows.job.label(group.first + i), &finished, lane) {
                        to[i * classes..(i + 1) * classes].fill(value);
                    }
                }
            }
        }
    }
}
