//! Host slices in: what the CPU engine, the reference and the blocking GPU call share.

use half::{bf16, f16};

use crate::{DType, Error, Layout, Result, Shape};

/// Logits on the host, of any element type. Slices, arrays and vectors convert into it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Logits<'a> {
    /// float32.
    F32(&'a [f32]),
    /// float16.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
}

impl Logits<'_> {
    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::Bf16,
        }
    }

    /// Element `i`, which float32 holds exactly.
    ///
    /// # Panics
    /// If there are no more than `i` elements.
    #[must_use]
    pub fn at(&self, i: usize) -> f32 {
        match self {
            Self::F32(values) => values[i],
            Self::F16(values) => values[i].to_f32(),
            Self::Bf16(values) => values[i].to_f32(),
        }
    }

    /// The elements as they lie in memory.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::F32(values) => bytemuck::cast_slice(values),
            Self::F16(values) => bytemuck::cast_slice(values),
            Self::Bf16(values) => bytemuck::cast_slice(values),
        }
    }
}

/// What the logits are compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Targets<'a> {
    /// Class index of each row, or an ignore index: int32, (rows).
    Classes(&'a [i32]),
    /// One value a logit, in the logits' order without gaps: float32. Probabilities, log-probabilities, logits, or labels.
    Dense(&'a [f32]),
}

impl Targets<'_> {
    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Classes(targets) => targets.len(),
            Self::Dense(targets) => targets.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! from_slices {
    ($target:ident, $variant:ident, $element:ty) => {
        impl<'a> From<&'a [$element]> for $target<'a> {
            fn from(values: &'a [$element]) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a [$element; N]> for $target<'a> {
            fn from(values: &'a [$element; N]) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a> From<&'a Vec<$element>> for $target<'a> {
            fn from(values: &'a Vec<$element>) -> Self {
                Self::$variant(values)
            }
        }
    };
}
from_slices!(Logits, F32, f32);
from_slices!(Logits, F16, f16);
from_slices!(Logits, Bf16, bf16);
from_slices!(Targets, Classes, i32);
from_slices!(Targets, Dense, f32);

/// A batch of rows on the host, borrowed.
///
/// | field | shape | dtype |
/// | --- | --- | --- |
/// | `logits` | as `layout` says | float32, float16 or bfloat16 |
/// | `targets` | (rows), or one a logit | int32 class indices, or float32 |
/// | `class_weights`, `pos_weights` | (classes) | float32 |
/// | `row_weights` | (rows) | float32 |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batch<'a> {
    /// Where each logit lies.
    pub layout: Layout,
    /// Logits; log-probabilities for [`Nll`](crate::Nll), probabilities for [`Bce`](crate::Bce).
    pub logits: Logits<'a>,
    /// What they are compared with.
    pub targets: Targets<'a>,
    /// Weight of each class; absent means 1.
    pub class_weights: Option<&'a [f32]>,
    /// Weight of each class where it is present, for [`BceWithLogits`](crate::BceWithLogits); absent means 1.
    pub pos_weights: Option<&'a [f32]>,
    /// Weight of each row; absent means 1.
    pub row_weights: Option<&'a [f32]>,
}

impl<'a> Batch<'a> {
    /// A batch without weights.
    #[must_use]
    pub fn new(layout: impl Into<Layout>, logits: impl Into<Logits<'a>>, targets: impl Into<Targets<'a>>) -> Self {
        Self {
            layout: layout.into(),
            logits: logits.into(),
            targets: targets.into(),
            class_weights: None,
            pos_weights: None,
            row_weights: None,
        }
    }

    /// (rows, classes).
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.layout.shape()
    }

    /// Logit of class `class` in row `row`, which float32 holds exactly.
    ///
    /// # Panics
    /// If the lengths were not [checked](Self::check_lengths) and there is no such logit.
    #[must_use]
    pub fn logit(&self, row: u32, class: u32) -> f32 {
        // The length is that of a slice.
        self.logits.at(self.layout.element(row, class) as usize)
    }

    /// The class indices; none where the targets are of another kind.
    #[must_use]
    pub const fn class_targets(&self) -> &'a [i32] {
        match self.targets {
            Targets::Classes(targets) => targets,
            Targets::Dense(_) => &[],
        }
    }

    /// Checks every length against the layout. Logits of rows with gaps may end with the last logit, or with its gap.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] names the first tensor that does not fit.
    pub fn check_lengths(&self) -> Result<()> {
        let Shape { rows, classes } = self.shape();
        let padded = u64::from(self.layout.outer()) * u64::from(self.layout.outer_stride());
        let logits = if self.logits.len() as u64 == padded { padded } else { self.layout.span() };
        let targets = match self.targets {
            Targets::Classes(_) => rows.into(),
            Targets::Dense(_) => self.layout.elements(),
        };
        let lengths = [
            ("logits", Some(self.logits.len()), logits),
            ("targets", Some(self.targets.len()), targets),
            ("class_weights", self.class_weights.map(<[f32]>::len), classes.into()),
            ("pos_weights", self.pos_weights.map(<[f32]>::len), classes.into()),
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
