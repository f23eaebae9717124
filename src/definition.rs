//! What every engine asks of a loss, whatever its formula.

use crate::batch::Targets;
use crate::domain::Domains;
use crate::{Batch, Error, Layout, Reduction, Result};

/// A loss with its options.
///
/// Sealed: `ARCHITECTURE.md` says how to add a loss.
pub trait Loss: sealed::Sealed + std::fmt::Debug + Send + Sync {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the option, its value and its domain.
    fn validate(&self) -> Result<()>;

    /// What the loss takes, and what it gives.
    fn definition(&self) -> Definition<'_>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// What a loss takes, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Definition<'a> {
    /// Name of the loss, as its file is called.
    pub name: &'static str,
    /// How unreduced losses become one number.
    pub reduction: Reduction,
    /// What the logits are compared with.
    pub targets: TargetKind,
    /// Targets whose rows are left out.
    pub ignore_index: &'a [i32],
    /// What an unreduced loss belongs to.
    pub unit: Unit,
    /// What a mean divides by.
    pub mean: Mean,
    /// Which weights there may be.
    pub weights: Weights,
    /// Which logits and dense targets there may be.
    pub domains: Domains,
}

/// What the logits are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// Class index of each row, or an ignore index: int32, (rows).
    Classes,
    /// One value a logit: float32.
    Dense,
    /// Either of the two.
    Either,
}

/// What an unreduced loss belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A row.
    Row,
    /// A logit.
    Element,
    /// All positions of a class in a sample.
    Region(Regions),
}

/// Which positions make up a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Regions {
    /// A region spans all samples.
    pub samples_together: bool,
    /// A region spans all classes.
    pub classes_together: bool,
    /// Class 0 belongs to none.
    pub without_background: bool,
}

impl Regions {
    /// (samples, classes) of the unreduced losses.
    #[must_use]
    pub const fn shape(self, layout: &Layout) -> (u32, u32) {
        let classes = layout.classes().saturating_sub(self.without_background as u32);
        (if self.samples_together { 1 } else { layout.outer() }, if self.classes_together { 1 } else { classes })
    }
}

impl Unit {
    /// How many unreduced losses a batch has.
    #[must_use]
    pub const fn count(self, layout: &Layout) -> u64 {
        match self {
            Self::Row => layout.rows() as u64,
            Self::Element => layout.elements(),
            Self::Region(regions) => {
                let (samples, classes) = regions.shape(layout);
                samples as u64 * classes as u64
            }
        }
    }
}

/// What [`Reduction::Mean`] divides the sum of the losses by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// Sum of `row_weight * class_weight[target]` over the rows that are not ignored.
    Weights,
    /// Sum of `row_weight` over the rows that are not ignored.
    Rows,
    /// The number of unreduced losses, whatever their weights.
    Units,
}

/// Which weights a loss takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// One a class.
    pub class: bool,
    /// One a class, where it is present.
    pub positive: bool,
    /// One a row.
    pub row: bool,
}

impl<'a> Definition<'a> {
    /// A loss of rows against class indices.
    pub(crate) const fn of_classes(name: &'static str, reduction: Reduction, ignore_index: &'a [i32]) -> Self {
        Self {
            name,
            reduction,
            targets: TargetKind::Classes,
            ignore_index,
            unit: Unit::Row,
            mean: Mean::Weights,
            weights: Weights { class: true, positive: false, row: true },
            domains: Domains::ANY,
        }
    }

    /// A loss of rows against one value a logit.
    pub(crate) const fn of_rows(name: &'static str, reduction: Reduction) -> Self {
        Self { targets: TargetKind::Dense, mean: Mean::Units, ..Self::of_classes(name, reduction, &[]) }
    }

    /// A loss of every logit against one value.
    pub(crate) const fn of_elements(name: &'static str, reduction: Reduction) -> Self {
        Self { unit: Unit::Element, ..Self::of_rows(name, reduction) }
    }

    /// A loss of regions.
    pub(crate) const fn of_regions(
        name: &'static str,
        reduction: Reduction,
        regions: Regions,
        ignore_index: &'a [i32],
    ) -> Self {
        Self {
            targets: TargetKind::Either,
            unit: Unit::Region(regions),
            mean: Mean::Units,
            weights: Weights { class: true, positive: false, row: false },
            ..Self::of_classes(name, reduction, ignore_index)
        }
    }

    /// All but the ignore index.
    pub(crate) fn without_ignore_index(self) -> Definition<'static> {
        let Self { name, reduction, targets, ignore_index: _, unit, mean, weights, domains } = self;
        Definition { name, reduction, targets, ignore_index: &[], unit, mean, weights, domains }
    }

    /// Whether the rows have [`Details`](crate::Details).
    #[must_use]
    pub fn has_details(&self) -> bool {
        self.targets == TargetKind::Classes && self.unit == Unit::Row
    }

    /// What the sum of the losses is divided by, unless the targets must be asked.
    #[must_use]
    pub fn denominator(&self, layout: &Layout) -> Option<f64> {
        match self.reduction {
            Reduction::None | Reduction::Sum => Some(1.0),
            Reduction::BatchMean => Some(layout.outer().into()),
            Reduction::MeanOver(denominator) => Some(denominator.into()),
            Reduction::Mean | Reduction::MeanOrZero => {
                (self.mean == Mean::Units).then(|| self.unit.count(layout) as f64)
            }
        }
    }

    /// Checks that the loss takes what a batch has, and that every length fits.
    ///
    /// # Errors
    /// [`Error::WrongTargets`], [`Error::UnusedWeights`] and [`Error::LengthMismatch`].
    pub fn check_batch(&self, batch: &Batch<'_>) -> Result<()> {
        let kind = match batch.targets {
            Targets::Classes(_) => TargetKind::Classes,
            Targets::Dense(_) => TargetKind::Dense,
        };
        self.check_targets(kind)?;
        self.check_weights(batch.class_weights.is_some(), batch.pos_weights.is_some(), batch.row_weights.is_some())?;
        batch.check_lengths()
    }

    pub(crate) fn check_targets(&self, given: TargetKind) -> Result<()> {
        if self.targets == given || self.targets == TargetKind::Either {
            return Ok(());
        }
        let words = |kind| match kind {
            TargetKind::Classes => "class indices, one a row",
            TargetKind::Dense => "targets that are one value a logit",
            TargetKind::Either => "targets of either kind",
        };
        Err(Error::WrongTargets { loss: self.name, takes: words(self.targets), got: words(given) })
    }

    pub(crate) fn check_weights(&self, class: bool, positive: bool, row: bool) -> Result<()> {
        let weights = [
            ("class_weights", class, self.weights.class),
            ("pos_weights", positive, self.weights.positive),
            ("row_weights", row, self.weights.row),
        ];
        match weights.into_iter().find(|&(_, given, taken)| given && !taken) {
            Some((name, ..)) => Err(Error::UnusedWeights { loss: self.name, name }),
            None => Ok(()),
        }
    }
}
