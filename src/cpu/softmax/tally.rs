//! Sums of exponentials, a row a lane: telling a row's target from its other classes is one comparison.

use super::finish::Statistics;
use crate::cpu::simd::{BLOCK, Block, Select, Simd, SimdBase, splat, total};

/// What the classes of a tile so far come to, relative to 0.
///
/// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings.
pub(super) struct Tally<S: Simd> {
    simd: S,
    targets: S::u32s,
    class: S::u32s,
    target_exp: S::f32s,
    /// Of the other classes.
    sums: Block<S>,
}

impl<S: Simd> Tally<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, targets: S::u32s) -> Self {
        let (zero, one) = (splat(simd, 0.0), splat(simd, 1.0));
        // Where nothing is left out, whatever is near.
        Self { simd, targets, class: S::u32s::splat(simd, 0), target_exp: one, sums: [zero; BLOCK] }
    }

    /// Adds the exponentials of the next classes. Those of targets become 0.
    #[inline(always)]
    pub(super) fn add<const N: usize>(&mut self, exps: &mut [S::f32s; N]) {
        const { assert!(N <= BLOCK) };
        for (sum, exp) in self.sums.iter_mut().zip(exps) {
            let is_other = self.targets.simd_ne(self.class);
            self.target_exp = is_other.select(self.target_exp, *exp);
            *exp = is_other.select(*exp, splat(self.simd, 0.0));
            *sum += *exp;
            self.class += S::u32s::splat(self.simd, 1);
        }
    }

    /// Sums and targets' exponentials.
    #[inline(always)]
    pub(super) fn statistics(&self) -> Statistics<S> {
        let Self { simd, target_exp, .. } = *self;
        Statistics { sum: total::<S>(&self.sums), target_exp, ..Statistics::none(simd) }
    }
}
