//! The gradient of a group: its exponentials times the factors of their rows.

use std::ops::Range;

use super::Work;
use super::sums::lane_numbers;
use crate::cpu::simd::{Select, Simd, SimdBase, load, load_rows, splat, store_rows, to_lanes};
use crate::cpu::softmax::Fate;
use crate::cpu::softmax::finish::{Conclusion, MarginLoss};
use crate::cpu::softmax::group::Group;

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Turns the exponentials of a group into its gradient, in `gradient`; `e` is overwritten.
    #[inline(never)]
    pub(super) fn gradient<const EXTRA: bool>(
        &self,
        group: Group,
        slopes: &[f32],
        e: &mut Vec<f32>,
        gradient: &mut Vec<f32>,
    ) {
        let (simd, lanes) = (self.simd, S::f32s::LEN);
        let is_in_place = !EXTRA && self.classes >= lanes;
        if is_in_place {
            std::mem::swap(e, gradient);
        }
        simd.vectorize(
            #[inline(always)]
            || {
                for (k, conclusion) in self.ledger.conclusions[..group.tiles::<S>()].iter().enumerate() {
                    let tile = k * lanes..group.n.min((k + 1) * lanes);
                    if is_in_place {
                        self.scale(&conclusion.softmax, &tile, gradient);
                    } else {
                        self.scale_rows::<EXTRA>(conclusion, &tile, e, gradient);
                    }
                    self.complete::<EXTRA>(group, tile, conclusion, slopes, gradient);
                }
            },
        );
    }

    /// Multiplies the exponentials of a tile by the factors of their rows, where they are. Rows are at least a vector long.
    #[inline(always)]
    fn scale(&self, factors: &S::f32s, tile: &Range<usize>, e: &mut [f32]) {
        let (simd, classes, lanes) = (self.simd, self.classes, S::f32s::LEN);
        let (factors, numbers) = (to_lanes::<S>(*factors), lane_numbers(simd));
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

    /// As [`scale`](Self::scale), from one place to another, of rows of any length and with whatever they have to them.
    #[inline(always)]
    fn scale_rows<const EXTRA: bool>(
        &self,
        conclusion: &Conclusion<S>,
        tile: &Range<usize>,
        e: &[f32],
        to: &mut [f32],
    ) {
        let (simd, classes, lanes) = (self.simd, self.classes, S::f32s::LEN);
        let [softmax, share] = [to_lanes::<S>(conclusion.softmax), to_lanes::<S>(conclusion.share)];
        let start = tile.start * classes;
        // A vector may reach into the front of the next row, which is stored after it: rows in order, and the last classes first.
        for c in (0..classes).step_by(lanes).rev() {
            let mut vectors = load_rows(simd, e, start + c, classes);
            for (lane, g) in vectors[..lanes].iter_mut().enumerate() {
                *g *= splat(simd, softmax[lane]);
            }
            if EXTRA {
                let weights = load(simd, &self.weights, c);
                for (lane, g) in vectors[..lanes].iter_mut().enumerate() {
                    *g -= splat(simd, share[lane]) * weights;
                }
            }
            store_rows::<S>(&vectors, to, start + c, classes);
        }
    }

    /// What else there is to the gradient of a tile: at the targets, under a softcap, and of rows that do not count.
    #[inline(always)]
    fn complete<const EXTRA: bool>(
        &self,
        group: Group,
        tile: Range<usize>,
        conclusion: &Conclusion<S>,
        slopes: &[f32],
        to: &mut [f32],
    ) {
        let Self { rows, classes, ref ledger, .. } = *self;
        let at_target = to_lanes::<S>(conclusion.at_target);
        for (lane, &class) in ledger.class[tile.clone()].iter().enumerate() {
            if (class as usize) < classes {
                to[(tile.start + lane) * classes + class as usize] = at_target[lane];
            }
        }
        if EXTRA && !slopes.is_empty() {
            let of_tile = tile.start * classes..tile.end * classes;
            to[of_tile.clone()].iter_mut().zip(&slopes[of_tile]).for_each(|(g, slope)| *g *= slope);
        }
        if !ledger.is_plain {
            let finished = conclusion.lanes();
            for (lane, i) in tile.enumerate() {
                if let Fate::Constant(value) = rows.fate(rows.job.label(group.first + i), &finished, lane) {
                    to[i * classes..(i + 1) * classes].fill(value);
                }
            }
        }
    }
}
