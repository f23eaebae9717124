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

    /// The most terms that [`push_all`](Self::push_all) takes.
    pub(crate) const MOST: usize = 128;

    /// Adds the first `n` terms, a power of two that divides the number so far: what as many calls of [`push`](Self::push) add, to
    /// the bit. The terms are overwritten.
    ///
    /// # Panics
    /// If `n` is no such power, or above [`MOST`](Self::MOST).
    #[inline(always)]
    pub(crate) fn push_all(&mut self, terms: &mut [f64; Self::MOST], n: usize) {
        assert!(n <= Self::MOST && n.is_power_of_two() && self.terms.is_multiple_of(n as u64));
        let level = n.ilog2() as usize;
        // Of fixed lengths, so that the additions of a level are done at once.
        macro_rules! add_pairs {
            ($($sums:literal)+) => {$(
                if n > $sums {
                    let mut sums = [0.0; $sums];
                    for (sum, pair) in sums.iter_mut().zip(terms.as_chunks::<2>().0) {
                        *sum = pair[0] + pair[1];
                    }
                    terms[..$sums].copy_from_slice(&sums);
                }
            )+};
        }
        const { assert!(Self::MOST == 128) };
        add_pairs!(64 32 16 8 4 2 1);
        let full = (self.terms >> level).trailing_ones() as usize;
        if self.partials.len() <= level + full {
            self.partials.resize(level + full + 1, 0.0);
        }
        let carry = self.partials[level..level + full].iter().fold(terms[0], |carry, partial| partial + carry);
        self.partials[level + full] = carry;
        self.terms += n as u64;
    }

    /// The sum of the terms so far; 0 of none.
    #[must_use]
    pub fn total(&self) -> f64 {
        let is_set = |level: &usize| self.terms >> level & 1 == 1;
        (0..self.partials.len()).filter(is_set).fold(0.0, |sum, level| self.partials[level] + sum)
    }
}
