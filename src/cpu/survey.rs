//! What targets and weights say before any logit is read: which rows count, and what the sum of losses is divided by.

use super::Job;
use super::simd::{Kernel, Simd};
use super::tensor::in_parallel_with;
use crate::totals::{self, Label, Labels, PairwiseSum};
use crate::{Error, Mean, Result, Targets};

/// What stands for the class of a row that does not count.
pub(super) const NO_CLASS: u32 = u32::MAX;

/// Rows of a piece of the survey: a power of two, so that pieces are subtrees of the sum over all rows.
const PIECE: usize = 4096;

/// What a batch is divided by, and which rows are left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    /// What [`Reduction::Mean`](crate::Reduction::Mean) divides by.
    pub(super) weight_sum: f64,
    /// What this reduction divides by.
    pub(super) denominator: f64,
    /// One over that, or 0.
    pub(super) gradient_scale: f64,
    pub(super) ignored: u32,
    pub(super) first_ignored: Option<u32>,
}

/// A piece of the survey.
struct Piece {
    weight_sum: f64,
    ignored: u32,
    first_ignored: Option<usize>,
    bad: u64,
    first_bad: Option<usize>,
}

impl Job<'_> {
    /// Checks the targets and adds up the weights.
    ///
    /// # Errors
    /// [`Error::BadTarget`].
    pub(super) fn survey(&self) -> Result<Survey> {
        let layout = self.tensor.layout();
        let units = self.definition.unit.count(layout) as f64;
        let mut survey =
            Survey { weight_sum: units, denominator: 1.0, gradient_scale: 0.0, ignored: 0, first_ignored: None };
        if let Targets::Classes(targets) = self.targets {
            let chunks = targets.chunks(PIECE).collect();
            let pieces = in_parallel_with(chunks, || (), |i, chunk, ()| self.piece(i * PIECE, chunk));
            let bad: u64 = pieces.iter().map(|piece| piece.bad).sum();
            if let Some(first) = pieces.iter().find_map(|piece| piece.first_bad) {
                let classes = layout.classes().into();
                return Err(Error::BadTarget { row: first as u64, value: targets[first].into(), classes, count: bad });
            }
            survey.ignored = pieces.iter().map(|piece| piece.ignored).sum();
            survey.first_ignored = pieces.iter().find_map(|piece| piece.first_ignored).map(|row| row as u32);
            if self.definition.mean != Mean::Units {
                survey.weight_sum = tree_sum(pieces.len(), |i| pieces[i].weight_sum);
            }
        } else if self.definition.mean == Mean::Rows {
            survey.weight_sum = self
                .row_weights
                .map_or(f64::from(layout.rows()), |weights| tree_sum(weights.len(), |i| weights[i].into()));
        }
        let fixed = self.definition.denominator(layout);
        survey.denominator = fixed.unwrap_or(survey.weight_sum);
        survey.gradient_scale = if survey.denominator == 0.0 { 0.0 } else { 1.0 / survey.denominator };
        Ok(survey)
    }

    /// The labels of the batch.
    pub(super) fn labels(&self) -> Labels<'_> {
        let targets = if let Targets::Classes(targets) = self.targets { targets } else { &[] };
        let definition = &self.definition;
        let class_weights = self.class_weights.filter(|_| definition.mean == Mean::Weights);
        let labels = Labels::new(targets, self.tensor.layout().classes(), definition.ignore_index);
        Labels { class_weights, row_weights: self.row_weights, ..labels }
    }

    /// The targets, if every row counts with a weight of 1.
    pub(super) fn plain_targets(&self, survey: &Survey) -> Option<&[i32]> {
        let Targets::Classes(targets) = self.targets else { return None };
        let has_weights = self.class_weights.is_some() || self.row_weights.is_some();
        (survey.ignored == 0 && !has_weights).then_some(targets)
    }

    /// The label of a row against a class index.
    #[inline(always)]
    pub(super) fn label(&self, row: usize) -> Label {
        self.labels().label(self.labels().targets[row])
    }

    /// The classes of rows from `first` on, [`NO_CLASS`] where a row does not count, and their weights, which are of no matter there.
    /// Weights that a batch does not have are left as they are.
    #[inline(always)]
    pub(super) fn read_labels(
        &self,
        first: usize,
        classes: &mut [u32],
        class_weights: &mut [f32],
        row_weights: &mut [f32],
    ) {
        let (labels, n) = (self.labels(), classes.len());
        let targets = &labels.targets[first..first + n];
        // The survey has found all that are not ignored to be classes.
        for (class, &target) in classes.iter_mut().zip(targets) {
            *class = target as u32;
        }
        for index in labels.ignore_index {
            for (class, target) in classes.iter_mut().zip(targets) {
                *class = if target == index { NO_CLASS } else { *class };
            }
        }
        if let Some(weights) = self.class_weights {
            for (weight, &class) in class_weights.iter_mut().zip(&*classes) {
                *weight = weights.get(class as usize).copied().unwrap_or(1.0);
            }
        }
        if let Some(weights) = self.row_weights {
            row_weights[..n].copy_from_slice(&weights[first..first + n]);
        }
    }

    /// Sum of the class weights.
    pub(super) fn class_weight_sum(&self) -> f64 {
        let classes = f64::from(self.tensor.layout().classes());
        self.class_weights.map_or(classes, |weights| tree_sum(weights.len(), |i| weights[i].into()))
    }

    fn piece(&self, first: usize, targets: &[i32]) -> Piece {
        let labels = self.labels();
        let is_ignored = |target: &i32| labels.ignore_index.contains(target);
        let Labels { classes, ignore_index, .. } = labels;
        let Some(ignored) = self.instructions.run(Ignored { targets, classes, ignore_index }) else {
            // Nothing else is asked of a batch that has such.
            let mut bad = targets.iter().enumerate().filter(|(_, target)| labels.label(**target) == Label::Bad);
            let first_bad = bad.next().map(|(i, _)| first + i);
            let bad = u64::from(first_bad.is_some()) + bad.count() as u64;
            return Piece { weight_sum: 0.0, ignored: 0, first_ignored: None, bad, first_bad };
        };
        let row_weights = labels.row_weights.map(|weights| &weights[first..first + targets.len()]);
        let n = targets.len();
        let weight_sum = match (labels.class_weights, row_weights) {
            // Ones add up without a rounding, in whatever order.
            (None, None) => n as f64 - f64::from(ignored),
            (Some(weights), None) if ignored == 0 => tree_sum(n, |i| weights[targets[i] as usize].into()),
            (classes, rows) => tree_sum(n, |i| {
                let class_weight = || classes.map_or(1.0, |weights| f64::from(weights[targets[i] as usize]));
                let row_weight = rows.map_or(1.0, |weights| f64::from(weights[i]));
                if is_ignored(&targets[i]) { 0.0 } else { row_weight * class_weight() }
            }),
        };
        let first_ignored = if ignored == 0 { None } else { targets.iter().position(is_ignored) };
        Piece { weight_sum, ignored, first_ignored: first_ignored.map(|i| first + i), bad: 0, first_bad: None }
    }
}

