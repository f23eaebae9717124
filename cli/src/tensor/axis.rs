//! The class axis: which dimension of the logits holds the classes, and rows in and out of any memory layout.
//!
//! With `outer` the product of the dimensions before the class axis and `inner` of those after it, row
//! `r = o * inner + i` has its class `c` at flat index `(o * classes + c) * inner + i`. Flattened targets, the logits'
//! shape without the class axis, are then in row order.

use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};

use super::{NpyOutput, ShapeText, TensorSet, element_count};

/// Rows of a transposition tile: runs of this many elements are read and written at once. Not a power of two, so that
/// the runs of a tile do not compete for the same cache sets.
const TILE_ROWS: usize = 2032;
/// Fewest classes of a tile, a cache line of a row.
const TILE_CLASSES: usize = 16;
/// Elements of a tile, 127 KiB.
const TILE: usize = TILE_ROWS * TILE_CLASSES;

/// Where the classes are in an array of logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassAxis {
    /// The dimension of the classes.
    pub axis: usize,
    /// Product of the dimensions before it.
    pub outer: usize,
    /// Number of classes.
    pub classes: usize,
    /// Product of the dimensions after it.
    pub inner: usize,
}

/// `PyTorch`'s class axis: 1 for two or more dimensions, 0 for one.
pub const fn default_axis(ndim: usize) -> isize {
    if ndim > 1 { 1 } else { 0 }
}

impl ClassAxis {
    /// The class axis of logits of `shape`: `axis`, negative from the end, or [`default_axis`].
    ///
    /// # Errors
    /// There is no such axis, or it has no classes.
    pub fn new(shape: &[usize], axis: Option<isize>) -> Result<Self> {
        let ndim = shape.len();
        let shown = ShapeText(shape);
        ensure!(ndim > 0, "the logits are a single value; they need at least one dimension, that of the classes");
        let axis = axis.unwrap_or_else(|| default_axis(ndim));
        let index = if axis < 0 { ndim.checked_add_signed(axis) } else { usize::try_from(axis).ok() };
        let Some((index, &classes)) = index.and_then(|i| Some((i, shape.get(i)?))) else {
            bail!("--class-axis {axis} is not an axis of logits of shape {shown}; give one of -{ndim} to {}", ndim - 1);
        };
        ensure!(classes > 0, "axis {axis} of the logits' shape {shown} has no classes; choose another --class-axis");
        let (before, after) = (shape.get(..index).unwrap_or_default(), shape.get(index + 1..).unwrap_or_default());
        let sizes = element_count(before).zip(element_count(after));
        let (outer, inner) = sizes.with_context(|| format!("shape {shown} of the logits overflows"))?;
        ensure!(
            outer.checked_mul(inner).and_then(|rows| rows.checked_mul(classes)).is_some(),
            "shape {shown} of the logits overflows"
        );
        Ok(Self { axis: index, outer, classes, inner })
    }

    /// The class axis of logits whose targets are class indices, checked against the targets' shape.
    ///
    /// # Errors
    /// As [`new`](Self::new); or the targets' shape is not the logits' without the class axis. If it fits another
    /// axis, the message names that one.
    pub fn resolve(logits: &[usize], targets: &[usize], axis: Option<isize>) -> Result<Self> {
        let fits = |i: usize| without_axis(logits, i) == targets;
        let chosen = Self::new(logits, axis);
        if chosen.as_ref().is_ok_and(|chosen| fits(chosen.axis)) {
            return chosen;
        }
        let shapes = format!("targets of shape {} and logits of shape {}", ShapeText(targets), ShapeText(logits));
        if let Some(i) = (0..logits.len()).find(|&i| fits(i)) {
            let named = if i + 1 == logits.len() { "-1".to_owned() } else { i.to_string() };
            let used = axis.unwrap_or_else(|| default_axis(logits.len()));
            bail!("{shapes} do not fit class axis {used}, but they fit --class-axis {named}");
        }
        let axis = chosen?;
        if targets == logits {
            bail!(
                "{shapes} are the same, but class indices have no class axis; save the indices \
                 (numpy: x.argmax(axis={})) or choose a loss that takes one target per class",
                axis.axis
            );
        }
        bail!(
            "{shapes} do not belong together: with class axis {} the targets need shape {}",
            axis.axis,
            ShapeText(&without_axis(logits, axis.axis))
        )
    }

