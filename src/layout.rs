//! Shapes, where their elements lie in memory, and size arithmetic that cannot overflow.

use crate::{Error, Result};

/// Shape of a batch: `rows` rows of `classes` logits each.
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
        Ok(Self::new(narrow("the number of rows", rows as u64)?, narrow("the number of classes", classes as u64)?))
    }
}

/// Where each logit of a batch lies in its buffer.
///
/// A batch has `outer * inner` rows. Class `c` of row `r = o * inner + i` is element
///
/// ```text
/// o * outer_stride + c * inner + i
/// ```
///
/// | constructor | shape | rows |
/// | --- | --- | --- |
/// | [`Shape`] into `Layout` | (N, C) row-major, class axis last | N |
/// | [`strided`](Self::strided) | (N, C), a row every `stride` >= C elements | N |
/// | [`planes`](Self::planes) | (N, C, d1, .., dk), class axis 1 | N * d1 * .. * dk |
///
/// Whatever the layout of the logits and their gradient, targets and losses of rows are in row order without gaps, and
/// tensors with one entry a logit (dense targets, unreduced element losses) are in the logits' order without gaps.
///
/// ```
/// use logloss::{Layout, Shape};
///
/// let tokens = Layout::strided(Shape::new(2, 3), 4)?;
/// assert_eq!([tokens.element(0, 2), tokens.element(1, 0)], [2, 4]);
/// let images = Layout::planes(2, 3, 16 * 16)?;
/// assert_eq!((images.rows(), images.element(1, 2)), (512, 513));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    outer: u32,
    classes: u32,
    inner: u32,
    outer_stride: u32,
}

impl From<Shape> for Layout {
    /// Row-major, without gaps.
    fn from(Shape { rows, classes }: Shape) -> Self {
        Self { outer: rows, classes, inner: 1, outer_stride: classes }
    }
}

impl Layout {
    /// (N, C) with the class axis last and a row every `stride` elements. The elements between rows are neither read nor
    /// written.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the stride is less than the number of classes.
    pub fn strided(Shape { rows, classes }: Shape, stride: u32) -> Result<Self> {
        if stride < classes {
            return Err(Error::InvalidOption {
                option: "stride",
                value: stride.to_string(),
                domain: "at least the number of classes",
            });
        }
        Ok(Self { outer: rows, classes, inner: 1, outer_stride: stride })
    }

    /// (N, C, d1, .., dk) with the class axis second: `outer` is N and `inner` the product of d1 to dk.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if N * d1 * .. * dk or C * d1 * .. * dk exceeds 2^32 - 1.
    pub fn planes(outer: u32, classes: u32, inner: u32) -> Result<Self> {
        narrow("the number of rows", u64::from(outer) * u64::from(inner))?;
        let outer_stride = narrow("the number of logits in a sample", u64::from(classes) * u64::from(inner))?;
        Ok(Self { outer, classes, inner, outer_stride })
    }

    /// The layout of an array of `shape` whose classes are dimension `axis`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] as [`planes`](Self::planes); [`Error::InvalidOption`] if there is no such axis.
    pub fn of_axis(shape: &[usize], axis: usize) -> Result<Self> {
        let Some(&classes) = shape.get(axis) else {
            return Err(Error::InvalidOption {
                option: "axis",
                value: axis.to_string(),
                domain: "less than the number of dimensions",
            });
        };
        let product = |sizes: &[usize]| sizes.iter().fold(1u64, |product, &n| product.saturating_mul(n as u64));
        let outer = narrow("the number of samples", product(&shape[..axis]))?;
        let inner = narrow("the number of positions", product(&shape[axis + 1..]))?;
        Self::planes(outer, narrow("the number of classes", classes as u64)?, inner)
    }

    /// Samples: rows of a row-major batch, images of a batch of images.
    #[must_use]
    pub const fn outer(&self) -> u32 {
        self.outer
    }

    /// Classes.
    #[must_use]
    pub const fn classes(&self) -> u32 {
        self.classes
    }

    /// Positions of a sample, and elements from one class to the next.
    #[must_use]
    pub const fn inner(&self) -> u32 {
        self.inner
    }

    /// Elements from one sample to the next.
    #[must_use]
    pub const fn outer_stride(&self) -> u32 {
        self.outer_stride
    }

    /// Rows: samples times positions.
    #[must_use]
    pub const fn rows(&self) -> u32 {
        // The constructors have checked that it fits.
        self.outer * self.inner
    }

    /// (rows, classes).
    #[must_use]
    pub const fn shape(&self) -> Shape {
        Shape::new(self.rows(), self.classes)
    }

    /// Number of logits.
    #[must_use]
    pub const fn elements(&self) -> u64 {
        self.shape().elements()
    }

    /// Elements from the first logit to behind the last.
    #[must_use]
    pub const fn span(&self) -> u64 {
        if self.elements() == 0 {
            return 0;
        }
        (self.outer as u64 - 1) * self.outer_stride as u64 + self.classes as u64 * self.inner as u64
    }

    /// Whether there are no gaps between samples.
    #[must_use]
    pub const fn is_contiguous(&self) -> bool {
        self.outer_stride as u64 == self.classes as u64 * self.inner as u64
    }

    /// The same rows and classes without gaps: how a tensor lies that has one entry a logit and is not the logits.
    #[must_use]
    pub const fn contiguous(&self) -> Self {
        // It fits: `outer_stride` is no less.
        Self { outer_stride: self.classes * self.inner, ..*self }
    }

    /// Index of a logit in the buffer.
    #[must_use]
    pub const fn element(&self, row: u32, class: u32) -> u64 {
        let (o, i) = (row / self.inner, row % self.inner);
        o as u64 * self.outer_stride as u64 + class as u64 * self.inner as u64 + i as u64
    }
}

fn narrow(what: &'static str, size: u64) -> Result<u32> {
    u32::try_from(size).map_err(|_| Error::TooLarge {
        what,
        size,
        limit: u32::MAX.into(),
        limited_by: "a 32-bit index",
        remedy: "evaluate the batch in parts",
    })
}
