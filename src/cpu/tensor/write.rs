//! Writing a part's gradient.

use std::ops::Range;

use super::Pointer;
use super::convert::bf16_from_f32;
use super::lines::LineWriter;
use super::part::{Part, for_planes, for_samples};
use crate::cpu::simd::turn::turn_all_out;
use crate::cpu::simd::{BLOCK, Simd};

impl Part<'_> {
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

    /// Writes gradients of elements of the order without gaps from `first` on.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&self, simd: S, writer: &mut LineWriter<'_>, first: usize, values: &[f32]) {
        assert!(self.elements.start <= first && first + values.len() <= self.elements.end);
        for_samples(self.layout(), first..first + values.len(), |at, i, n| {
            self.start(writer, at, n);
            writer.push_all(simd, &values[i..i + n]);
        });
    }

    /// Starts the gradient of elements next to one another, the order without gaps being that of memory.
    #[inline(always)]
    pub(super) fn start_elements(&self, writer: &mut LineWriter<'_>, first: usize, n: usize) {
        assert!(self.layout().is_contiguous() && self.elements.start <= first && first + n <= self.elements.end);
        self.start(writer, first, n);
    }

    /// Writes the gradients of whole rows from `first` on, each row's classes next to one another.
    #[inline(always)]
    pub(in crate::cpu) fn write_rows<S: Simd>(
        &mut self,
        simd: S,
        writer: &mut LineWriter<'_>,
        first: usize,
        values: &[f32],
    ) {
        let classes = self.layout().classes() as usize;
        let rows = first..first + values.len() / classes.max(1);
        assert!(self.rows.start <= rows.start && rows.end <= self.rows.end);
        if self.layout().inner() > 1 {
            for (row, values) in rows.zip(values.chunks_exact(classes)) {
                for (class, &value) in values.iter().enumerate() {
                    self.write_logit(row, class, value);
                }
            }
        } else if self.layout().is_contiguous() {
            self.start(writer, first * classes, values.len());
            writer.push_all(simd, values);
        } else {
            for_samples(self.layout(), first * classes..first * classes + values.len(), |at, i, n| {
                self.start(writer, at, n);
                writer.push_all(simd, &values[i..i + n]);
            });
        }
    }

    /// Writes the gradients of one class in neighbouring rows from `first` on.
    #[inline(always)]
    pub(in crate::cpu) fn push_column<S: Simd>(
        &self,
        simd: S,
        writer: &mut LineWriter<'_>,
        first: usize,
        class: usize,
        column: &[f32],
    ) {
        assert!(self.rows.start <= first && first + column.len() <= self.rows.end);
        for_planes(self.layout(), first..first + column.len(), class, |at, i, n| {
            self.start(writer, at, n);
            writer.push_all(simd, &column[i..i + n]);
        });
    }

    /// Writes the gradients of neighbouring rows that lie class by class, `stride` numbers from class to class.
    #[inline(always)]
    pub(in crate::cpu) fn write_columns<S: Simd>(
        &mut self,
        simd: S,
        writer: &mut LineWriter<'_>,
        rows: Range<usize>,
        stride: usize,
        columns: &[f32],
        buffer: &mut Vec<f32>,
    ) {
        let (n, classes) = (rows.len(), self.layout().classes() as usize);
        assert!(n <= stride && columns.len() == classes * stride);
        if self.layout().inner() > 1 {
            for (class, column) in columns.chunks_exact(stride).enumerate() {
                self.push_column(simd, writer, rows.start, class, &column[..n]);
            }
            return;
        }
        buffer.resize(n * classes + BLOCK, 0.0);
        if n == stride {
            turn_all_out(simd, classes, columns, buffer, stride);
        } else {
            for (i, row) in buffer.chunks_exact_mut(classes).take(n).enumerate() {
                for (value, column) in row.iter_mut().zip(columns.chunks_exact(stride)) {
                    *value = column[i];
                }
            }
        }
        self.write_rows(simd, writer, rows.start, &buffer[..n * classes]);
    }

    /// Starts the gradient of whole rows without gaps.
    #[inline(always)]
    pub(in crate::cpu) fn start_rows(&self, writer: &mut LineWriter<'_>, rows: Range<usize>) {
        assert!(
            self.layout().inner() == 1
                && self.layout().is_contiguous()
                && self.columns.len() == self.layout().classes() as usize
        );
        assert!(self.rows.start <= rows.start && rows.end <= self.rows.end);
        self.start(writer, self.row_start(rows.start), rows.len() * self.columns.len());
    }

    #[inline(always)]
    fn write_logit(&mut self, row: usize, class: usize, value: f32) {
        assert!(self.rows.contains(&row));
        let at = self.layout().element(row as u32, class as u32) as usize;
        assert!((at as u64) < self.layout().span());
        // SAFETY: an element of the layout, of a row that is read and written by this part alone.
        unsafe {
            match self.tensor.output {
                None => {}
                Some(Pointer::F32(p)) => *p.add(at) = value,
                Some(Pointer::F16(p)) => *p.add(at) = half::f16::from_f32(value),
                Some(Pointer::Bf16(p)) => *p.add(at) = bf16_from_f32(value),
            }
        }
    }
}
