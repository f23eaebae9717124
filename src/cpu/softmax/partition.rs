//! The statistics of a softmax: the pair (reference, sum of exponentials relative to it), accumulated block by block.
//!
//! Pairs merge by rebasing to the larger reference: lanes at the end of a segment, segments at the end of a row.

use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::{BLOCK, Block, Mask, Select, Simd, SimdBase, SimdMask, splat, total};

/// Statistics of the logits seen so far, one strip of them a lane.
///
/// A logit enters relative to a reference, which is 0 for a row whose logits begin near it ([`reference_near`]): then the
/// exponential is that of the logit itself, and nothing is subtracted with a rounding. Otherwise it is the largest logit so far.
/// It is renewed when the exponentials of a block say that it must be: when they come near the largest number, or, with a
/// reference other than 0, when a logit is well above it and the rounding of the difference would count. Of a usual row no
/// block does, and the maximum is not computed. A block is summed as a tree, [`RECENT`] of them are added up, and those sums are
/// added with compensation: a lane's sum carries at most 12 roundings, whatever the length of the row.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Partition<S: Simd> {
    /// Of the exponentials; at first perhaps the lowest finite number, which keeps -inf from giving NaN.
    pub(in crate::cpu) reference: f32,
    references: S::f32s,
    /// What the exponentials of a block may sum up to without a renewal.
    limit: S::f32s,
    /// `sum exp((x - reference) / T)`, without the last few blocks; NaN if a logit is NaN or +inf.
    sum: Compensated<S>,
    /// That of the last few blocks, and how many blocks there are in all.
    recent: S::f32s,
    blocks: usize,
    /// `sum w * (reference - x)`, where a weight of 0 also removes an infinite term.
    deficit: Compensated<S>,
    /// `sum w`.
    weight: S::f32s,
}

/// Blocks that are added up without compensation, which takes four operations for the sum of one.
pub(in crate::cpu) const RECENT: usize = 8;

/// The largest sum of a block's exponentials relative to 0: the sum over a row stays finite in float32 then, and a gradient's
/// coefficient, which is divided by it, a normal number.
const LARGEST_TOTAL: f32 = (1_u64 << 60) as f32;

/// Octaves from 0 within which the first logits of a row make 0 its reference. What is less than 2^-126 of 0 is lost, which is
/// 2^-94 of the row's sum then.
const NEAR: f32 = 32.0;

/// What a sum relative to 0 lies between.
pub(in crate::cpu) const NEAR_SUMS: [f32; 2] = [1.0 / (1_u64 << 32) as f32, LARGEST_TOTAL];

/// Which sums relative to 0 are neither too small nor too large. NaN is.
#[inline(always)]
pub(in crate::cpu) fn near_sums<S: Simd>(simd: S, sums: S::f32s) -> Mask<S> {
    let [least, most] = NEAR_SUMS.map(|sum| splat(simd, sum));
    sums.simd_ge(least) & sums.simd_le(most)
}

/// 0, if the largest of a row's first logits is near it; `factor` is one over the temperature.
#[inline(always)]
pub(in crate::cpu) fn reference_near<S: Simd>(simd: S, first: &Block<S>, factor: f32) -> Option<f32> {
    let (largest, near) = (largest::<S>(first), NEAR * std::f32::consts::LN_2 / factor);
    let is_near = largest.simd_gt(splat(simd, -near)).any_true() && largest.simd_lt(splat(simd, near)).all_true();
    is_near.then_some(0.0)
}

/// A sum and what its additions have rounded off.
#[derive(Clone, Copy)]
pub(super) struct Compensated<S: Simd> {
    high: S::f32s,
    low: S::f32s,
}

impl<S: Simd> Compensated<S> {
    #[inline(always)]
    pub(super) fn zero(simd: S) -> Self {
        Self { high: splat(simd, 0.0), low: splat(simd, 0.0) }
    }

    /// Adds a term of any sign.
    #[inline(always)]
    pub(super) fn add(&mut self, term: S::f32s) {
        // Knuth's TwoSum: `high + error` is exactly the old sum and the term.
        let high = self.high + term;
        let shadow = high - self.high;
        let error = (self.high - (high - shadow)) + (term - shadow);
        self.high = high;
        self.low += error;
    }

