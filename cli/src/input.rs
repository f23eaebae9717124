//! The batch that `eval` reads: logits, targets and class weights from files, in chunks of rows.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use logloss::Error;
use logloss::totals::{Labels, Survey};

use crate::tensor::{ClassAxis, ShapeText, Tensor, TensorSet};

/// Targets read at once by a pass over all of them: 1 MiB.
const TARGETS_AT_ONCE: usize = 1 << 18;

/// Logits and targets of one batch, opened and checked against each other.
pub struct Input {
    /// Logits, or log-probabilities for `nll`.
    pub logits: TensorSet,
    /// Class index of each row.
    pub targets: TensorSet,
    /// Where the classes are.
    pub axis: ClassAxis,
    /// Weight of each class.
    pub class_weights: Option<Vec<f32>>,
}

impl Input {
    /// Checks that logits are floats, targets integers, and that their shapes belong together.
    ///
    /// # Errors
    /// They do not; the message names the file.
    pub fn new(
        logits: TensorSet,
        targets: TensorSet,
        class_axis: Option<isize>,
        weight: Option<&Path>,
    ) -> Result<Self> {
        // Reading nothing still checks the element type.
        logits.tensors().iter().try_for_each(|tensor| tensor.read_f32(0..0, &mut []))?;
        targets.tensors().iter().try_for_each(|tensor| tensor.read_i32(0..0, &mut []))?;
        let axis = ClassAxis::resolve(logits.shape(), targets.shape(), class_axis)
            .with_context(|| format!("{} and {}", name(&logits), name(&targets)))?;
        ensure!(
            i32::try_from(axis.classes).is_ok(),
            "{}: {} classes are more than the {} that a 32-bit class index can name",
            name(&logits),
            axis.classes,
            i32::MAX
        );
        let class_weights = weight.map(|path| class_weights(path, &logits, &axis)).transpose()?;
        Ok(Self { logits, targets, axis, class_weights })
    }

    /// Bytes of all logits in their files.
    pub fn logits_bytes(&self) -> u64 {
        (self.logits.len() * self.logits.element().size()) as u64
    }

    /// Reads targets of rows `rows` into `out`, which is resized.
    ///
    /// # Errors
    /// One does not fit int32; the message names file and place.
    pub fn read_targets(&self, rows: Range<usize>, out: &mut Vec<i32>) -> Result<()> {
        out.resize(rows.len(), 0);
        self.targets.read_i32(rows, out)
    }

    /// Reads all targets: which rows count, and the sum of their weights.
    ///
    /// # Errors
    /// As [`read_targets`](Self::read_targets); or a target is neither a class nor in `ignore_index`: the message names the
    /// first, its file and its row.
    pub fn survey(&self, ignore_index: &[i32]) -> Result<Survey> {
        let mut survey = Survey::default();
        let mut targets = Vec::new();
        for first in (0..self.axis.rows()).step_by(TARGETS_AT_ONCE) {
            let rows = first..self.axis.rows().min(first + TARGETS_AT_ONCE);
            self.read_targets(rows.clone(), &mut targets)?;
            survey.push(&self.labels(&targets, ignore_index)).map_err(|error| self.explain(error, ignore_index))?;
            self.targets.release(rows);
        }
        Ok(survey)
    }

    /// Targets with what else the files say of them.
    pub fn labels<'a>(&'a self, targets: &'a [i32], ignore_index: &'a [i32]) -> Labels<'a> {
        let class_weights = self.class_weights.as_deref();
        // `new` has checked that the classes fit.
        let classes = u32::try_from(self.axis.classes).unwrap_or(u32::MAX);
        Labels { class_weights, ..Labels::new(targets, classes, ignore_index) }
    }

    /// A library error about a row, in terms of the files.
    fn explain(&self, error: Error, ignore_index: &[i32]) -> anyhow::Error {
        let Error::BadTarget { row, value, classes, .. } = error else { return error.into() };
        let ignored = match ignore_index {
            [] => "no target is ignored".to_owned(),
            list => format!("ignored: {}", list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let place = usize::try_from(row).map_or_else(|_| format!("row {row}"), |row| self.place_of_row(row));
        anyhow!(
            "{place}: target {value} is not a class index of 0 to {} ({ignored}); correct it, or ignore such rows with \
             --ignore-index {value}",
            classes.saturating_sub(1)
        )
    }

    /// File and row of the batch's row `row`, by its target.
    ///
    /// Targets of more than one dimension have no row numbers that a user would know: they are given by their index too.
    pub fn place_of_row(&self, row: usize) -> String {
        let Some((source, local)) = self.targets.locate(row) else { return format!("row {row}") };
        let shape = self.targets.shape();
        if shape.len() < 2 {
            return format!("{source}, row {local}");
        }
        let mut rest = local;
        let mut index: Vec<_> = shape
            .iter()
            .rev()
            .map(|&n| {
                let i = rest % n.max(1);
                rest /= n.max(1);
                i
            })
            .collect();
        // The first dimension is that of all files together; this file's own may be shorter, never longer.
        index.reverse();
        format!("{source}, row {local} (index {})", ShapeText(&index))
    }

    /// Logits of rows `rows`, (rows, classes) row-major: borrowed from the file where they lie so, else gathered into
    /// `buffer`.
    ///
    /// # Errors
    /// The rows lie outside.
    pub fn logits_of<'a>(&'a self, rows: Range<usize>, buffer: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        if let Some(logits) = self.axis.borrow_rows(&self.logits, rows.clone()) {
            return Ok(logits);
        }
        self.axis.gather_rows(&self.logits, rows, buffer)?;
        Ok(buffer)
    }

    /// Lets go of the memory of rows that have been read.
    pub fn release(&self, rows: Range<usize>) {
        self.axis.release_rows(&self.logits, rows.clone());
        self.targets.release(rows);
    }
}

/// The first file of a set, for messages about all of it.
fn name(set: &TensorSet) -> String {
    let more = set.tensors().len().saturating_sub(1);
    let first = set.tensors().first().map(|tensor| tensor.source().to_string()).unwrap_or_default();
    if more == 0 { first } else { format!("{first} (and {more} more)") }
}

fn class_weights(path: &Path, logits: &TensorSet, axis: &ClassAxis) -> Result<Vec<f32>> {
    let tensor = Tensor::open(path, None, "weight")?;
    ensure!(
        tensor.shape() == [axis.classes],
        "{}: class weights of shape {}, but the logits ({}, shape {}, class axis {}) need one weight a class, shape {}",
        tensor.source(),
        ShapeText(tensor.shape()),
        name(logits),
        ShapeText(logits.shape()),
        axis.axis,
        ShapeText(&[axis.classes])
    );
    let mut weights = vec![0.0; axis.classes];
    tensor.read_f32(0..axis.classes, &mut weights)?;
    if let Some(class) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        bail!(
            "{}: weight {} of class {class}; weights must be finite and at least 0",
            tensor.source(),
            weights.get(class).copied().unwrap_or_default()
        );
    }
    Ok(weights)
}
