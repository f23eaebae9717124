//! A sum whose order of additions depends on nothing but the number of terms.

/// Sum of float64 terms in a fixed binary tree: a binary counter of partial sums of 1, 2, 4, ... consecutive terms.
///
/// After `n` terms there is one partial sum for each bit of `n`, and term `i` always meets the same partners, so the result does
/// not depend, to the bit, on how the terms were cut into chunks. A term takes part in at most `ceil(log2 n) + 1` additions, which
/// bounds the error by that many roundings of the sum of magnitudes (Higham, Accuracy and Stability, section 4.2).
///
/// ```
/// let mut sum = logloss::totals::PairwiseSum::default();
/// for _ in 0..1_000_000 {
///     sum.push(0.1);
/// }
/// assert!((sum.total() - 100_000.0).abs() < 1e-9);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairwiseSum {
    terms: u64,
    /// Element `k` is the sum of 2^k terms where bit `k` of `terms` is set, and stale elsewhere.
    partials: Vec<f64>,
}

impl PairwiseSum {
    /// Adds the next term.
    #[inline]
    pub fn push(&mut self, term: f64) {
        let full = self.terms.trailing_ones() as usize;
        let carry = self.partials[..full].iter().fold(term, |carry, partial| partial + carry);
        match self.partials.get_mut(full) {
            Some(partial) => *partial = carry,
            None => self.partials.push(carry),
        }
        self.terms += 1;
    }

    /// Adds the sum of the next `2^level` terms, which were added up as a binary tree, neighbours first: as that many calls of
    /// [`push`](Self::push), to the bit.
    ///
    /// # Panics
    /// If the number of terms so far is no multiple of that.
    #[inline(always)]
    pub(crate) fn push_tree(&mut self, sum: f64, level: u32) {
        assert!(self.terms.trailing_zeros() >= level, "trees of one size are aligned to it");
        let (level, full) = (level as usize, (self.terms >> level).trailing_ones() as usize);
        if self.partials.len() <= level + full {
            self.partials.resize(level + full + 1, 0.0);
        }
        let carry = self.partials[level..level + full].iter().fold(sum, |carry, partial| partial + carry);
        self.partials[level + full] = carry;
        self.terms += 1 << level;
    }

    /// The sum of the terms so far; 0 of none.
    #[must_use]
    pub fn total(&self) -> f64 {
        let is_set = |level: &usize| self.terms >> level & 1 == 1;
        (0..self.partials.len()).filter(is_set).fold(0.0, |sum, level| self.partials[level] + sum)
    }
}
