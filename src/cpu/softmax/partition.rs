//! The statistics of a softmax: the pair (reference, sum of exponentials relative to it), accumulated block by block.
//!
//! Pairs merge by rebasing to the larger reference: lanes at the end of a segment, segments at the end of a row.

use crate::cpu::simd::math::Exp;
use crate::cpu::simd::{Block, Select, Simd, SimdBase, SimdMask, splat};

/// Statistics of the logits seen so far, one strip of them a lane.
///
/// The reference is renewed when a block exceeds it, which a row of random logits does a few times: the branch is predicted, so the
/// exponentials of a block do not wait for its maximum. A block is summed as a tree and added with compensation: a lane's sum
/// carries at most 4 roundings, whatever the length of the row.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Partition<S: Simd> {
    /// The largest logit, or the lowest finite number, which keeps -inf from giving NaN.
    pub(in crate::cpu) reference: f32,
    references: S::f32s,
    /// `sum exp((x - reference) / T)`; NaN if a logit is NaN or +inf.
    sum: Compensated<S>,
    /// `sum w * (reference - x)`, where a weight of 0 also removes an infinite term.
    deficit: Compensated<S>,
    /// `sum w`.
    weight: S::f32s,
}

/// A sum and what its additions have rounded off.
#[derive(Clone, Copy)]
struct Compensated<S: Simd> {
    high: S::f32s,
    low: S::f32s,
}

impl<S: Simd> Compensated<S> {
    /// Adds a term of any sign.
    #[inline(always)]
    fn add(&mut self, term: S::f32s) {
        // Knuth's TwoSum: `high + error` is exactly the old sum and the term.
        let high = self.high + term;
        let shadow = high - self.high;
        let error = (self.high - (high - shadow)) + (term - shadow);
        self.high = high;
        self.low += error;
    }

    /// Adds a term to a sum of which none is negative.
    #[inline(always)]
    fn add_positive(&mut self, term: S::f32s) {
        // Dekker's FastTwoSum, which is exact where the sum is not below the term. A term above it at least doubles the sum, so
        // that all such additions together miss two roundings of it at most.
        let high = self.high + term;
        self.low += term - (high - self.high);
        self.high = high;
    }

    #[inline(always)]
    fn total(self) -> S::f32s {
        // The error of an infinite sum is NaN.
        let total = self.high + self.low;
        total.simd_eq(total).select(total, self.high)
    }
}

/// What a logit comes with under a softcap or label smoothing.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Extra<S: Simd> {
    /// What float32 rounds off of the logits.
    pub(in crate::cpu) low: Block<S>,
    pub(in crate::cpu) weight: Block<S>,
}

impl<S: Simd> Partition<S> {
    /// Statistics of nothing, with a first reference.
    #[inline(always)]
    pub(in crate::cpu) fn new(simd: S, reference: f32) -> Self {
        let zero = splat(simd, 0.0);
        let nothing = Compensated { high: zero, low: zero };
        Self { reference, references: splat(simd, reference), sum: nothing, deficit: nothing, weight: zero }
    }

    /// Adds a block of logits, and turns them into their exponentials relative to the reference.
    #[inline(always)]
    pub(in crate::cpu) fn add(&mut self, simd: S, exp: Exp<S>, x: &mut Block<S>, between: impl FnMut(usize)) {
        self.raise(simd, exp, x, false);
        for x in &mut *x {
            *x -= self.references;
        }
        exp.of_block(x, between);
        self.sum.add_positive(total::<S>(x));
    }

    /// As [`add`](Self::add), of logits `x + low` with weights; gives the exponentials.
    #[inline(always)]
    pub(in crate::cpu) fn add_extra(&mut self, simd: S, exp: Exp<S>, x: Block<S>, extra: &Extra<S>) -> Block<S> {
        self.raise(simd, exp, &x, true);
        let zero = splat(simd, 0.0);
        let mut e = x;
        let mut deficits = x;
        for i in 0..x.len() {
            e[i] = exp.of((x[i] - self.references) + extra.low[i]);
            let w = extra.weight[i];
            deficits[i] = w.simd_eq(zero).select(zero, w * (self.references - x[i]));
        }
        self.sum.add_positive(total::<S>(&e));
        self.deficit.add(total::<S>(&deficits));
        self.weight += total::<S>(&extra.weight);
        e
    }

    /// Renews the reference if a logit of the block exceeds it.
    #[inline(always)]
    fn raise(&mut self, simd: S, exp: Exp<S>, x: &Block<S>, deficit: bool) {
        let largest = largest::<S>(x);
        if !largest.simd_gt(self.references).any_true() {
            return;
        }
        self.reference = largest.reduce_max();
        let references = splat(simd, self.reference);
        let factor = exp.of(self.references - references);
        self.sum = Compensated { high: self.sum.high * factor, low: self.sum.low * factor };
        if deficit {
            // No weight, no distance: the first reference is the lowest number.
            let zero = splat(simd, 0.0);
            let distance = self.weight.simd_eq(zero).select(zero, references - self.references);
            self.deficit.add(self.weight * distance);
        }
        self.references = references;
    }

    /// The statistics of all lanes together.
    #[inline(always)]
    pub(in crate::cpu) fn merged(self) -> Merged {
        Merged {
            reference: self.reference,
            sum: f64::from(self.sum.total().reduce_sum()),
            deficit: f64::from(self.deficit.total().reduce_sum()),
            weight: f64::from(self.weight.reduce_sum()),
        }
    }
}

/// The larger of all vectors, lane by lane.
#[inline(always)]
pub(in crate::cpu) fn largest<S: Simd>(x: &Block<S>) -> S::f32s {
    let [a, b, c, d] = *x;
    a.max(c).max(b.max(d))
}

#[inline(always)]
fn total<S: Simd>(x: &Block<S>) -> S::f32s {
    let [a, b, c, d] = *x;
    (a + c) + (b + d)
}

/// Statistics of a row, or of a segment of one.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) struct Merged {
    pub(in crate::cpu) reference: f32,
    pub(in crate::cpu) sum: f64,
    pub(in crate::cpu) deficit: f64,
    pub(in crate::cpu) weight: f64,
}

impl Merged {
    /// Of no classes.
    pub(in crate::cpu) const NONE: Self = Self { reference: f32::MIN, sum: 0.0, deficit: 0.0, weight: 0.0 };

    /// Statistics of two stretches of a row; `factor` is one over the temperature.
    pub(in crate::cpu) fn and(self, other: Self, factor: f64) -> Self {
        let reference = if self.reference > other.reference { self.reference } else { other.reference };
        let rebased = |part: Self| {
            let d = f64::from(reference) - f64::from(part.reference);
            let sum = if part.sum == 0.0 { 0.0 } else { part.sum * (-d * factor).exp() };
            (sum, if part.weight == 0.0 { part.deficit } else { part.deficit + part.weight * d })
        };
        let ((a, a_deficit), (b, b_deficit)) = (rebased(self), rebased(other));
        Self { reference, sum: a + b, deficit: a_deficit + b_deficit, weight: self.weight + other.weight }
    }
}
