//! The gradient of a group: its exponentials times the factors of their rows, and what is at the targets.

use std::ops::Range;

use crate::cpu::simd::{
    Block, MAX_BLOCK, MAX_LANES, Select, Simd, SimdBase, SimdFloat, block_len, load_block, numbers, replaced, splat,
    store_block, to_lanes,
};
use crate::cpu::softmax::finish::Conclusion;
use crate::cpu::softmax::stretch::Product;
use crate::cpu::survey::NO_CLASS;
use crate::cpu::tensor::LineWriter;

/// Rows whose exponentials are there, and their gradient not.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) n: usize,
    classes: usize,
    /// From the exponentials of a row to those of the next.
    stride: usize,
    /// Of each row, and of nothing behind the last.
    factors: [f32; MAX_LANES + 1],
    /// What is taken off everywhere but at the target.
    shares: [f32; MAX_LANES + 1],
    targets: [u32; MAX_LANES + 1],
    at_target: [f32; MAX_LANES + 1],
}

/// Where in the gradient of a group the next block is.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    row: usize,
    class: usize,
    /// The target, or the row's end: what a block must not go beyond to be exponentials of one factor.
    end: usize,
}

impl Place {
    /// The first number.
    pub(super) const START: Self = Self { row: 0, class: 0, end: 0 };
}

impl Pending {
    pub(super) const fn none(classes: usize, stride: usize) -> Self {
        let (zero, targets) = ([0.0; MAX_LANES + 1], [NO_CLASS; MAX_LANES + 1]);
        Self { n: 0, classes, stride, factors: zero, shares: zero, targets, at_target: zero }
    }

    /// Makes them `n` other rows.
    #[inline(always)]
    pub(super) fn set<S: Simd>(&mut self, n: usize, conclusion: &Conclusion<S>, classes: &[u32]) {
        self.n = n;
        self.factors[..MAX_LANES].copy_from_slice(&to_lanes::<S>(conclusion.softmax));
        self.shares[..MAX_LANES].copy_from_slice(&to_lanes::<S>(conclusion.share));
        self.at_target[..MAX_LANES].copy_from_slice(&to_lanes::<S>(conclusion.at_target));
        self.targets[..n].copy_from_slice(&classes[..n]);
    }

    /// Makes the gradient of a row the same everywhere.
    pub(super) fn fill(&mut self, row: usize, value: f32, e: &mut [f32]) {
        e[row * self.stride..][..self.classes].fill(value);
        (self.factors[row], self.shares[row], self.targets[row]) = (1.0, 0.0, NO_CLASS);
    }

    /// How many numbers it is.
    pub(super) const fn len(&self) -> usize {
        self.n * self.classes
    }

    /// Where its number `at` is.
    #[inline(always)]
    pub(super) fn place(&self, at: usize) -> Place {
        let mut place = Place { row: at / self.classes, class: at % self.classes, end: 0 };
        place.end = self.end(place);
        place
    }

    #[inline(always)]
    fn end(&self, Place { row, class, .. }: Place) -> usize {
        let target = self.targets[row] as usize;
        if target < class { self.classes } else { target.min(self.classes) }
    }

    /// The block at a place, which goes on to the next one. One in which a row ends, or with a target, is computed at once, in
    /// `memory`.
    ///
    /// # Safety
    /// The place is of a row, and `e` is where the exponentials of the first are, in the room that they have.
    #[inline(always)]
    pub(super) unsafe fn next<S: Simd>(
        &self,
        simd: S,
        e: *const f32,
        place: &mut Place,
        memory: &mut [f32; MAX_BLOCK],
    ) -> Product<S> {
        let Place { row, class, end } = *place;
        let length = block_len::<S>();
        if class + length <= end {
            place.class = class + length;
            // SAFETY: the caller's promise.
            return unsafe {
                let (factor, share) = (self.factors.get_unchecked(row), self.shares.get_unchecked(row));
                Product::new(e.add(row * self.stride + class), splat(simd, *factor), splat(simd, *share))
            };
        }
        // SAFETY: the same.
        store_block::<S>(&unsafe { self.gradient(simd, e, *place) }, memory);
        place.class += length;
        if place.class >= self.classes {
            (place.row, place.class) = (row + 1, place.class - self.classes);
        }
        place.end = self.end(*place);
        Product::new(memory.as_ptr(), splat(simd, 1.0), splat(simd, 0.0))
    }

    /// The block at a place, whatever it has in it.
    ///
    /// # Safety
    /// As [`next`](Self::next).
    #[inline(always)]
    pub(super) unsafe fn gradient<S: Simd>(&self, simd: S, e: *const f32, Place { row, class, .. }: Place) -> Block<S> {
        let left = self.classes - class;
        let target = self.targets[row].wrapping_sub(class as u32);
        // SAFETY: the caller's promise; behind a row there is room for a block, and before the next one there is this one.
        unsafe {
            let mut gradient = self.of_row(simd, e, row, row * self.stride + class, target);
            if left < block_len::<S>() {
                let target = self.targets[row + 1];
                let target = if target == NO_CLASS { NO_CLASS } else { target + left as u32 };
                let next = self.of_row(simd, e, row + 1, (row + 1) * self.stride - left, target);
                let left = S::u32s::splat(simd, left as u32);
                for ((g, next), number) in gradient.iter_mut().zip(next).zip(numbers::<S>(simd)) {
                    *g = number.simd_lt(left).select(*g, next);
                }
            }
            gradient
        }
    }

    /// A block from `at` on times the factor of a row, whose target is number `target` of it.
    ///
    /// # Safety
    /// There are as many exponentials.
    #[inline(always)]
    unsafe fn of_row<S: Simd>(&self, simd: S, e: *const f32, row: usize, at: usize, target: u32) -> Block<S> {
        // SAFETY: the caller's promise.
        let mut gradient = load_block(simd, unsafe { std::slice::from_raw_parts(e.add(at), block_len::<S>()) });
        for g in &mut gradient {
            *g = g.mul_sub(splat(simd, self.factors[row]), splat(simd, self.shares[row]));
        }
        replaced::<S>(simd, &gradient, &numbers::<S>(simd), target as usize, self.at_target[row])
    }

    /// Writes its numbers `range`.
    ///
    /// # Safety
    /// As [`next`](Self::next).
    #[inline(always)]
    pub(super) unsafe fn push<S: Simd>(
        &self,
        simd: S,
        e: *const f32,
        range: Range<usize>,
        writer: &mut LineWriter<'_>,
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let mut memory = [0.0; MAX_BLOCK];
                for at in range.clone().step_by(block_len::<S>()) {
                    // SAFETY: the caller's promise.
                    store_block::<S>(&unsafe { self.gradient(simd, e, self.place(at)) }, &mut memory);
                    writer.push_front(&memory, block_len::<S>().min(range.end - at));
                }
            },
        );
    }
}
