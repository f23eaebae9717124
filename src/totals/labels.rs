//! What the targets alone say of a batch: which rows count, and the sum of weights that a mean divides by.

use super::PairwiseSum;
use crate::{Batch, Error, Result};

/// The targets of consecutive rows with their weights, borrowed.
///
/// | field | shape | dtype |
/// | --- | --- | --- |
/// | `targets` | (rows) | int32 class indices |
/// | `class_weights` | (classes) | float32 |
/// | `row_weights` | (rows) | float32 |
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    /// Class index of each row, or an ignore index.
    pub targets: &'a [i32],
    /// Number of classes.
    pub classes: u32,
    /// Targets whose rows are left out.
    pub ignore_index: &'a [i32],
    /// Weight of each class; absent means 1.
    pub class_weights: Option<&'a [f32]>,
    /// Weight of each row; absent means 1.
    pub row_weights: Option<&'a [f32]>,
}

/// What one target says of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The row counts, and this is its class.
    Class(usize),
    /// The row is left out.
    Ignored,
    /// The target is neither a class index nor an ignore index.
    Bad,
}

impl<'a> Labels<'a> {
    /// Labels without weights.
    #[must_use]
    pub const fn new(targets: &'a [i32], classes: u32, ignore_index: &'a [i32]) -> Self {
        Self { targets, classes, ignore_index, class_weights: None, row_weights: None }
    }

    /// The labels of a batch.
    #[must_use]
    pub const fn of(batch: &Batch<'a>, ignore_index: &'a [i32]) -> Self {
        Self {
            targets: batch.class_targets(),
            classes: batch.layout.classes(),
            ignore_index,
            class_weights: batch.class_weights,
            row_weights: batch.row_weights,
        }
    }

    /// What `target` says. An ignore index that is also a class index is ignored.
    #[must_use]
    #[inline]
    pub fn label(&self, target: i32) -> Label {
        if self.ignore_index.contains(&target) {
            return Label::Ignored;
        }
        match u32::try_from(target) {
            Ok(class) if class < self.classes => Label::Class(class as usize),
            _ => Label::Bad,
        }
    }

    /// The label of each row, in row order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Label> + '_ {
        self.targets.iter().map(|&target| self.label(target))
    }

    fn check(&self, first_row: u64) -> Result<()> {
        let lengths = [
            ("class_weights", self.class_weights, u64::from(self.classes)),
            ("row_weights", self.row_weights, self.targets.len() as u64),
        ];
        for (name, weights, expected) in lengths {
            if let Some(got) = weights.map(|w| w.len() as u64).filter(|&got| got != expected) {
                return Err(Error::LengthMismatch { name, expected, got });
            }
        }
        let Some(first) = self.iter().position(|label| label == Label::Bad) else { return Ok(()) };
        Err(Error::BadTarget {
            row: first_row + first as u64,
            value: self.targets[first].into(),
            classes: self.classes.into(),
            count: self.iter().filter(|&label| label == Label::Bad).count() as u64,
        })
    }
}

/// What the labels of a stream of chunks come to. Like every total, it does not depend, to the bit, on the cuts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    weights: PairwiseSum,
    rows: u64,
    ignored: u64,
    first_ignored: Option<u64>,
}

impl Survey {
    /// Adds the next rows. A chunk with an error adds nothing.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] of the weights. [`Error::BadTarget`] counts the bad rows of this chunk, and numbers the first of
    /// them from the start of the stream.
    pub fn push(&mut self, labels: &Labels<'_>) -> Result<()> {
        labels.check(self.rows)?;
        for (r, label) in labels.iter().enumerate() {
            let weight = match label {
                Label::Class(class) => weight(labels.row_weights, r) * weight(labels.class_weights, class),
                Label::Ignored | Label::Bad => {
                    self.ignored += 1;
                    self.first_ignored.get_or_insert(self.rows);
                    0.0
                }
            };
            self.weights.push(weight);
            self.rows += 1;
        }
        Ok(())
    }

    /// Sum of `row_weight * class_weight[target]` over the rows that count: what [`Reduction::Mean`](crate::Reduction::Mean)
    /// divides by.
    #[must_use]
    pub fn weight_sum(&self) -> f64 {
        self.weights.total()
    }

    /// Rows so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that are not ignored.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.rows - self.ignored
    }

    /// Ignored rows.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// The first ignored row.
    #[must_use]
    pub const fn first_ignored(&self) -> Option<u64> {
        self.first_ignored
    }
}

/// Sum of `row_weight * class_weight[target]` over the rows that count; [`Survey`] does the same for a stream.
///
/// ```
/// use logloss::totals::{Labels, weight_sum};
///
/// let labels = Labels { class_weights: Some(&[0.5, 2.0]), ..Labels::new(&[0, 1, -100, 1], 2, &[-100]) };
/// assert_eq!(weight_sum(&labels)?, 4.5);
/// # Ok::<(), logloss::Error>(())
/// ```
///
/// # Errors
/// As [`Survey::push`].
pub fn weight_sum(labels: &Labels<'_>) -> Result<f64> {
    let mut survey = Survey::default();
    survey.push(labels)?;
    Ok(survey.weight_sum())
}

/// Weight `i`, which float64 holds exactly, as it does the product of two; 1 where there are no weights.
fn weight(weights: Option<&[f32]>, i: usize) -> f64 {
    weights.map_or(1.0, |weights| f64::from(weights[i]))
}
