//! Reading a part's logits, in float32.

use std::ops::Range;

use super::convert::{f32_from_bf16, widen};
use super::part::{Part, for_planes, for_samples};
use super::{Pointer, Source};
use crate::cpu::simd::Simd;
use crate::cpu::simd::memory::{AHEAD, LINE, SOON, prefetch, prefetch_second};
use crate::cpu::simd::turn::turn_all_in;

/// Lines of memory that will be read, on their way to the second cache and from there to the first.
///
/// Some are left for later, when the logits in front of them have been read: memory is busy for longer then.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct LinesAhead {
    next: *const u8,
    step: usize,
    end: *const u8,
    soon: *const u8,
    /// Bytes of as many logits as a line has in float32.
    line: usize,
}

impl LinesAhead {
    /// Fetches what comes behind the logits of a line of float32.
    #[inline(always)]
    pub(in crate::cpu) fn fetch(&mut self) {
        prefetch(self.soon);
        self.soon = self.soon.wrapping_add(self.line);
        self.fetch_left(1);
    }

    /// Fetches lines that are left. Some may be fetched again, which costs little.
    #[inline(always)]
    pub(in crate::cpu) fn fetch_left(&mut self, lines: usize) {
        for _ in 0..lines {
            prefetch_second(self.next);
            self.next = self.next.wrapping_add(self.step);
        }
    }

    /// How many are left.
    #[inline(always)]
    pub(in crate::cpu) fn left(&self) -> usize {
        self.end.addr().saturating_sub(self.next.addr()).div_ceil(self.step)
    }
}

