//! Shapes, and size arithmetic that cannot overflow.

use crate::{Error, Result};

/// Shape of a batch of logits: `rows` rows of `classes` logits each, row-major.
///
/// Row `r`, class `c` is element `r * classes + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of rows (samples, tokens, pixels).
    pub rows: u32,
    /// Number of classes.
    pub classes: u32,
}

impl Shape {
    /// A shape of `rows` by `classes`.
    #[must_use]
    pub const fn new(rows: u32, classes: u32) -> Self {
        Self { rows, classes }
    }

    /// Number of logits.
    #[must_use]
    pub const fn elements(self) -> u64 {
        // u32 * u32 fits u64.
        self.rows as u64 * self.classes as u64
    }
}

impl TryFrom<(usize, usize)> for Shape {
    type Error = Error;

    /// (rows, classes).
    ///
    /// # Errors
    /// [`Error::TooLarge`] if one exceeds 2^32 - 1.
    fn try_from((rows, classes): (usize, usize)) -> Result<Self> {
        let narrow = |what, size: usize| {
            u32::try_from(size).map_err(|_| Error::TooLarge {
                what,
                size: size as u64,
                limit: u32::MAX.into(),
                limited_by: "a 32-bit index",
                remedy: "evaluate the batch in parts",
            })
        };
        Ok(Self::new(narrow("the number of rows", rows)?, narrow("the number of classes", classes)?))
    }
}
