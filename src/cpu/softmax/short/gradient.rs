//! The gradient of a group: its exponentials times the factors of their rows.

use std::ops::Range;

use super::Work;
use super::sums::lane_numbers;
use crate::cpu::simd::gather::scatter;
use crate::cpu::simd::{Bytes, MAX_LANES, Select, Simd, SimdBase, has_avx512, load, splat, to_lanes};
use crate::cpu::softmax::Fate;
use crate::cpu::softmax::finish::{Conclusion, MarginLoss};
use crate::cpu::softmax::group::{Gradients, Group};
use crate::cpu::survey::NO_CLASS;

/// What the numbers of a tile belong to, as it lies in memory, if rows are shorter than a vector.
pub(super) struct Places {
    /// The bytes of the row's lane in a vector.
    rows: [u32; MAX_LANES * MAX_LANES],
    classes: [u32; MAX_LANES * MAX_LANES],
}

impl Places {
    pub(super) fn new(classes: usize, lanes: usize) -> Self {
        let mut places = Self { rows: [0; MAX_LANES * MAX_LANES], classes: [0; MAX_LANES * MAX_LANES] };
        if classes < lanes {
            for (i, (row, class)) in places.rows.iter_mut().zip(&mut places.classes).take(lanes * classes).enumerate() {
                *row = 0x0302_0100 + 0x0404_0404 * (i / classes) as u32;
                *class = (i % classes) as u32;
            }
        }
        places
    }
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Turns the exponentials of a group into its gradient.
    #[inline(never)]
    pub(super) fn gradient<const EXTRA: bool>(&self, group: Group, slopes: &[f32], e: &mut [f32]) {
        let (simd, lanes, classes) = (self.simd, S::f32s::LEN, self.classes);
        let conclusions = &self.ledger.conclusions[..group.tiles::<S>()];
        simd.vectorize(
            #[inline(always)]
            || {
                if !EXTRA && classes < lanes && has_avx512::<S>() {
                    self.place_few(conclusions, e);
                } else {
                    for (k, conclusion) in conclusions.iter().enumerate() {
                        let tile = k * lanes..group.n.min((k + 1) * lanes);
                        if classes < lanes {
                            self.scale_few(conclusion.softmax, &tile, e);
                        } else {
                            self.scale(conclusion.softmax, &tile, e);
                        }
                        self.place::<EXTRA>(conclusion, tile, e);
                    }
                }
                if EXTRA && !slopes.is_empty() {
                    e[..group.n * classes].iter_mut().zip(slopes).for_each(|(g, slope)| *g *= slope);
                }
                if self.ledger.gradients != Gradients::OfTargets {
                    self.complete(group, conclusions, e);
                }
            },
        );
    }

    /// Multiplies the exponentials of all tiles by the factors of their rows, which are shorter than a vector, and sets those of the
    /// targets, where lanes are looked up with an instruction: a scatter takes as long as the rest.
    #[inline(always)]
    fn place_few(&self, conclusions: &[Conclusion<S>], e: &mut [f32]) {
        let (simd, lanes, Places { rows, classes }) = (self.simd, S::f32s::LEN, &self.places);
        for (k, (e, conclusion)) in e.chunks_exact_mut(lanes * self.classes).zip(conclusions).enumerate() {
            let (targets, &Conclusion { softmax, at_target, .. }) = (self.ledger.classes_of(k), conclusion);
            let places = rows.chunks_exact(lanes).zip(classes.chunks_exact(lanes));
            for (e, (rows, classes)) in e.chunks_exact_mut(lanes).zip(places) {
                let rows = S::u32s::from_slice(simd, rows).to_bytes();
                let is_target = targets.swizzle_dyn(rows).simd_eq(S::u32s::from_slice(simd, classes));
                let at_others = load(simd, e, 0) * softmax.swizzle_dyn(rows);
                is_target.select(at_target.swizzle_dyn(rows), at_others).store_slice(e);
            }
        }
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
        for (e, rows) in e.chunks_exact_mut(lanes).zip(self.places.rows.chunks_exact(lanes)) {
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

    /// Sets the gradient of a tile at its targets; under label smoothing the other classes too.
    #[inline(always)]
    fn place<const EXTRA: bool>(&self, conclusion: &Conclusion<S>, tile: Range<usize>, e: &mut [f32]) {
        let Self { simd, classes, starts, ref ledger, ref weights, .. } = *self;
        let e = &mut e[tile.start * classes..tile.end * classes];
        if EXTRA {
            for (row, share) in e.chunks_exact_mut(classes).zip(to_lanes::<S>(conclusion.share)) {
                row.iter_mut().zip(weights).for_each(|(g, weight)| *g -= share * weight);
            }
        }
        let class = &ledger.class[tile.clone()];
        if class.len() == S::f32s::LEN {
            // Rows that do not count become 0 later.
            let class = ledger.classes_of(tile.start / S::f32s::LEN);
            let (none, first) = (S::u32s::splat(simd, NO_CLASS), S::u32s::splat(simd, 0));
            let at = class.simd_lt(none).select(class, first) + starts;
            // SAFETY: the survey has found all targets of rows that count to be classes, and there are that many rows.
            unsafe { scatter::<S>(conclusion.at_target, e.as_mut_ptr(), at) };
        } else {
            let rows = e.chunks_exact_mut(classes).zip(class).zip(to_lanes::<S>(conclusion.at_target));
            for ((row, &class), at_target) in rows.filter(|((_, class), _)| **class != NO_CLASS) {
                row[class as usize] = at_target;
            }
        }
    }

    /// The gradient of rows that do not count, and of those that are not finite.
    #[inline(always)]
    fn complete(&self, group: Group, conclusions: &[Conclusion<S>], e: &mut [f32]) {
        let Self { rows, classes, ref ledger, .. } = *self;
        let mut of_rows = e.chunks_exact_mut(classes).zip(group.first..group.first + group.n);
        if ledger.gradients == Gradients::OfTargetsOr0 {
            let of_none = of_rows.zip(&ledger.class).filter(|(_, class)| **class == NO_CLASS);
            of_none.for_each(|((of_row, _), _)| of_row.fill(0.0));
            return;
        }
        for conclusion in conclusions {
            let finished = conclusion.lanes();
            for (lane, (of_row, row)) in of_rows.by_ref().take(S::f32s::LEN).enumerate() {
                if let Fate::Constant(value) = rows.fate(rows.job.label(row), &finished, lane) {
                    of_row.fill(value);
                }
            }
        }
    }
}
