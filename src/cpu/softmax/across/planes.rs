//! Classes in planes: the exponentials of a group's rows are added up class by class, each where it lies.
//!
//! ```text
//! plane of class 0   | a b c d ... |
//! plane of class 1   | a b c d ... |    four planes at a time, from the first of the group's tiles to the last,
//! plane of class 2   | a b c d ... |    while the lines of the next four are on their way
//! ```
//!
//! Planes are often a power of two apart, so that the lines of a row share their places in a cache: were all of a row's there at once,
//! some would push out others.

use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::memory::{load_vector, prefetch, store_vector};
use crate::cpu::simd::{BLOCK, Simd, SimdBase, splat};
use crate::cpu::softmax::finish::{Statistics, TILES};
use crate::cpu::softmax::tally::Tally;

/// The classes of a group, its rows next to one another in each.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    /// The first row's first class.
    pub(super) from: *const f32,
    /// Numbers from class to class.
    pub(super) stride: usize,
}

impl Planes {
    #[inline(always)]
    const fn at(self, class: usize, row: usize) -> *const f32 {
        self.from.wrapping_add(class * self.stride + row)
    }
}

/// How many vectors ahead of their use logits are fetched, at least.
const AHEAD: usize = BLOCK * TILES;

/// What is done with the planes of a group.
pub(super) struct Pass<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) exp: Exp<S>,
    pub(super) planes: Planes,
    pub(super) classes: usize,
    /// One a tile.
    pub(super) statistics: &'a mut [Statistics<S>],
}

impl<S: Simd> Pass<'_, S> {
    /// Gives the statistics of all tiles relative to 0: sums but for the targets, and the targets' exponentials. `targets` gives those
    /// of a tile. The exponentials, but for the targets', go to `kept`, class by class without gaps, which may be where the logits are.
    ///
    /// # Safety
    /// The logits of all rows can be read, and the exponentials written.
    #[inline(always)]
    pub(super) unsafe fn run(&mut self, targets: impl Fn(usize) -> S::u32s, kept: Option<*mut f32>) {
        let (simd, classes) = (self.simd, self.classes);
        self.statistics.fill(Statistics { target_exp: splat(simd, 1.0), ..Statistics::none(simd) });
        let whole = classes / BLOCK * BLOCK;
        // SAFETY: the caller's promise.
        unsafe {
            for c in (0..whole).step_by(BLOCK) {
                self.add::<BLOCK>(c, &targets, kept);
            }
            match classes - whole {
                1 => self.add::<1>(whole, &targets, kept),
                2 => self.add::<2>(whole, &targets, kept),
                3 => self.add::<3>(whole, &targets, kept),
                _ => {}
            }
        }
    }

    /// Adds classes `c..c + N`.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    #[inline(always)]
    unsafe fn add<const N: usize>(&mut self, c: usize, targets: &impl Fn(usize) -> S::u32s, kept: Option<*mut f32>) {
        let Self { simd, exp, planes, .. } = *self;
        let ahead = c / BLOCK + AHEAD.div_ceil(BLOCK * self.statistics.len());
        // Behind the last class, the next group's.
        let (of_group, rows) = (self.classes.div_ceil(BLOCK), self.statistics.len() * S::f32s::LEN);
        let next =
            if ahead < of_group { planes.at(ahead * BLOCK, 0) } else { planes.at((ahead - of_group) * BLOCK, rows) };
        let next = Planes { from: next, ..planes };
        for (k, statistics) in self.statistics.iter_mut().enumerate() {
            let row = k * S::f32s::LEN;
            let mut values = [splat(simd, 0.0); N];
            for (i, value) in values.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *value = unsafe { load_vector::<S>(simd, planes.at(c + i, row)) };
            }
            for i in 0..BLOCK {
                prefetch(next.at(i, row).cast());
            }
            let mut exps = exp.of_some(values);
            let mut tally = Tally::at(simd, targets(k), c, statistics);
            tally.add(&mut exps);
            let Statistics { sum, target_exp, .. } = tally.statistics();
            (statistics.sum, statistics.target_exp) = (sum, target_exp);
            let Some(kept) = kept else { continue };
            for (i, exp) in exps.into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { store_vector::<S>(exp, kept.add((c + i) * rows + row)) };
            }
        }
    }
}
