//! The values that a loss of elements takes, and the name of the first that lies outside.

use crate::batch::Targets;
use crate::{Batch, Error, Result};

/// The values that a tensor of one value a logit may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Any number, and NaN.
    Any,
    /// Probabilities.
    UnitInterval,
    /// Labels of two classes.
    Sign,
}

impl Domain {
    /// How an error says it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Any => "any number",
            Self::UnitInterval => "in [0, 1]",
            Self::Sign => "-1 or +1",
        }
    }

    /// Whether a value is in it. NaN is in [`Any`](Self::Any) alone.
    #[must_use]
    #[inline(always)]
    pub fn contains(self, value: f32) -> bool {
        match self {
            Self::Any => true,
            Self::UnitInterval => (0.0..=1.0).contains(&value),
            Self::Sign => value.abs() == 1.0,
        }
    }

    /// The error that names the first value of `tensor` outside, by row and then by class; none if there is none.
    fn violation(self, tensor: &'static str, batch: &Batch<'_>, value: impl Fn(u32, u32) -> f32) -> Option<Error> {
        if self == Self::Any {
            return None;
        }
        let mut first = None;
        let mut count = 0;
        for row in 0..batch.layout.rows() {
            for class in 0..batch.layout.classes() {
                let value = value(row, class);
                if !self.contains(value) {
                    count += 1;
                    first.get_or_insert((row, class, value));
                }
            }
        }
        let (row, class, value) = first?;
        let (row, class) = (row.into(), class.into());
        Some(Error::BadValue { tensor, row, class, value, domain: self.words(), count })
    }
}

/// The values that a loss takes: [`Error::BadValue`] names the first that lies outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domains {
    /// Of the logits.
    pub input: Domain,
    /// Of dense targets.
    pub target: Domain,
}

impl Domains {
    pub(crate) const ANY: Self = Self { input: Domain::Any, target: Domain::Any };

    /// Of a loss that takes any input.
    pub(crate) const fn of_targets(target: Domain) -> Self {
        Self { target, ..Self::ANY }
    }

    /// # Errors
    /// As [`violation`](Self::violation).
    pub(crate) fn check(self, batch: &Batch<'_>) -> Result<()> {
        self.violation(batch).map_or(Ok(()), Err)
    }

    /// [`Error::BadValue`] for the first input outside its domain, or else the first dense target.
    pub(crate) fn violation(self, batch: &Batch<'_>) -> Option<Error> {
        let input = self.input.violation("input", batch, |row, class| batch.logit(row, class));
        input.or_else(|| {
            let Targets::Dense(targets) = batch.targets else { return None };
            let layout = batch.layout.contiguous();
            self.target.violation("target", batch, |row, class| targets[layout.element(row, class) as usize])
        })
    }
}