/// How many targets are to be ignored, if all others are classes.
struct Ignored<'a> {
    targets: &'a [i32],
    classes: u32,
    ignore_index: &'a [i32],
}

impl Kernel for Ignored<'_> {
    type Output = Option<u32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<u32> {
        match *self.ignore_index {
            [] => self.count(|_| false),
            [index] => self.count(|target| target == index),
            _ => self.count(|target| self.ignore_index.contains(&target)),
        }
    }
}

impl Ignored<'_> {
    #[inline(always)]
    fn count(&self, is_ignored: impl Fn(i32) -> bool) -> Option<u32> {
        let last = i32::try_from(self.classes).map_or(i32::MAX, |classes| classes - 1);
        let (mut signs, mut ignored) = (0, 0);
        for &target in self.targets {
            let is_ignored = is_ignored(target);
            // Negative where one is below 0 or above the last class, without a branch.
            signs |= if is_ignored { 0 } else { target | last.wrapping_sub(target) };
            ignored += u32::from(is_ignored);
        }
        (signs >= 0).then_some(ignored)
    }
}

/// The sum of `n` terms in the tree of [`PairwiseSum`].
pub(super) fn tree_sum(n: usize, mut term: impl FnMut(usize) -> f64) -> f64 {
    const LEVELS: u32 = 6;
    let mut sum = PairwiseSum::default();
    let (length, whole) = (1 << LEVELS, n >> LEVELS << LEVELS);
    for first in (0..whole).step_by(length) {
        // A subtree, whose sums do not wait for each other.
        let mut subtree = [0.0; 1 << LEVELS];
        for (i, to) in subtree.iter_mut().enumerate() {
            *to = term(first + i);
        }
        sum.push_tree(subtree_sum(&mut subtree), LEVELS);
    }
    (whole..n).for_each(|i| sum.push(term(i)));
    sum.total()
}

/// The sum of a power of two of terms in the same tree. They are lost.
#[inline(always)]
pub(super) fn subtree_sum(terms: &mut [f64]) -> f64 {
    let mut n = terms.len();
    while n > 1 {
        n /= 2;
        for i in 0..n {
            terms[i] = terms[2 * i] + terms[2 * i + 1];
        }
    }
    terms[0]
}

impl Survey {
    /// The reduced loss of a sum of losses.
    pub(super) fn reduced(&self, reduction: crate::Reduction, loss_sum: f64) -> f64 {
        // The reductions with a denominator of their own have one that is not 0.
        totals::over(reduction, loss_sum, self.denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::tree_sum;
    use crate::totals::PairwiseSum;

    #[test]
    fn subtrees_are_added_as_terms_are_one_by_one() {
        let term = |i: usize| (1.0 + i as f64).recip();
        let mut sum = PairwiseSum::default();
        for n in 0..300 {
            assert_eq!(tree_sum(n, term).to_bits(), sum.total().to_bits(), "{n} terms");
            sum.push(term(n));
        }
    }
}
