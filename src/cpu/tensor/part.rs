//! What a task owns of a tensor.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;

use super::convert::{bf16_from_f32, f32_from_bf16, widen};
use super::lines::LineWriter;
use super::{Pointer, Source, Tensor};
use crate::Layout;
use crate::cpu::simd::memory::{AHEAD, LINE, finish_streaming, prefetch};
use crate::cpu::simd::{Block, MAX_BLOCK, Simd, block_len, store_block};

/// The rows, or the elements, of a tensor that one task owns.
pub(in crate::cpu) struct Part<'a> {
    tensor: &'a Tensor<'a>,
    rows: Range<usize>,
    /// The classes of its rows.
    columns: Range<usize>,
    elements: Range<usize>,
}

impl<'a> Part<'a> {
    /// Rows with all their classes.
    pub(super) fn of_rows(tensor: &'a Tensor<'a>, rows: Range<usize>) -> Self {
        Self { tensor, rows, columns: 0..tensor.layout.classes() as usize, elements: 0..0 }
    }

    /// Elements of the order without gaps.
    pub(super) const fn of_elements(tensor: &'a Tensor<'a>, elements: Range<usize>) -> Self {
        Self { tensor, rows: 0..0, columns: 0..0, elements }
    }

    /// What writes the gradient; none without one.
    pub(in crate::cpu) fn writer(&self) -> Option<LineWriter<'a>> {
        self.tensor.output.map(|output| LineWriter::new(output, self.tensor.streams))
    }
}

