//! Where in the files something is: the words of messages.

use anyhow::anyhow;
use logloss::{Error, TargetKind};

use super::Input;
use crate::tensor::{ShapeText, Source, TensorSet};

/// The first file of a set, for messages about all of it.
pub(super) fn name(set: &TensorSet) -> String {
    let more = set.tensors().len().saturating_sub(1);
    let first = set.tensors().first().map(|tensor| tensor.source().to_string()).unwrap_or_default();
    if more == 0 { first } else { format!("{first} (and {more} more)") }
}

impl Input {
    /// A library error about a class index, in terms of the files.
    pub(super) fn explain_target(&self, error: Error, ignore_index: &[i32]) -> anyhow::Error {
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

    /// A library error about a value in a chunk that starts with row `first_row`, in terms of the files; other errors as they
    /// are.
    pub fn explain_value(&self, error: Error, first_row: usize) -> Result<anyhow::Error, Error> {
        let Error::BadValue { tensor, row, class, value, domain, .. } = error else { return Err(error) };
        let set = if tensor == "target" { &self.targets } else { &self.logits };
        let place = match (usize::try_from(row), usize::try_from(class)) {
            (Ok(row), Ok(class)) => self.place_of_element(set, first_row + row, class),
            _ => format!("row {row}, class {class}"),
        };
        Ok(anyhow!("{place}: {tensor} {value} is not {domain}; correct it"))
    }

    /// File and row of the batch's row `row`: by its target, or where the targets are one value a logit by its logits.
    ///
    /// Rows of more than one dimension have no numbers that a user would know: they are given by their index too.
    pub fn place_of_row(&self, row: usize) -> String {
        let place = if self.kind == TargetKind::Classes {
            self.targets.locate(row).map(|(source, local)| (source, local, index_of(local, self.targets.shape())))
        } else {
            self.place_in(&self.logits, row, 0).map(|(source, local, mut index)| {
                index.remove(self.axis.axis);
                (source, local, index)
            })
        };
        match place {
            None => format!("row {row}"),
            Some((source, local, index)) if index.len() < 2 => format!("{source}, row {local}"),
            Some((source, local, index)) => format!("{source}, row {local} (index {})", ShapeText(&index)),
        }
    }

    /// File, row and index of a class of a row, in a set of the logits' shape.
    fn place_of_element(&self, set: &TensorSet, row: usize, class: usize) -> String {
        match self.place_in(set, row, class) {
            None => format!("row {row}, class {class}"),
            Some((source, local, index)) => format!("{source}, row {local} (index {})", ShapeText(&index)),
        }
    }

    /// File, row in it, and index in it.
    fn place_in<'a>(&self, set: &'a TensorSet, row: usize, class: usize) -> Option<(&'a Source, usize, Vec<usize>)> {
        let element = self.axis.index(row, class);
        let (source, local) = set.locate(element)?;
        // Files are joined along the first dimension: unless that is the classes', each starts with a row of its own.
        let before = if self.axis.axis == 0 { 0 } else { (element - local) / self.axis.classes };
        Some((source, row - before, index_of(local, set.shape())))
    }
}

/// The index of an element of a file. The first dimension of `shape` is that of all files together; a file's own may be shorter,
/// never longer.
fn index_of(flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = flat;
    let mut index: Vec<_> = shape
        .iter()
        .rev()
        .map(|&n| {
            let i = rest % n.max(1);
            rest /= n.max(1);
            i
        })
        .collect();
    index.reverse();
    index
}
