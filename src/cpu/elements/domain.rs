//! Values that are not of a loss's domain.

use super::weights::row_and_class;
use crate::domain::{Domain, Domains};
use crate::{Error, Layout, Result};

/// Those of the logits, and of the targets.
#[derive(Debug, Default)]
pub(super) struct Outside {
    input: Found,
    target: Found,
}

#[derive(Debug, Default)]
struct Found {
    count: u64,
    first: Option<Value>,
}

/// Ordered by row, and then by class.
#[derive(Debug, Clone, Copy)]
struct Value {
    row: usize,
    class: usize,
    value: f32,
}

impl Outside {
    /// Looks through a chunk that starts with such an element.
    #[inline(always)]
    pub(super) fn look(&mut self, domains: Domains, [x, t]: [&[f32]; 2], layout: &Layout, first: usize) {
        for (found, domain, values) in [(&mut self.input, domains.input, x), (&mut self.target, domains.target, t)] {
            if !contains_all(domain, values) {
                found.add(domain, values, layout, first);
            }
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.input.merge(other.input);
        self.target.merge(other.target);
        self
    }

    /// # Errors
    /// [`Error::BadValue`] names the first logit outside of all parts, or else the first target.
    pub(super) fn report(parts: impl Iterator<Item = Self>, domains: Domains) -> Result<()> {
        let all = parts.fold(Self::default(), Self::merge);
        all.input.report("input", domains.input)?;
        all.target.report("target", domains.target)
    }
}

impl Found {
    #[cold]
    fn add(&mut self, domain: Domain, values: &[f32], layout: &Layout, first: usize) {
        for (element, &value) in (first..).zip(values).filter(|&(_, &value)| !domain.contains(value)) {
            let (row, class) = row_and_class(layout, element);
            self.merge(Self { count: 1, first: Some(Value { row, class, value }) });
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min_by_key(|first| (first.row, first.class));
    }

    fn report(&self, tensor: &'static str, domain: Domain) -> Result<()> {
        let Some(Value { row, class, value }) = self.first else { return Ok(()) };
        let (row, class) = (row as u64, class as u64);
        Err(Error::BadValue { tensor, row, class, value, domain: domain.words(), count: self.count })
    }
}

/// Without a branch between the values, and with the domain known in each loop, so that it is compiled to vectors.
#[inline(always)]
fn contains_all(domain: Domain, values: &[f32]) -> bool {
    let mut all = true;
    match domain {
        Domain::Any => {}
        Domain::UnitInterval => values.iter().for_each(|&value| all &= Domain::UnitInterval.contains(value)),
        Domain::Sign => values.iter().for_each(|&value| all &= Domain::Sign.contains(value)),
    }
    all
}
