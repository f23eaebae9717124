//! The loss that the user chooses: its name, its options, and the library's loss that they make.

mod applicable;
mod build;
mod name;
mod options;

use logloss::{AnyLoss, Mean, Reduction, Regions, TargetKind, Unit};

use crate::failure::{Failure, Outcome};
pub use applicable::options_by_loss;
pub use name::{LossName, ReductionName};
pub use options::LossOptions;

/// A loss with its options, all but the reduction: a batch in chunks is reduced otherwise than a batch in one piece.
#[derive(Debug)]
pub struct Loss {
    /// Its name.
    pub name: LossName,
    options: LossOptions,
    ignore_index: Vec<i32>,
    /// What it is compared with.
    pub targets: TargetKind,
    /// What an unreduced loss belongs to.
    pub unit: Unit,
    /// What a mean divides by.
    pub mean: Mean,
}

impl Loss {
    /// The loss of this name.
    ///
    /// # Errors
    /// An option is given that the loss does not have, or lies outside its domain.
    pub fn new(name: LossName, options: &LossOptions) -> Outcome<Self> {
        applicable::check(name, options)?;
        let ignore_index = options.ignore_index();
        let loss = build::build(name, options, &ignore_index, Reduction::Sum)?;
        loss.validate()?;
        let (targets, unit, mean) = {
            let definition = loss.definition();
            (definition.targets, definition.unit, definition.mean)
        };
        Ok(Self { name, options: options.clone(), ignore_index, targets, unit, mean })
    }

    /// The library's loss with this reduction.
    pub fn reduced(&self, reduction: Reduction) -> Outcome<Box<dyn AnyLoss>> {
        build::build(self.name, &self.options, &self.ignore_index, reduction)
    }

    /// Targets of rows that are left out; a loss against one value a logit has no such targets.
    pub fn ignore_index(&self) -> &[i32] {
        &self.ignore_index
    }

    /// The losses' regions, if they are of regions.
    pub const fn regions(&self) -> Option<Regions> {
        match self.unit {
            Unit::Region(regions) => Some(regions),
            Unit::Row | Unit::Element => None,
        }
    }

    /// Whether the loss of a batch is not made of the losses of its parts.
    pub fn is_of_the_whole(&self) -> bool {
        self.name.is_sum_of_two() || self.regions().is_some_and(|regions| regions.samples_together)
    }

    /// Checks that the loss has this reduction.
    ///
    /// # Errors
    /// It has not.
    pub fn check_reduction(&self, reduction: ReductionName) -> Outcome<()> {
        match reduction {
            ReductionName::Batchmean if self.name != LossName::KlDiv => Err(Failure::Usage(format!(
                "--reduction batchmean is for --loss kl-div, not {}; choose mean, sum or none",
                self.name
            ))),
            ReductionName::None if self.name.is_sum_of_two() => Err(Failure::Usage(format!(
                "--reduction none has no meaning for --loss {}, which adds two losses of different shapes; choose mean or sum",
                self.name
            ))),
            _ => Ok(()),
        }
    }
}
