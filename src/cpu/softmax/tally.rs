//! Sums of exponentials, a row a lane: telling a row's target from its other classes is one comparison.

use super::finish::Statistics;
use crate::cpu::simd::{BLOCK, Block, Select, Simd, SimdBase, has_avx512, splat, total};

/// What the classes of a tile so far come to, relative to 0.
///
/// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings.
pub(super) struct Tally<S: Simd> {
    simd: S,
    /// Counted from the class that is next.
    targets: S::u32s,
    target_exp: S::f32s,
    /// Of the other classes.
    sums: Block<S>,
}

impl<S: Simd> Tally<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, targets: S::u32s) -> Self {
        let (zero, one) = (splat(simd, 0.0), splat(simd, 1.0));
        // Where nothing is left out, whatever is near.
        Self { simd, targets, target_exp: one, sums: [zero; BLOCK] }
    }

    /// Where it is at class `c`, of what the classes before have come to.
    #[inline(always)]
    pub(super) fn at(simd: S, targets: S::u32s, c: usize, Statistics { sum, target_exp, .. }: &Statistics<S>) -> Self {
        let zero = splat(simd, 0.0);
        let targets = targets - S::u32s::splat(simd, c as u32);
        Self { simd, targets, target_exp: *target_exp, sums: [*sum, zero, zero, zero] }
    }

    /// Adds the exponentials of the next classes. Those of targets become 0.
    #[inline(always)]
    pub(super) fn add<const N: usize>(&mut self, exps: &mut [S::f32s; N]) {
        const { assert!(N <= BLOCK) };
        // What an addition leaves out where it has a mask; elsewhere 0 takes less.
        let nothing = splat(self.simd, if has_avx512::<S>() { -0.0 } else { 0.0 });
        for (i, (sum, exp)) in self.sums.iter_mut().zip(exps).enumerate() {
            let is_other = self.targets.simd_ne(S::u32s::splat(self.simd, i as u32));
            self.target_exp = is_other.select(self.target_exp, *exp);
            *exp = is_other.select(*exp, nothing);
            *sum += *exp;
        }
        self.targets -= S::u32s::splat(self.simd, N as u32);
    }

    /// Sums and targets' exponentials.
    #[inline(always)]
    pub(super) fn statistics(&self) -> Statistics<S> {
        let Self { simd, target_exp, .. } = *self;
        Statistics { sum: total::<S>(&self.sums), target_exp, ..Statistics::none(simd) }
    }
}
