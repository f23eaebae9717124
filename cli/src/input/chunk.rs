//! Parts of a batch in memory, as the engines take them.

use std::ops::Range;

use anyhow::{Context as _, Result};
use logloss::{Batch, Layout, Shape, TargetKind, Targets};

use super::{Input, Samples};
use crate::tensor::{ClassAxis, TensorSet};

/// Memory that chunks are read into, kept from one to the next.
#[derive(Debug, Default)]
pub struct Buffers {
    logits: Values,
    dense: Values,
    classes: Vec<i32>,
}

/// One value a logit.
#[derive(Debug, Default)]
struct Values {
    rows: Vec<f32>,
    planes: Vec<f32>,
}

impl Input {
    /// Rows `rows`, row-major.
    ///
    /// # Errors
    /// The rows lie outside, or a target does not fit int32.
    pub fn rows<'a>(&'a self, rows: Range<usize>, buffers: &'a mut Buffers) -> Result<Batch<'a>> {
        let shape = Shape::try_from((rows.len(), self.axis.classes)).context("a chunk of too many rows")?;
        let logits = self.axis.rows_of(&self.logits, rows.clone(), &mut buffers.logits.rows)?;
        let targets = if self.kind == TargetKind::Classes {
            self.classes_of(rows, &mut buffers.classes)?
        } else {
            Targets::Dense(self.axis.rows_of(&self.targets, rows, &mut buffers.dense.rows)?)
        };
        Ok(self.batch(shape, logits, targets))
    }

    /// Samples `samples`: the classes of each one after the other.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn samples<'a>(&'a self, all: Samples, samples: Range<usize>, buffers: &'a mut Buffers) -> Result<Batch<'a>> {
        let shape = [samples.len(), self.axis.classes, all.positions];
        let layout = Layout::of_axis(&shape, 1).context("a chunk of too many samples")?;
        let rows = all.rows(&samples);
        let logits = self.planes_of(&self.logits, all, rows.clone(), &mut buffers.logits)?;
        let targets = if self.kind == TargetKind::Classes {
            self.classes_of(rows, &mut buffers.classes)?
        } else {
            Targets::Dense(self.planes_of(&self.targets, all, rows, &mut buffers.dense)?)
        };
        Ok(self.batch(layout, logits, targets))
    }

    /// The axis of the classes within samples whose classes lie one after the other.
    pub const fn plane_axis(&self, all: Samples) -> ClassAxis {
        ClassAxis { axis: 1, outer: all.count, classes: self.axis.classes, inner: all.positions }
    }

    fn batch<'a>(&'a self, layout: impl Into<Layout>, logits: &'a [f32], targets: Targets<'a>) -> Batch<'a> {
        Batch {
            layout: layout.into(),
            logits: logits.into(),
            targets,
            class_weights: self.class_weights.as_deref(),
            pos_weights: self.pos_weights.as_deref(),
            row_weights: None,
        }
    }

    fn classes_of<'a>(&self, rows: Range<usize>, buffer: &'a mut Vec<i32>) -> Result<Targets<'a>> {
        buffer.resize(rows.len(), 0);
        self.targets.read_i32(rows, buffer)?;
        Ok(Targets::Classes(buffer))
    }

    /// Rows of whole samples, their classes one after the other.
    fn planes_of<'a>(
        &self,
        set: &'a TensorSet,
        all: Samples,
        rows: Range<usize>,
        buffer: &'a mut Values,
    ) -> Result<&'a [f32]> {
        let elements = rows.start * self.axis.classes..rows.end * self.axis.classes;
        if self.axis.inner == all.positions {
            // They lie so in the file.
            if let Some(values) = set.as_f32(elements.clone()) {
                return Ok(values);
            }
            buffer.planes.resize(elements.len(), 0.0);
            set.read_f32(elements, &mut buffer.planes)?;
        } else {
            let values = self.axis.rows_of(set, rows, &mut buffer.rows)?;
            buffer.planes.resize(values.len(), 0.0);
            self.plane_axis(all).planes_from_rows(values, &mut buffer.planes);
        }
        Ok(&buffer.planes)
    }
}
