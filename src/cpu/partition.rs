//! The statistics of a softmax, one a lane: what every pass over a row's logits accumulates.
//!
//! A lane keeps the pair (reference, sum of exponentials relative to it) of the logits it has seen. Pairs merge by rebasing to
//! the larger reference, so a lane may hold a strip of a row, as long rows have it, or a row of its own, as many short rows do:
//! the code is the same, and lanes are merged at the end or not at all.

use super::simd::math::Exp;
use super::simd::{ExtractToken, Select, Simd, SimdBase, splat};

/// Vectors of a block: a block's largest logits are found first, and its exponentials then added while it is in the first cache.
///
/// Four accumulators take a quarter of the terms each, and blocks are added with compensation, so that a lane's sum carries at
/// most `STEPS/4 + 3` roundings whatever the length of the row: 19 u = 1.1e-6, and a tenth of it as a rule.
pub(super) const STEPS: usize = 64;

/// Statistics of the logits that a lane has seen.
#[derive(Clone, Copy)]
pub(super) struct Partition<S: Simd> {
    /// The largest logit, or the lowest finite number, which keeps -inf from giving NaN.
    pub(super) reference: S::f32s,
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
    #[inline(always)]
    fn add(&mut self, term: S::f32s) {
        // Knuth's TwoSum: `high + error` is exactly the old sum and the term.
        let high = self.high + term;
        let shadow = high - self.high;
        let error = (self.high - (high - shadow)) + (term - shadow);
        self.high = high;
        self.low += error;
    }

    #[inline(always)]
    fn total(self) -> S::f32s {
        // The error of an infinite sum is NaN.
        let total = self.high + self.low;
        total.simd_eq(total).select(total, self.high)
    }
}

impl<S: Simd> Partition<S> {
    #[inline(always)]
    pub(super) fn new(simd: S) -> Self {
        let zero = splat(simd, 0.0);
        let nothing = Compensated { high: zero, low: zero };
        Self { reference: splat(simd, f32::MIN), sum: nothing, deficit: nothing, weight: zero }
    }

    /// Adds at most [`STEPS`] logits a lane.
    ///
    /// With `EXTRA` a logit is `load(i) + low(i)` and has a weight. With `STORE` the exponentials are stored, relative to the
    /// reference after the block. `touch(i)` runs beside the second pass over the block. The vectors `special`, in ascending
    /// order, come from `patched(i)` instead, so that the loops over all others have no branch.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "three of them are what a logit comes with")]
    pub(super) fn block<const EXTRA: bool, const STORE: bool>(
        &mut self,
        simd: S,
        exp: Exp<S>,
        steps: usize,
        special: [usize; 2],
        patched: impl Fn(usize) -> S::f32s,
        load: impl Fn(usize) -> S::f32s,
        touch: impl Fn(usize),
        low: impl Fn(usize) -> S::f32s,
        weight: impl Fn(usize) -> S::f32s,
        stored: &mut [f32],
    ) {
        let zero = splat(simd, 0.0);
        let mut largest = [self.reference; 4];
        for_stretches(
            steps,
            special,
            #[inline(always)]
            |from, to, is_special| {
                if is_special {
                    largest[0] = largest[0].max(patched(from));
                    return;
                }
                let quads = from + (to - from) / 4 * 4;
                for i in (from..quads).step_by(4) {
                    for (k, largest) in largest.iter_mut().enumerate() {
                        *largest = largest.max(load(i + k));
                    }
                }
                for i in quads..to {
                    largest[0] = largest[0].max(load(i));
                }
            },
        );
        self.rebase(exp, largest[0].max(largest[1]).max(largest[2].max(largest[3])), EXTRA);

        let reference = self.reference;
        let mut sums = [zero; 4];
        let mut deficits = [zero; 4];
        macro_rules! step {
            ($load:ident, $i:expr, $k:expr) => {
                touch($i);
                let x = $load($i);
                let d = if EXTRA { (x - reference) + low($i) } else { x - reference };
                let e = exp.of(d);
                sums[$k] += e;
                if STORE {
                    e.store_slice(&mut stored[$i * S::f32s::LEN..($i + 1) * S::f32s::LEN]);
                }
                if EXTRA {
                    let w = weight($i);
                    deficits[$k] += w.simd_eq(zero).select(zero, w * (reference - x));
                    self.weight += w;
                }
            };
        }
        for_stretches(
            steps,
            special,
            #[inline(always)]
            |from, to, is_special| {
                if is_special {
                    step!(patched, from, 0);
                    return;
                }
                let quads = from + (to - from) / 4 * 4;
                for i in (from..quads).step_by(4) {
                    step!(load, i, 0);
                    step!(load, i + 1, 1);
                    step!(load, i + 2, 2);
                    step!(load, i + 3, 3);
                }
                for i in quads..to {
                    step!(load, i, i % 4);
                }
            },
        );
        self.sum.add((sums[0] + sums[1]) + (sums[2] + sums[3]));
        if EXTRA {
            self.deficit.add((deficits[0] + deficits[1]) + (deficits[2] + deficits[3]));
        }
    }

    #[inline(always)]
    fn rebase(&mut self, exp: Exp<S>, reference: S::f32s, deficit: bool) {
        let factor = exp.of(self.reference - reference);
        self.sum = Compensated { high: self.sum.high * factor, low: self.sum.low * factor };
        if deficit {
            // No weight, no distance: the first reference is the lowest number.
            let zero = splat(self.weight.token(), 0.0);
            let distance = self.weight.simd_eq(zero).select(zero, reference - self.reference);
            self.deficit.add(self.weight * distance);
        }
        self.reference = reference;
    }

    /// Reference, sum of exponentials, and weighted deficit of each lane.
    #[inline(always)]
    pub(super) fn lanes(self) -> [S::f32s; 3] {
        [self.reference, self.sum.total(), self.deficit.total()]
    }

    /// The same of all lanes together, and the sum of the weights.
    #[inline(always)]
    pub(super) fn merged(mut self, simd: S, exp: Exp<S>, deficit: bool) -> Merged {
        let reference = self.reference.reduce_max();
        self.rebase(exp, splat(simd, reference), deficit);
        Merged {
            reference,
            sum: f64::from(self.sum.total().reduce_sum()),
            deficit: f64::from(self.deficit.total().reduce_sum()),
            weight: f64::from(self.weight.reduce_sum()),
        }
    }
}

/// Cuts `0..steps` at the special indices: calls `visit(from, to, is_special)` for each stretch in order.
#[inline(always)]
fn for_stretches(steps: usize, special: [usize; 2], mut visit: impl FnMut(usize, usize, bool)) {
    let mut from = 0;
    for special in special {
        if special < steps && special >= from {
            visit(from, special, false);
            visit(special, special + 1, true);
            from = special + 1;
        }
    }
    visit(from, steps, false);
}

/// Statistics of a row, or of a segment of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub(super) reference: f32,
    pub(super) sum: f64,
    pub(super) deficit: f64,
    pub(super) weight: f64,
}

impl Merged {
    /// Statistics of two stretches of a row; `factor` is one over the temperature.
    pub(super) fn and(self, other: Self, factor: f64) -> Self {
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
