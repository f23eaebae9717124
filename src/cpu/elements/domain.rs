//! Values that are not of a loss's domain.

use super::PART;
use super::weights::row_and_class;
use crate::cpu::Job;
use crate::cpu::tensor::in_parallel_with;
use crate::{Error, Layout, Result, Targets};

/// Values that a loss takes.
pub(in crate::cpu) struct Domain {
    /// `input` or `target`.
    pub(in crate::cpu) tensor: &'static str,
    pub(in crate::cpu) words: &'static str,
    pub(in crate::cpu) contains: fn(f32) -> bool,
}

impl Domain {
    /// Probabilities.
    pub(in crate::cpu) const fn unit_interval(tensor: &'static str) -> Self {
        Self { tensor, words: "in [0, 1]", contains: |value| matches!(value, 0.0..=1.0) }
    }

    /// Checks every logit, before anything is written.
    ///
    /// # Errors
    /// [`Error::BadValue`] names the first value outside, by row and then by class.
    pub(in crate::cpu) fn check_logits(&self, job: &Job<'_>) -> Result<()> {
        let layout = *job.tensor.layout();
        let parts = (layout.elements() as usize).div_ceil(PART);
        let bad = job.tensor.for_elements(PART, vec![(); parts], Vec::new, |part, (), buffer| {
            let range = part.elements();
            self.find(&layout, range.start, part.read(range.clone(), buffer))
        });
        self.report(bad)
    }

    /// Checks every dense target.
    ///
    /// # Errors
    /// As [`check_logits`](Self::check_logits).
    pub(in crate::cpu) fn check_targets(&self, job: &Job<'_>) -> Result<()> {
        let Targets::Dense(targets) = job.targets else { return Ok(()) };
        let layout = *job.tensor.layout();
        let chunks = targets.chunks(PART).collect();
        self.report(in_parallel_with(chunks, || (), |i, chunk, ()| self.find(&layout, i * PART, chunk)))
    }

    fn find(&self, layout: &Layout, first: usize, values: &[f32]) -> Vec<(usize, usize, f32)> {
        if values.iter().all(|&value| (self.contains)(value)) {
            return Vec::new();
        }
        let outside = values.iter().enumerate().filter(|&(_, &value)| !(self.contains)(value));
        let place = |(i, &value): (usize, &f32)| {
            let (row, class) = row_and_class(layout, first + i);
            (row, class, value)
        };
        outside.map(place).collect()
    }

    fn report(&self, bad: Vec<Vec<(usize, usize, f32)>>) -> Result<()> {
        let count = bad.iter().map(|bad| bad.len() as u64).sum();
        let first = bad.into_iter().flatten().min_by_key(|&(row, class, _)| (row, class));
        let Some((row, class, value)) = first else { return Ok(()) };
        let (row, class) = (row as u64, class as u64);
        Err(Error::BadValue { tensor: self.tensor, row, class, value, domain: self.words, count })
    }
}
