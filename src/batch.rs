//! Host slices in, host vectors out: what the CPU engine, the reference and the blocking GPU call share.

use crate::{Error, Result, Shape};

/// A batch of rows on the host, borrowed.
///
/// | field | shape | dtype |
/// | --- | --- | --- |
/// | `logits` | (rows, classes), row-major | float32 |
/// | `targets` | (rows) | int32 class indices |
/// | `class_weights` | (classes) | float32 |
/// | `row_weights` | (rows) | float32 |
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Shape of the logits.
    pub shape: Shape,
    /// Logits, or log-probabilities for [`Nll`](crate::Nll).
    pub logits: &'a [f32],
    /// Class index of each row, or an ignore index.
    pub targets: &'a [i32],
    /// Weight of each class; absent means 1.
    pub class_weights: Option<&'a [f32]>,
    /// Weight of each row; absent means 1.
    pub row_weights: Option<&'a [f32]>,
}

impl<'a> Batch<'a> {
    /// A batch without weights.
    #[must_use]
    pub const fn new(shape: Shape, logits: &'a [f32], targets: &'a [i32]) -> Self {
        Self { shape, logits, targets, class_weights: None, row_weights: None }
    }

    /// Checks every length against the shape.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] names the first tensor that does not fit.
    pub fn check_lengths(&self) -> Result<()> {
        let Shape { rows, classes } = self.shape;
        let lengths = [
            ("logits", Some(self.logits.len()), self.shape.elements()),
            ("targets", Some(self.targets.len()), rows.into()),
            ("class_weights", self.class_weights.map(<[f32]>::len), classes.into()),
            ("row_weights", self.row_weights.map(<[f32]>::len), rows.into()),
        ];
        for (name, got, expected) in lengths {
            if let Some(got) = got.map(|n| n as u64).filter(|&n| n != expected) {
                return Err(Error::LengthMismatch { name, expected, got });
            }
        }
        Ok(())
    }
}