impl Part<'_> {
    pub(in crate::cpu) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    pub(in crate::cpu) fn elements(&self) -> Range<usize> {
        self.elements.clone()
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

    /// Row `row` in float32: where it lies, or converted or collected into `buffer`.
    #[inline(always)]
    pub(in crate::cpu) fn row<'b>(&'b self, row: usize, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        assert!(self.rows.contains(&row));
        let classes = self.layout().classes() as usize;
        if self.layout().inner() == 1 {
            return self.run(row * self.layout().outer_stride() as usize, classes, buffer);
        }
        let (at, step) = (self.layout().element(row as u32, 0) as usize, self.layout().inner() as usize);
        buffer.clear();
        let indices = (0..classes).map(|c| at + c * step);
        // SAFETY: `row` is a row of the layout, which the elements span, and of this part.
        unsafe {
            match self.tensor.input {
                Pointer::F32(p) => buffer.extend(indices.map(|i| *p.add(i))),
                Pointer::F16(p) => buffer.extend(indices.map(|i| (*p.add(i)).to_f32())),
                Pointer::Bf16(p) => buffer.extend(indices.map(|i| (*p.add(i)).to_f32())),
            }
        }
        buffer
    }

    /// Rows `first..first + n` next to one another, where they lie so.
    #[inline(always)]
    pub(in crate::cpu) fn rows_together<'b>(
        &'b self,
        first: usize,
        n: usize,
        buffer: &'b mut Vec<f32>,
    ) -> Option<&'b [f32]> {
        assert!(self.rows.start <= first && first + n <= self.rows.end);
        let classes = self.layout().classes() as usize;
        let is_plain = self.layout().inner() == 1 && self.layout().is_contiguous();
        is_plain.then(|| self.run(first * classes, n * classes, buffer))
    }

    /// One logit.
    pub(in crate::cpu) fn logit(&self, row: usize, class: usize) -> f32 {
        assert!(self.rows.contains(&row) && class < self.layout().classes() as usize);
        let i = self.layout().element(row as u32, class as u32) as usize;
        // SAFETY: the element is one of the layout, which the elements span, and its row is of this part.
        unsafe {
            match self.tensor.input {
                Pointer::F32(p) => *p.add(i),
                Pointer::F16(p) => (*p.add(i)).to_f32(),
                Pointer::Bf16(p) => (*p.add(i)).to_f32(),
            }
        }
    }

    /// Elements of the order without gaps, in float32.
    #[inline(always)]
    pub(in crate::cpu) fn read<'b>(&'b self, elements: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        assert!(self.elements.start <= elements.start && elements.end <= self.elements.end);
        if self.layout().is_contiguous() {
            return self.run(elements.start, elements.len(), buffer);
        }
        let mut piece = Vec::new();
        let mut all = std::mem::take(buffer);
        all.clear();
        for_samples(self.layout(), elements, |at, _, n| all.extend_from_slice(self.run(at, n, &mut piece)));
        *buffer = all;
        buffer
    }

    /// `n` neighbours in memory, in float32.
    #[inline(always)]
    fn run<'b>(&'b self, at: usize, n: usize, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        if !matches!(self.tensor.input, Pointer::F32(_)) {
            buffer.resize(n, 0.0);
        }
        self.neighbours(at, n, buffer)
    }

    /// As [`run`](Self::run), where `buffer` has room for `n` unless the logits are float32.
    #[inline(always)]
    pub(in crate::cpu) fn neighbours<'b>(&'b self, at: usize, n: usize, buffer: &'b mut [f32]) -> &'b [f32] {
        assert!((at + n) as u64 <= self.layout().span());
        // SAFETY: the elements span the layout, and those of this part are written by this part alone, which is borrowed; a writer
        // of this part is not where its owner reads.
        unsafe { widen(self.tensor.input, at, n, buffer) }
    }

    /// Fetches `n` logits that come [`AHEAD`] bytes behind those from `at` on.
    #[inline(always)]
    pub(in crate::cpu) fn fetch_ahead(&self, at: usize, n: usize) {
        let from = self.tensor.input.bytes(at).wrapping_add(AHEAD);
        for line in 0..(n * self.tensor.input.element_bytes()).div_ceil(LINE) {
            prefetch(from.wrapping_add(LINE * line));
        }
    }

    /// Whether there is a [`Source`], and a gradient to write without a call.
    pub(in crate::cpu) fn has_source(&self) -> bool {
        [Some(self.tensor.input), self.tensor.output].iter().flatten().all(|p| !matches!(p, Pointer::F16(_)))
    }

    /// `n` neighbours in memory.
    #[inline(always)]
    pub(in crate::cpu) fn source(&self, at: usize, n: usize) -> Option<Source> {
        assert!((at + n) as u64 <= self.layout().span());
        match self.tensor.input {
            Pointer::F32(p) => Some(Source::F32(p.wrapping_add(at))),
            Pointer::Bf16(p) => Some(Source::Bf16(p.wrapping_add(at))),
            Pointer::F16(_) => None,
        }
    }

    /// Whether the gradient goes over the logits, and both are float32.
    pub(in crate::cpu) const fn is_plain_in_place(&self) -> bool {
        matches!((self.tensor.input, self.tensor.output, self.tensor.streams), (Pointer::F32(_), Some(_), false))
    }

    /// Neighbours in memory that both are logits and become the gradient, as [`is_plain_in_place`](Self::is_plain_in_place) has it.
    #[inline(always)]
    pub(in crate::cpu) fn overwritten(&mut self, at: usize, n: usize) -> &mut [f32] {
        assert!((at + n) as u64 <= self.layout().span() && self.is_plain_in_place());
        match self.tensor.output {
            // SAFETY: the elements span the layout, and those of this part are read and written by this part alone, which is borrowed.
            Some(Pointer::F32(p)) => unsafe { std::slice::from_raw_parts_mut(p.add(at), n) },
            _ => &mut [],
        }
    }

    /// Starts a run of `writer`: elements of the order without gaps, within one sample.
    #[inline(always)]
    fn start(&self, writer: &mut LineWriter<'_>, at: usize, n: usize) {
        assert!((at + n) as u64 <= self.layout().span());
        // SAFETY: the elements span the layout, and those of this part are read and written by this part alone.
        unsafe { writer.start(at, n) };
    }

    /// Starts the gradient of classes `classes` of a row, next to one another in memory.
    #[inline(always)]
    pub(in crate::cpu) fn start_row(&self, writer: &mut LineWriter<'_>, row: usize, classes: Range<usize>) {
        assert!(self.layout().inner() == 1 && self.rows.contains(&row));
        assert!(self.columns.start <= classes.start && classes.end <= self.columns.end);
        self.start(writer, self.row_start(row) + classes.start, classes.len());
    }

    /// Where a row of neighbours starts in memory.
    #[inline(always)]
    pub(in crate::cpu) fn row_start(&self, row: usize) -> usize {
        row * self.layout().outer_stride() as usize
    }

    /// Writes gradients of elements of the order without gaps from `first` on.
    #[inline(always)]
    pub(in crate::cpu) fn write(&self, writer: &mut LineWriter<'_>, first: usize, values: &[f32]) {
        assert!(self.elements.start <= first && first + values.len() <= self.elements.end);
        self.write_elements(writer, first, values);
    }

    /// As [`write`](Self::write), of the first `n` values of a block.
    #[inline(always)]
    pub(in crate::cpu) fn write_block<S: Simd>(
        &self,
        writer: &mut LineWriter<'_>,
        simd: S,
        first: usize,
        block: &Block<S>,
        n: usize,
    ) {
        if n == block_len::<S>() && self.layout().is_contiguous() {
            assert!(self.elements.start <= first && first + n <= self.elements.end);
            self.start(writer, first, n);
            return writer.push_block::<S>(simd, block);
        }
        let mut values = [0.0; MAX_BLOCK];
        store_block::<S>(block, &mut values);
        self.write(writer, first, &values[..n]);
    }

    /// Writes the gradients of whole rows from `first` on, each row's classes next to one another.
    #[inline(always)]
    pub(in crate::cpu) fn write_rows(&mut self, writer: &mut LineWriter<'_>, first: usize, values: &[f32]) {
        let classes = self.layout().classes() as usize;
        let rows = values.len() / classes.max(1);
        assert!(self.rows.start <= first && first + rows <= self.rows.end);
        if self.layout().inner() == 1 {
            return self.write_elements(writer, first * classes, values);
        }
        for (row, values) in (first..first + rows).zip(values.chunks_exact(classes)) {
            for (class, &value) in values.iter().enumerate() {
                self.write_strided(row, class, &[value]);
            }
        }
    }

    #[inline(always)]
    fn write_elements(&self, writer: &mut LineWriter<'_>, first: usize, values: &[f32]) {
        if self.layout().is_contiguous() {
            self.start(writer, first, values.len());
            return writer.push(values);
        }
        for_samples(self.layout(), first..first + values.len(), |at, i, n| {
            self.start(writer, at, n);
            writer.push(&values[i..i + n]);
        });
    }

    /// Logits of one class in neighbouring rows of a sample, `lanes.len()` of them.
    #[inline(always)]
    pub(in crate::cpu) fn read_strided(&self, row: usize, class: usize, lanes: &mut [f32]) {
        assert!(self.rows.start <= row && row + lanes.len() <= self.rows.end);
        let at = self.layout().element(row as u32, class as u32) as usize;
        assert!((at + lanes.len()) as u64 <= self.layout().span());
        // SAFETY: as in `run`.
        unsafe {
            match self.tensor.input {
                Pointer::F32(p) => lanes.copy_from_slice(std::slice::from_raw_parts(p.add(at), lanes.len())),
                Pointer::F16(p) => {
                    std::slice::from_raw_parts(p.add(at), lanes.len()).convert_to_f32_slice(lanes);
                }
                Pointer::Bf16(p) => {
                    let from = std::slice::from_raw_parts(p.add(at), lanes.len());
                    for (lane, x) in lanes.iter_mut().zip(from) {
                        *lane = f32_from_bf16(*x);
                    }
                }
            }
        }
    }

    /// Writes what [`read_strided`](Self::read_strided) reads.
    #[inline(always)]
    pub(in crate::cpu) fn write_strided(&mut self, row: usize, class: usize, lanes: &[f32]) {
        assert!(self.rows.start <= row && row + lanes.len() <= self.rows.end);
        let at = self.layout().element(row as u32, class as u32) as usize;
        assert!((at + lanes.len()) as u64 <= self.layout().span());
        // SAFETY: as in `write_run`.
        unsafe {
            match self.tensor.output {
                None => {}
                Some(Pointer::F32(p)) => std::slice::from_raw_parts_mut(p.add(at), lanes.len()).copy_from_slice(lanes),
                Some(Pointer::F16(p)) => {
                    std::slice::from_raw_parts_mut(p.add(at), lanes.len()).convert_from_f32_slice(lanes);
                }
                Some(Pointer::Bf16(p)) => {
                    for (to, &lane) in std::slice::from_raw_parts_mut(p.add(at), lanes.len()).iter_mut().zip(lanes) {
                        *to = bf16_from_f32(lane);
                    }
                }
            }
        }
    }
}

/// Calls `visit(position in memory, position in the range, length)` for each sample's share of a range without gaps.
fn for_samples(layout: &Layout, elements: Range<usize>, mut visit: impl FnMut(usize, usize, usize)) {
    let (used, stride) = (layout.contiguous().outer_stride() as usize, layout.outer_stride() as usize);
    let mut at = elements.start;
    while at < elements.end {
        let (sample, offset) = (at / used, at % used);
        let n = (used - offset).min(elements.end - at);
        visit(sample * stride + offset, at - elements.start, n);
        at += n;
    }
}
