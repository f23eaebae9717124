//! Shapes, and size arithmetic that cannot overflow.

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
