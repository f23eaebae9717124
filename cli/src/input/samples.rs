//! Samples of a batch: what the regions of a segmentation belong to.

use std::ops::Range;

use logloss::Regions;

use super::Input;

/// The samples of a batch: its first dimension, unless that is the classes'; then all is one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Samples {
    /// How many.
    pub count: usize,
    /// Rows of each, consecutive.
    pub positions: usize,
}

impl Samples {
    /// The samples of a batch.
    pub fn of(input: &Input) -> Self {
        let (shape, axis) = (input.logits.shape(), input.axis.axis);
        let count = if axis == 0 { 1 } else { shape.first().copied().unwrap_or(1) };
        let others = shape.iter().enumerate().filter(|&(i, _)| i != axis && (i > 0 || axis == 0));
        Self { count, positions: others.map(|(_, &n)| n).product() }
    }

    /// Rows of some samples.
    pub const fn rows(self, samples: &Range<usize>) -> Range<usize> {
        samples.start * self.positions..samples.end * self.positions
    }

    /// How many regions they have.
    pub fn regions(self, regions: Regions, classes: usize) -> usize {
        let samples = if regions.samples_together { 1 } else { self.count };
        let classes = if regions.classes_together { 1 } else { classes - usize::from(regions.without_background) };
        samples * classes
    }
}