impl Part<'_> {
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

    /// Rows `first..first + n` without gaps: where they lie, or converted or collected into `buffer`. The classes of the layout are
    /// next to one another.
    #[inline(always)]
    pub(in crate::cpu) fn rows_together<'b>(&'b self, first: usize, n: usize, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        assert!(self.layout().inner() == 1 && self.rows.start <= first && first + n <= self.rows.end);
        let classes = self.layout().classes() as usize;
        if self.layout().is_contiguous() {
            return self.run(first * classes, n * classes, buffer);
        }
        self.collect(first * classes..(first + n) * classes, buffer)
    }

    /// One logit.
    pub(in crate::cpu) fn logit(&self, row: usize, class: usize) -> f32 {
        assert!(self.rows.contains(&row) && class < self.layout().classes() as usize);
        self.neighbour(self.layout().element(row as u32, class as u32) as usize)
    }

    /// The logit of one class in each of the rows from `first` on; 0 where that is no class.
    #[inline(always)]
    pub(in crate::cpu) fn pick(&self, first: usize, classes: &[u32], to: &mut [f32]) {
        assert!(self.rows.start <= first && first + classes.len() <= self.rows.end && classes.len() <= to.len());
        // SAFETY: these are logits of the layout, which the elements span, and of rows of this part.
        unsafe {
            match self.tensor.input {
                Pointer::F32(p) => self.pick_with(first, classes, to, |at| *p.add(at)),
                Pointer::F16(p) => self.pick_with(first, classes, to, |at| (*p.add(at)).to_f32()),
                Pointer::Bf16(p) => self.pick_with(first, classes, to, |at| f32_from_bf16(*p.add(at))),
            }
        }
    }

    #[inline(always)]
    fn pick_with(&self, first: usize, classes: &[u32], to: &mut [f32], logit: impl Fn(usize) -> f32) {
        let (all, step) = (self.layout().classes(), self.layout().inner() as usize);
        if step == 1 {
            let rows = (first..).map(|row| self.row_start(row));
            for ((&class, to), row) in classes.iter().zip(to).zip(rows) {
                *to = if class < all { logit(row + class as usize) } else { 0.0 };
            }
            return;
        }
        for_planes(self.layout(), first..first + classes.len(), 0, |at, i, n| {
            for (k, (&class, to)) in classes[i..i + n].iter().zip(&mut to[i..i + n]).enumerate() {
                *to = if class < all { logit(at + k + class as usize * step) } else { 0.0 };
            }
        });
    }

    /// The logit at a place in memory, of a row of this part.
    #[inline(always)]
    pub(in crate::cpu) fn neighbour(&self, at: usize) -> f32 {
        assert!((at as u64) < self.layout().span());
        // SAFETY: the elements span the layout; who owns the part reads no logit of another's.
        unsafe {
            match self.tensor.input {
                Pointer::F32(p) => *p.add(at),
                Pointer::F16(p) => (*p.add(at)).to_f32(),
                Pointer::Bf16(p) => f32_from_bf16(*p.add(at)),
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
        self.collect(elements, buffer)
    }

    /// Elements of the order without gaps, next to one another in `buffer`.
    fn collect<'b>(&self, elements: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        let mut piece = Vec::new();
        buffer.clear();
        for_samples(self.layout(), elements, |at, _, n| buffer.extend_from_slice(self.run(at, n, &mut piece)));
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
        let from = self.tensor.input.bytes(at);
        for line in 0..(n * self.tensor.input.element_bytes()).div_ceil(LINE) {
            crate::cpu::simd::memory::fetch_in_steps(from.wrapping_add(LINE * line));
        }
    }

    /// The lines [`AHEAD`] bytes behind `n` logits.
    #[inline(always)]
    pub(in crate::cpu) fn lines_ahead(&self, at: usize, n: usize) -> LinesAhead {
        let (from, bytes) = (self.tensor.input.bytes(at), self.tensor.input.element_bytes());
        let line = LINE / size_of::<f32>() * bytes;
        // What is left may be no more than the distance: of few lines a half, of many an eighth.
        let step = if n * bytes <= AHEAD { line / 2 } else { line - line / 8 };
        let next = from.wrapping_add(AHEAD);
        LinesAhead { next, step, end: next.wrapping_add(n * bytes), soon: from.wrapping_add(SOON), line }
    }

    /// `n` neighbours in memory.
    #[inline(always)]
    pub(in crate::cpu) fn source(&self, at: usize, n: usize) -> Source {
        assert!((at + n) as u64 <= self.layout().span());
        match self.tensor.input {
            Pointer::F32(p) => Source::F32(p.wrapping_add(at)),
            Pointer::F16(p) => Source::F16(p.wrapping_add(at)),
            Pointer::Bf16(p) => Source::Bf16(p.wrapping_add(at)),
        }
    }

    /// Logits of one class in neighbouring rows from `first` on.
    #[inline(always)]
    pub(in crate::cpu) fn read_column(&self, first: usize, class: usize, column: &mut [f32]) {
        assert!(self.rows.start <= first && first + column.len() <= self.rows.end);
        for_planes(self.layout(), first..first + column.len(), class, |at, i, n| {
            let column = &mut column[i..i + n];
            assert!((at + n) as u64 <= self.layout().span());
            // SAFETY: as in `run`.
            unsafe {
                match self.tensor.input {
                    Pointer::F32(p) => column.copy_from_slice(std::slice::from_raw_parts(p.add(at), n)),
                    narrow => {
                        widen(narrow, at, n, column);
                    }
                }
            }
        });
    }

    /// Logits of neighbouring rows, class by class, `stride` numbers from class to class; behind the last row's are 0.
    #[inline(always)]
    pub(in crate::cpu) fn read_columns<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        stride: usize,
        to: &mut [f32],
        buffer: &mut Vec<f32>,
    ) {
        let (n, classes) = (rows.len(), self.layout().classes() as usize);
        assert!(n <= stride && to.len() == classes * stride);
        if n < stride {
            to.chunks_exact_mut(stride).for_each(|column| column[n..].fill(0.0));
        }
        if self.layout().inner() > 1 {
            for (class, column) in to.chunks_exact_mut(stride).enumerate() {
                self.read_column(rows.start, class, &mut column[..n]);
            }
            return;
        }
        let rows = self.rows_together(rows.start, n, buffer);
        if n == stride {
            return turn_all_in(simd, classes, rows, to, stride);
        }
        for (i, row) in rows.chunks_exact(classes).enumerate() {
            for (column, &x) in to.chunks_exact_mut(stride).zip(row) {
                column[i] = x;
            }
        }
    }
}
