//! The batch that `eval` reads: logits, targets and weights from files, in chunks of rows or of samples.

mod chunk;
mod place;
mod samples;
mod weights;

use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use logloss::TargetKind;
use logloss::totals::{Labels, Survey};

use crate::tensor::{ClassAxis, ShapeText, TensorSet};
pub use chunk::Buffers;
pub use samples::Samples;

/// Targets read at once by a pass over all of them: 1 MiB.
const TARGETS_AT_ONCE: usize = 1 << 18;

/// Logits, targets and weights of one batch, opened and checked against each other.
pub struct Input {
    /// Logits, or log-probabilities for `nll`, or probabilities for `bce`.
    pub logits: TensorSet,
    /// Class index of each row, or one value a logit.
    pub targets: TensorSet,
    /// Which of the two.
    pub kind: TargetKind,
    /// Where the classes are.
    pub axis: ClassAxis,
    /// Weight of each class.
    class_weights: Option<Vec<f32>>,
    /// Weight of each class where it is present.
    pos_weights: Option<Vec<f32>>,
}

impl Input {
    /// Checks that the logits are floats, and that the targets are of a kind that a loss `takes` and fit them.
    ///
    /// # Errors
    /// They do not; the message names the file.
    pub fn new(logits: TensorSet, targets: TensorSet, takes: TargetKind, class_axis: Option<isize>) -> Result<Self> {
        logits.check_floats()?;
        let kind = match takes {
            TargetKind::Either if targets.shape() == logits.shape() => TargetKind::Dense,
            TargetKind::Either => TargetKind::Classes,
            other => other,
        };
        let axis = if kind == TargetKind::Dense {
            dense_axis(&logits, &targets, class_axis)
        } else {
            targets.check_integers()?;
            ClassAxis::resolve(logits.shape(), targets.shape(), class_axis)
        };
        let axis = axis.with_context(|| format!("{} and {}", place::name(&logits), place::name(&targets)))?;
        ensure!(
            i32::try_from(axis.classes).is_ok(),
            "{}: {} classes are more than the {} that a 32-bit class index can name",
            place::name(&logits),
            axis.classes,
            i32::MAX
        );
        Ok(Self { logits, targets, kind, axis, class_weights: None, pos_weights: None })
    }

    /// Reads the weights of the classes.
    ///
    /// # Errors
    /// They are not one a class, finite and at least 0; the message names the file.
    pub fn with_weights(mut self, class: Option<&Path>, positive: Option<&Path>) -> Result<Self> {
        let read = |path, key| weights::of_classes(path, key, &self.logits, &self.axis);
        let class = class.map(|path| read(path, "weight")).transpose()?;
        let positive = positive.map(|path| read(path, "pos_weight")).transpose()?;
        (self.class_weights, self.pos_weights) = (class, positive);
        Ok(self)
    }

    /// Bytes of all logits in their files.
    pub fn logits_bytes(&self) -> u64 {
        (self.logits.len() * self.logits.element().size()) as u64
    }

    /// Reads all class indices: which rows count, and the sum of their weights. None where the targets are of another kind.
    ///
    /// # Errors
    /// One does not fit int32, or is neither a class nor in `ignore_index`: the message names the first, its file and its row.
    pub fn survey(&self, ignore_index: &[i32]) -> Result<Option<Survey>> {
        if self.kind != TargetKind::Classes {
            return Ok(None);
        }
        let mut survey = Survey::default();
        let mut targets = Vec::new();
        for first in (0..self.axis.rows()).step_by(TARGETS_AT_ONCE) {
            let rows = first..self.axis.rows().min(first + TARGETS_AT_ONCE);
            targets.resize(rows.len(), 0);
            self.targets.read_i32(rows.clone(), &mut targets)?;
            survey
                .push(&self.labels(&targets, ignore_index))
                .map_err(|error| self.explain_target(error, ignore_index))?;
            self.targets.release(rows);
        }
        Ok(Some(survey))
    }

    /// Class indices with what else the files say of them.
    pub fn labels<'a>(&'a self, targets: &'a [i32], ignore_index: &'a [i32]) -> Labels<'a> {
        let class_weights = self.class_weights.as_deref();
        // `new` has checked that the classes fit.
        let classes = u32::try_from(self.axis.classes).unwrap_or(u32::MAX);
        Labels { class_weights, ..Labels::new(targets, classes, ignore_index) }
    }

    /// Lets go of the memory of rows that have been read.
    pub fn release(&self, rows: Range<usize>) {
        self.axis.release_rows(&self.logits, rows.clone());
        match self.kind {
            TargetKind::Classes => self.targets.release(rows),
            TargetKind::Dense | TargetKind::Either => self.axis.release_rows(&self.targets, rows),
        }
    }
}

/// The class axis of logits whose targets are one value a logit.
fn dense_axis(logits: &TensorSet, targets: &TensorSet, axis: Option<isize>) -> Result<ClassAxis> {
    let chosen = ClassAxis::new(logits.shape(), axis)?;
    if targets.shape() == logits.shape() {
        return Ok(chosen);
    }
    let shapes =
        format!("targets of shape {} and logits of shape {}", ShapeText(targets.shape()), ShapeText(logits.shape()));
    if ClassAxis::resolve(logits.shape(), targets.shape(), axis).is_ok() {
        bail!(
            "{shapes} fit as class indices, but this loss compares each logit with a target of its own; save one value a \
             logit, or choose a loss of class indices"
        );
    }
    bail!("{shapes} differ, but this loss compares each logit with a target of its own")
}
