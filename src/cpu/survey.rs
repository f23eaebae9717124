//! What targets and weights say before any logit is read: which rows count, and what the sum of losses is divided by.

use super::Job;
use super::simd::{Kernel, Simd};
use super::tensor::in_parallel_with;
use crate::totals::{self, Label, Labels, PairwiseSum};
use crate::{Error, Mean, Result, Targets};

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
                survey.weight_sum = tree_sum(pieces.iter().map(|piece| piece.weight_sum));
            }
        } else if self.definition.mean == Mean::Rows {
            survey.weight_sum = self
                .row_weights
                .map_or(f64::from(layout.rows()), |weights| tree_sum(weights.iter().map(|&w| f64::from(w))));
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

    /// The targets, if all of them are classes.
    pub(super) fn plain_targets(&self) -> Option<&[i32]> {
        let Targets::Classes(targets) = self.targets else { return None };
        self.definition.ignore_index.is_empty().then_some(targets)
    }

    /// The label of a row against a class index.
    #[inline(always)]
    pub(super) fn label(&self, row: usize) -> Label {
        self.labels().label(self.labels().targets[row])
    }

    /// Sum of the class weights.
    pub(super) fn class_weight_sum(&self) -> f64 {
        let classes = f64::from(self.tensor.layout().classes());
        self.class_weights.map_or(classes, |weights| tree_sum(weights.iter().map(|&w| f64::from(w))))
    }

    fn piece(&self, first: usize, targets: &[i32]) -> Piece {
        let labels = self.labels();
        if labels.ignore_index.is_empty()
            && labels.class_weights.is_none()
            && labels.row_weights.is_none()
            && self.instructions.run(AreClasses { targets, classes: labels.classes })
        {
            let weight_sum = targets.len() as f64;
            return Piece { weight_sum, ignored: 0, first_ignored: None, bad: 0, first_bad: None };
        }
        let mut piece = Piece { weight_sum: 0.0, ignored: 0, first_ignored: None, bad: 0, first_bad: None };
        let weight = |weights: Option<&[f32]>, i: usize| weights.map_or(1.0, |weights| f64::from(weights[i]));
        piece.weight_sum = tree_sum(targets.iter().enumerate().map(|(i, &target)| match labels.label(target) {
            Label::Class(class) => weight(labels.row_weights, first + i) * weight(labels.class_weights, class),
            Label::Ignored => {
                piece.ignored += 1;
                piece.first_ignored.get_or_insert(first + i);
                0.0
            }
            Label::Bad => {
                piece.bad += 1;
                piece.first_bad.get_or_insert(first + i);
                0.0
            }
        }));
        piece
    }
}

/// Whether every target is a class.
struct AreClasses<'a> {
    targets: &'a [i32],
    classes: u32,
}

impl Kernel for AreClasses<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        // Negative where one is below 0 or above the last class, without a branch.
        let last = i32::try_from(self.classes).map_or(i32::MAX, |classes| classes - 1);
        let mut signs = 0;
        for &target in self.targets {
            signs |= target | last.wrapping_sub(target);
        }
        signs >= 0
    }
}

/// The sum in the tree of [`PairwiseSum`].
pub(super) fn tree_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let mut sum = PairwiseSum::default();
    terms.for_each(|term| sum.push(term));
    sum.total()
}

impl Survey {
    /// The reduced loss of a sum of losses.
    pub(super) fn reduced(&self, reduction: crate::Reduction, loss_sum: f64) -> f64 {
        // The reductions with a denominator of their own have one that is not 0.
        totals::over(reduction, loss_sum, self.denominator)
    }
}