    /// Number of rows.
    pub const fn rows(&self) -> usize {
        self.outer * self.inner
    }

    /// Flat index of a class of a row in the logits; `row` must be one of the [`rows`](Self::rows).
    pub const fn index(&self, row: usize, class: usize) -> usize {
        (row / self.inner * self.classes + class) * self.inner + row % self.inner
    }

    /// The number of rows nearest below `rows`, and at least one group, that makes good chunks: whole groups of `group` rows,
    /// and whole `inner` blocks too where these fit.
    ///
    /// Chunks shorter than `inner` are read in one short run per class, and each run costs a page of memory. `group` is at
    /// least 1.
    pub const fn chunk_rows(&self, rows: usize, group: usize) -> usize {
        let block = self.inner.saturating_mul(group / gcd(self.inner, group));
        let step = if block > 0 && rows >= block { block } else { group };
        if rows > step { rows - rows % step } else { step }
    }

    /// Rows `rows`, (rows, classes) row-major: borrowed from the file where they lie so as aligned float32, else gathered into
    /// `buffer`.
    ///
    /// # Errors
    /// As [`gather_rows`](Self::gather_rows).
    pub fn rows_of<'a>(&self, set: &'a TensorSet, rows: Range<usize>, buffer: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        if let Some(values) = self.borrow_rows(set, rows.clone()) {
            return Ok(values);
        }
        self.gather_rows(set, rows, buffer)?;
        Ok(buffer)
    }

    /// Rows `rows` without a copy: only for the last axis, and float32 that lies aligned in one file.
    pub fn borrow_rows<'a>(&self, logits: &'a TensorSet, rows: Range<usize>) -> Option<&'a [f32]> {
        if self.inner != 1 || rows.start > rows.end || rows.end > self.rows() {
            return None;
        }
        logits.as_f32(rows.start * self.classes..rows.end * self.classes)
    }

    /// Reads rows `rows` of the logits into `out`, shape (rows, classes), row-major; `out` is resized.
    ///
    /// # Errors
    /// The rows lie outside, or as [`TensorSet::read_f32`].
    pub fn gather_rows(&self, logits: &TensorSet, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        self.check(logits.len(), &rows)?;
        // Every element is overwritten below, so what is left of the last chunk need not be cleared.
        out.resize(rows.len() * self.classes, 0.0);
        if self.inner == 1 {
            return logits.read_f32(rows.start * self.classes..rows.end * self.classes, out);
        }
        let mut buffer = vec![0.0; TILE];
        self.for_each_tile(&rows, |tile| {
            let buffer = buffer.get_mut(..tile.rows * tile.classes).context("a tile larger than its buffer")?;
            if tile.rows == self.inner {
                logits.read_f32(tile.element..tile.element + buffer.len(), buffer)?;
            } else {
                for (c, run) in buffer.chunks_exact_mut(tile.rows).enumerate() {
                    let start = tile.element + c * self.inner;
                    logits.read_f32(start..start + tile.rows, run)?;
                }
            }
            let first = tile.row * self.classes + tile.class;
            for (i, row) in
                out.get_mut(first..).unwrap_or_default().chunks_mut(self.classes).take(tile.rows).enumerate()
            {
                let column = buffer.iter().skip(i).step_by(tile.rows);
                row.iter_mut().zip(column).for_each(|(to, from)| *to = *from);
            }
            Ok(())
        })
    }

    /// Writes rows, shape (n, classes), row-major, as rows `first_row..` of an output in the logits' shape.
    ///
    /// # Errors
    /// The rows are not whole or lie outside, or as [`NpyOutput::write`].
    pub fn scatter_rows(&self, output: &mut NpyOutput, first_row: usize, rows: &[f32]) -> Result<()> {
        ensure!(rows.len().is_multiple_of(self.classes), "{} values are no whole rows of {}", rows.len(), self.classes);
        let range = first_row..first_row.saturating_add(rows.len() / self.classes);
        self.check(output.len(), &range)?;
        if self.inner == 1 {
            return output.write(first_row * self.classes, rows);
        }
        let mut buffer = vec![0.0; TILE];
        self.for_each_tile(&range, |tile| {
            let buffer = buffer.get_mut(..tile.rows * tile.classes).context("a tile larger than its buffer")?;
            let first = tile.row * self.classes + tile.class;
            for (i, row) in rows.get(first..).unwrap_or_default().chunks(self.classes).take(tile.rows).enumerate() {
                let column = buffer.iter_mut().skip(i).step_by(tile.rows);
                column.zip(row).for_each(|(to, from)| *to = *from);
            }
            if tile.rows == self.inner {
                return output.write(tile.element, buffer);
            }
            let mut runs = buffer.chunks_exact(tile.rows).enumerate();
            runs.try_for_each(|(c, run)| output.write(tile.element + c * self.inner, run))
        })
    }

    /// Transposes whole samples in memory: (outer, inner, classes) becomes (outer, classes, inner).
    pub fn planes_from_rows(&self, rows: &[f32], planes: &mut [f32]) {
        let sample = (self.classes * self.inner).max(1);
        for (rows, planes) in rows.chunks(sample).zip(planes.chunks_mut(sample)) {
            for (c, plane) in planes.chunks_mut(self.inner.max(1)).enumerate() {
                plane.iter_mut().zip(rows.iter().skip(c).step_by(self.classes)).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// The inverse of [`planes_from_rows`](Self::planes_from_rows).
    pub fn rows_from_planes(&self, planes: &[f32], rows: &mut [f32]) {
        Self { classes: self.inner, inner: self.classes, ..*self }.planes_from_rows(planes, rows);
    }

    /// Lets go of the memory pages of rows that have been read; see [`TensorSet::release`].
    ///
    /// Where the classes are not the last axis these are the pages of every `inner` block that the rows touch.
    pub fn release_rows(&self, logits: &TensorSet, rows: Range<usize>) {
        let block = self.classes * self.inner;
        if self.inner > 0 && rows.start < rows.end && rows.end <= self.rows() {
            logits.release(rows.start / self.inner * block..rows.end.div_ceil(self.inner) * block);
        }
    }

    fn check(&self, elements: usize, rows: &Range<usize>) -> Result<()> {
        let all = self.rows();
        ensure!(elements == all * self.classes, "{elements} elements are not {all} rows of {} classes", self.classes);
        ensure!(rows.start <= rows.end && rows.end <= all, "rows {rows:?} lie outside the {all} rows of the batch");
        Ok(())
    }

    /// Visits rows `rows` in tiles of adjacent rows and classes.
    fn for_each_tile(&self, rows: &Range<usize>, mut visit: impl FnMut(Tile) -> Result<()>) -> Result<()> {
        let mut row = rows.start;
        while row < rows.end {
            let count = TILE_ROWS.min(self.inner - row % self.inner).min(rows.end - row);
            let step = TILE_CLASSES.max(TILE / count).min(self.classes);
            for class in (0..self.classes).step_by(step) {
                visit(Tile {
                    row: row - rows.start,
                    rows: count,
                    class,
                    classes: step.min(self.classes - class),
                    element: self.index(row, class),
                })?;
            }
            row += count;
        }
        Ok(())
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Rows of one `inner` block, by some classes.
struct Tile {
    /// First row, from the first that is visited.
    row: usize,
    rows: usize,
    /// First class.
    class: usize,
    classes: usize,
    /// Flat index of the first row's first class in the logits.
    element: usize,
}

/// A shape without one of its dimensions.
pub fn without_axis(shape: &[usize], axis: usize) -> Vec<usize> {
    shape.iter().enumerate().filter(|&(i, _)| i != axis).map(|(_, &n)| n).collect()
}