    /// Adds a term to a sum of which none is negative.
    #[inline(always)]
    pub(super) fn add_positive(&mut self, term: S::f32s) {
        // Dekker's FastTwoSum, which is exact where the sum is not below the term. A term above it at least doubles the sum, so
        // that all such additions together miss two roundings of it at most.
        let high = self.high + term;
        self.low += term - (high - self.high);
        self.high = high;
    }

    #[inline(always)]
    pub(super) fn total(self) -> S::f32s {
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
        let nothing = Compensated::zero(simd);
        let limit = splat(simd, if reference == 0.0 { LARGEST_TOTAL } else { BLOCK as f32 });
        let references = splat(simd, reference);
        Self { reference, references, limit, sum: nothing, recent: zero, blocks: 0, deficit: nothing, weight: zero }
    }

    /// Adds a block of logits, and gives their exponentials relative to the reference, which is 0 if it is `NEAR`, if they are `KEPT`.
    #[inline(always)]
    pub(in crate::cpu) fn add<const NEAR: bool, const KEPT: bool>(
        &mut self,
        simd: S,
        exp: Exp<S>,
        logits: impl Fn() -> Block<S>,
        between: impl FnMut(usize),
    ) -> Option<Block<S>> {
        let mut e = if NEAR { logits() } else { self.relative(logits()) };
        let mut sum = exp.sum_of_block::<KEPT>(&mut e, between);
        if !sum.simd_le(self.limit).all_true() {
            // Loaded once more, since they would take registers until here.
            let x = logits();
            self.raise(simd, exp, &x, false);
            e = self.relative(x);
            sum = exp.sum_of_block::<KEPT>(&mut e, |_| {});
        }
        self.push(simd, sum);
        KEPT.then_some(e)
    }

    /// Adds the sums of `n` blocks' exponentials relative to 0, which is the reference, and gives whether it has: if they come to too
    /// much together nothing is added, and the blocks have to be asked one by one. An answer a block would take a fifth of the time.
    ///
    /// Behind a multiple of [`RECENT`] blocks, and up to as many.
    #[inline(always)]
    pub(in crate::cpu) fn add_near(&mut self, simd: S, n: usize, mut sum: impl FnMut(usize) -> S::f32s) -> bool {
        assert!(self.is_near() && self.blocks.is_multiple_of(RECENT) && n <= RECENT);
        let mut recent = splat(simd, 0.0);
        for i in 0..n {
            recent += sum(i);
        }
        let is_added = recent.simd_le(self.limit).all_true();
        if is_added {
            self.blocks += n;
            if n == RECENT {
                self.sum.add_positive(recent);
            } else {
                self.recent = recent;
            }
        }
        is_added
    }

    /// Adds the sum of a block's exponentials.
    #[inline(always)]
    fn push(&mut self, simd: S, sum: S::f32s) {
        self.recent += sum;
        self.blocks += 1;
        if self.blocks.is_multiple_of(RECENT) {
            self.sum.add_positive(self.recent);
            self.recent = splat(simd, 0.0);
        }
    }

    /// Whether the reference is 0.
    #[inline(always)]
    pub(in crate::cpu) fn is_near(&self) -> bool {
        self.reference == 0.0
    }

    #[inline(always)]
    fn relative(&self, mut x: Block<S>) -> Block<S> {
        for x in &mut x {
            *x -= self.references;
        }
        x
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
        self.push(simd, total::<S>(&e));
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
        self.recent *= factor;
        if deficit {
            // No weight, no distance: the first reference is the lowest number.
            let zero = splat(simd, 0.0);
            let distance = self.weight.simd_eq(zero).select(zero, references - self.references);
            self.deficit.add(self.weight * distance);
        }
        self.references = references;
        self.limit = splat(simd, BLOCK as f32);
    }

    /// The statistics of all lanes together; those of weights, where the logits had some.
    #[inline(always)]
    pub(in crate::cpu) fn merged<const EXTRA: bool>(mut self) -> Merged {
        self.sum.add(self.recent);
        let sum = |lanes: S::f32s| f64::from(lanes.reduce_sum());
        let (mut deficit, mut weight) = (0.0, 0.0);
        if EXTRA {
            (deficit, weight) = (sum(self.deficit.total()), sum(self.weight));
        }
        Merged { reference: self.reference, sum: sum(self.sum.total()), deficit, weight }
    }
}

/// The larger of all vectors, lane by lane.
#[inline(always)]
pub(in crate::cpu) fn largest<S: Simd>(x: &Block<S>) -> S::f32s {
    let [a, b, c, d] = *x;
    a.max(c).max(b.max(d))
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
