//! What a task owns of a tensor.

use std::ops::Range;

use super::Tensor;
use super::lines::LineWriter;
use crate::cpu::simd::memory::finish_streaming;
use crate::{DType, Layout};

/// The rows, or the elements, of a tensor that one task owns.
pub(in crate::cpu) struct Part<'a> {
    pub(super) tensor: &'a Tensor<'a>,
    pub(super) rows: Range<usize>,
    /// The classes of its rows.
    pub(super) columns: Range<usize>,
    /// In the order without gaps; none of rows whose classes lie apart.
    pub(super) elements: Range<usize>,
}

impl<'a> Part<'a> {
    /// Rows with all their classes.
    pub(super) fn of_rows(tensor: &'a Tensor<'a>, rows: Range<usize>) -> Self {
        let classes = tensor.layout.classes() as usize;
        let elements = if tensor.layout.inner() == 1 { rows.start * classes..rows.end * classes } else { 0..0 };
        Self { tensor, rows, columns: 0..classes, elements }
    }

    /// Elements of the order without gaps.
    pub(super) const fn of_elements(tensor: &'a Tensor<'a>, elements: Range<usize>) -> Self {
        Self { tensor, rows: 0..0, columns: 0..0, elements }
    }

    /// What writes the gradient; none without one.
    pub(in crate::cpu) fn writer(&self) -> Option<LineWriter<'a>> {
        self.tensor.output.map(|output| LineWriter::new(output, self.tensor.streams))
    }

    /// As [`writer`](Self::writer), which stores as any other memory: of runs so short that most of their lines are shared.
    pub(in crate::cpu) fn cached_writer(&self) -> Option<LineWriter<'a>> {
        self.tensor.output.map(|output| LineWriter::new(output, false))
    }

    /// What writes the gradient of tiles: of planes each class is a short run.
    pub(in crate::cpu) fn tile_writer(&self) -> Option<LineWriter<'a>> {
        if self.layout().inner() == 1 { self.writer() } else { self.cached_writer() }
    }
}

impl Part<'_> {
    pub(in crate::cpu) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    pub(in crate::cpu) fn elements(&self) -> Range<usize> {
        self.elements.clone()
    }

    /// The type of the logits.
    pub(in crate::cpu) const fn dtype(&self) -> DType {
        self.tensor.input.dtype()
    }

    pub(in crate::cpu) const fn layout(&self) -> &Layout {
        &self.tensor.layout
    }

    /// Orders what this thread has streamed before whatever reads it. Rows and elements handed out by the tensor end with it;
    /// columns need it from whoever writes them.
    pub(in crate::cpu) fn finish(&self) {
        if self.tensor.streams && self.tensor.has_gradient() {
            finish_streaming();
        }
    }

    /// The same rows of another tensor of as many rows, which is read and written through the parts of this one alone.
    pub(in crate::cpu) fn twin<'b>(&mut self, other: &'b Tensor<'b>) -> Part<'b> {
        assert_eq!(self.layout().shape(), other.layout.shape());
        Part::of_rows(other, self.rows.clone())
    }

    /// The same rows, `length` classes of each, for other threads to work on. The layout's classes are next to one another.
    pub(in crate::cpu) fn columns(&mut self, length: usize) -> Vec<Part<'_>> {
        assert!(self.layout().inner() == 1);
        let classes = self.layout().classes() as usize;
        let of = |first| Part {
            tensor: self.tensor,
            rows: self.rows.clone(),
            columns: first..classes.min(first + length),
            elements: 0..0,
        };
        (0..classes).step_by(length).map(of).collect()
    }

    /// The classes of its rows that it owns.
    pub(in crate::cpu) fn columns_of(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Where a row of neighbours starts in memory.
    #[inline(always)]
    pub(in crate::cpu) fn row_start(&self, row: usize) -> usize {
        row * self.layout().outer_stride() as usize
    }
}

/// Calls `visit(position in memory, position in the range, length)` for each sample's share of a range without gaps.
pub(super) fn for_samples(layout: &Layout, elements: Range<usize>, mut visit: impl FnMut(usize, usize, usize)) {
    let (used, stride) = (layout.contiguous().outer_stride() as usize, layout.outer_stride() as usize);
    let mut at = elements.start;
    while at < elements.end {
        let (sample, offset) = (at / used, at % used);
        let n = (used - offset).min(elements.end - at);
        visit(sample * stride + offset, at - elements.start, n);
        at += n;
    }
}

/// As [`for_samples`], of one class in a range of rows.
#[inline(always)]
pub(super) fn for_planes(
    layout: &Layout,
    rows: Range<usize>,
    class: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let (inner, mut row) = (layout.inner() as usize, rows.start);
    while row < rows.end {
        let n = (inner - row % inner).min(rows.end - row);
        visit(layout.element(row as u32, class as u32) as usize, row - rows.start, n);
        row += n;
    }
}
