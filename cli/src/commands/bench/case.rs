//! What is measured: a loss of logits of one element type and class count, at several row counts.

use std::fmt;

use clap::ValueEnum;
use logloss::{DType, Gradient, Layout, Shape, TargetKind};

use crate::loss::Loss;

/// What is computed of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// The loss
    Forward,
    /// The loss and, in the same call, its gradient by the logits
    ForwardGradient,
}

impl Pass {
    /// Where the library is to put the gradient: never over the logits, which the next round needs.
    pub(super) const fn gradient(self) -> Gradient {
        match self {
            Self::Forward => Gradient::No,
            Self::ForwardGradient => Gradient::Separate,
        }
    }

    pub(super) const fn has_gradient(self) -> bool {
        matches!(self, Self::ForwardGradient)
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::ForwardGradient => "forward+gradient",
        })
    }
}

/// A loss of logits of one element type and class count.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub loss: &'a Loss,
    pub dtype: DType,
    pub classes: u32,
}

impl Case<'_> {
    /// Whether there is a target for every logit.
    pub fn has_dense_targets(&self) -> bool {
        self.loss.targets == TargetKind::Dense
    }

    /// Where the logits of `rows` rows lie: row after row; for a loss of regions, as one image of so many pixels.
    ///
    /// # Errors
    /// There are too many logits for the library's 32-bit indices within a sample.
    pub fn layout(&self, rows: u32) -> logloss::Result<Layout> {
        match self.loss.regions() {
            Some(_) => Layout::planes(1, self.classes, rows),
            None => Ok(Shape::new(rows, self.classes).into()),
        }
    }

    pub fn elements(&self, rows: u32) -> u64 {
        Shape::new(rows, self.classes).elements()
    }

    /// Bytes of the logits, and of the gradient. Like all sizes here it ends at the greatest number, which no memory holds.
    pub fn logits_bytes(&self, rows: u32) -> u64 {
        self.dtype.bytes().saturating_mul(self.elements(rows))
    }

    /// Bytes of the targets.
    pub fn targets_bytes(&self, rows: u32) -> u64 {
        let targets = if self.has_dense_targets() { self.elements(rows) } else { rows.into() };
        targets.saturating_mul(4)
    }

    /// Bytes that the result cannot be had without: each logit and target read once, each entry of the gradient written once.
    pub fn bytes(&self, pass: Pass, rows: u32) -> u64 {
        let logits = self.logits_bytes(rows);
        let gradient = if pass.has_gradient() { logits } else { 0 };
        self.upload_bytes(rows).saturating_add(gradient)
    }

    /// Bytes from the host to the device.
    pub fn upload_bytes(&self, rows: u32) -> u64 {
        self.logits_bytes(rows).saturating_add(self.targets_bytes(rows))
    }
}

/// The row counts of shapes of one class count, ascending: those given, and a ladder below the largest of them.
pub(super) fn ladder(given: &[u32], is_quick: bool) -> Vec<u32> {
    let (factor, steps) = if is_quick { (8, 2) } else { (4, 4) };
    let largest = given.iter().copied().max().unwrap_or(0);
    let below = (1..=steps).map(|step| largest / u32::pow(factor, step));
    let mut rows: Vec<u32> = given.iter().copied().chain(below).filter(|&rows| rows > 0).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::{LossName, LossOptions};

    #[test]
    fn bytes_that_must_move() {
        let loss = |name| Loss::new(name, &LossOptions::default()).expect("defaults are valid");
        let (indices, dense) = (loss(LossName::CrossEntropy), loss(LossName::Mse));
        let case = |loss, dtype| Case { loss, dtype, classes: 10 };
        assert_eq!(case(&indices, DType::F32).bytes(Pass::Forward, 3), 4 * 30 + 4 * 3);
        assert_eq!(case(&indices, DType::Bf16).bytes(Pass::ForwardGradient, 3), 2 * 2 * 30 + 4 * 3);
        assert_eq!(case(&dense, DType::F16).bytes(Pass::ForwardGradient, 3), 2 * 2 * 30 + 4 * 30);
        assert_eq!(case(&dense, DType::F32).upload_bytes(3), 8 * 30);
    }

    #[test]
    fn row_counts() {
        assert_eq!(ladder(&[4096], false), [16, 64, 256, 1024, 4096]);
        assert_eq!(ladder(&[1000, 100], true), [15, 100, 125, 1000]);
        assert_eq!(ladder(&[3], false), [3]);
        assert_eq!(ladder(&[], true), [0; 0]);
    }
}
