//! Where logits are read and gradients written: any element type, any layout, in parts that tasks own.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::simd::memory::{LINE, finish_streaming, stream};
use crate::{DType, Layout, Logits};

/// Logits or a gradient to write to, of any element type. Mutable slices convert into it.
#[derive(Debug, PartialEq)]
pub enum LogitsMut<'a> {
    /// float32.
    F32(&'a mut [f32]),
    /// float16.
    F16(&'a mut [f16]),
    /// bfloat16.
    Bf16(&'a mut [bf16]),
}

macro_rules! from_slices {
    ($variant:ident, $element:ty) => {
        impl<'a> From<&'a mut [$element]> for LogitsMut<'a> {
            fn from(values: &'a mut [$element]) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a> From<&'a mut Vec<$element>> for LogitsMut<'a> {
            fn from(values: &'a mut Vec<$element>) -> Self {
                Self::$variant(values)
            }
        }
    };
}
from_slices!(F32, f32);
from_slices!(F16, f16);
from_slices!(Bf16, bf16);

impl LogitsMut<'_> {
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

    /// The same elements, to read.
    #[must_use]
    pub const fn as_logits(&self) -> Logits<'_> {
        match self {
            Self::F32(values) => Logits::F32(values),
            Self::F16(values) => Logits::F16(values),
            Self::Bf16(values) => Logits::Bf16(values),
        }
    }

    /// Writes 0 into the gaps between the samples of a layout.
    pub(super) fn clear_gaps(&mut self, layout: &Layout) {
        if layout.is_contiguous() {
            return;
        }
        match self {
            Self::F32(values) => clear(values, layout, 0.0),
            Self::F16(values) => clear(values, layout, f16::ZERO),
            Self::Bf16(values) => clear(values, layout, bf16::ZERO),
        }
    }
}

fn clear<T: Copy>(values: &mut [T], layout: &Layout, zero: T) {
    let used = layout.contiguous().outer_stride() as usize;
    for sample in values.chunks_mut(layout.outer_stride() as usize) {
        let used = used.min(sample.len());
        sample[used..].fill(zero);
    }
}

/// Elements in memory, without a lifetime, so that tasks can share the tensor and write to parts of it.
#[derive(Clone, Copy)]
enum Pointer {
    F32(*mut f32),
    F16(*mut f16),
    Bf16(*mut bf16),
}

impl Pointer {
    fn of(logits: Logits<'_>) -> Self {
        match logits {
            Logits::F32(values) => Self::F32(values.as_ptr().cast_mut()),
            Logits::F16(values) => Self::F16(values.as_ptr().cast_mut()),
            Logits::Bf16(values) => Self::Bf16(values.as_ptr().cast_mut()),
        }
    }

    fn of_mut(logits: &mut LogitsMut<'_>) -> Self {
        match logits {
            LogitsMut::F32(values) => Self::F32(values.as_mut_ptr()),
            LogitsMut::F16(values) => Self::F16(values.as_mut_ptr()),
            LogitsMut::Bf16(values) => Self::Bf16(values.as_mut_ptr()),
        }
    }
}

/// The logits of a batch, and where their gradient goes.
pub(super) struct Tensor<'a> {
    input: Pointer,
    output: Option<Pointer>,
    layout: Layout,
    /// Whether the gradient is stored past the caches: not over the logits, whose lines are there already.
    streams: bool,
    borrows: PhantomData<&'a mut ()>,
}

// SAFETY: the pointers are read and written through parts alone, whose elements are disjoint where one of them is written.
unsafe impl Sync for Tensor<'_> {}

impl<'a> Tensor<'a> {
    /// The lengths are those of the layout.
    pub(super) fn separate(layout: Layout, logits: Logits<'a>, gradient: Option<&'a mut LogitsMut<'_>>) -> Self {
        assert!(logits.len() as u64 >= layout.span());
        assert!(gradient.as_ref().is_none_or(|gradient| gradient.len() as u64 >= layout.span()));
        let output = gradient.map(|gradient| Pointer::of_mut(gradient));
        Self { input: Pointer::of(logits), output, layout, streams: true, borrows: PhantomData }
    }

    /// The gradient is written over the logits.
    pub(super) fn in_place(layout: Layout, logits: &'a mut LogitsMut<'_>) -> Self {
        assert!(logits.len() as u64 >= layout.span());
        let pointer = Pointer::of_mut(logits);
        Self { input: pointer, output: Some(pointer), layout, streams: false, borrows: PhantomData }
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) const fn has_gradient(&self) -> bool {
        self.output.is_some()
    }

    /// Runs `task` on parts of `length` rows each, in parallel, and collects in their order what it returns. Each part has the
    /// `scratch` of its thread, and one of the `outputs`.
    pub(super) fn for_rows<O: Send, T: Send, R: Send>(
        &self,
        length: usize,
        outputs: Vec<O>,
        scratch: impl Fn() -> T + Send + Sync,
        task: impl Fn(&mut Part<'_>, O, &mut T) -> R + Send + Sync,
    ) -> Vec<R> {
        let rows = self.layout.rows() as usize;
        in_parallel_with(outputs, scratch, |i, output, scratch| {
            let rows = i * length..rows.min((i + 1) * length);
            let mut part = Part { tensor: self, rows, elements: 0..0 };
            let result = task(&mut part, output, scratch);
            part.finish();
            result
        })
    }

    /// As [`for_rows`](Self::for_rows), of elements in the order without gaps.
    pub(super) fn for_elements<O: Send, T: Send, R: Send>(
        &self,
        length: usize,
        outputs: Vec<O>,
        scratch: impl Fn() -> T + Send + Sync,
        task: impl Fn(&mut Part<'_>, O, &mut T) -> R + Send + Sync,
    ) -> Vec<R> {
        let elements = self.layout.elements() as usize;
        in_parallel_with(outputs, scratch, |i, output, scratch| {
            let elements = i * length..elements.min((i + 1) * length);
            let mut part = Part { tensor: self, rows: 0..0, elements };
            let result = task(&mut part, output, scratch);
            part.finish();
            result
        })
    }
}

/// Runs `task(i, items[i], scratch)` for every item and collects the results in order.
pub(super) fn in_parallel_with<O: Send, T: Send, R: Send>(
    items: Vec<O>,
    scratch: impl Fn() -> T + Send + Sync,
    task: impl Fn(usize, O, &mut T) -> R + Send + Sync,
) -> Vec<R> {
    // A task takes memory that another has left, so that there is no more of it than tasks run at once.
    let left = Mutex::new(Vec::new());
    let memory = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |(i, item)| {
        let taken = memory().pop();
        let mut taken = taken.unwrap_or_else(&scratch);
        let result = task(i, item, &mut taken);
        memory().push(taken);
        result
    };
    items.into_par_iter().enumerate().map(run).collect()
}

/// Runs `task(i, scratch)` for every `i` below `n` and collects the results in order.
pub(super) fn in_parallel<T: Send, R: Send>(
    n: usize,
    scratch: impl Fn() -> T + Send + Sync,
    task: impl Fn(usize, &mut T) -> R + Send + Sync,
) -> Vec<R> {
    in_parallel_with(vec![(); n], scratch, |i, (), scratch| task(i, scratch))
}

/// The rows, or the elements, of a tensor that one task owns.
pub(super) struct Part<'a> {
    tensor: &'a Tensor<'a>,
    rows: Range<usize>,
    elements: Range<usize>,
}

impl Part<'_> {
    pub(super) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    pub(super) fn elements(&self) -> Range<usize> {
        self.elements.clone()
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.tensor.layout
    }

    /// Orders what this thread has streamed before whatever reads it. Rows and elements handed out by the tensor end with it; the
    /// pieces of a row need it from whoever writes them.
    pub(super) fn finish(&self) {
        if self.tensor.streams && self.tensor.has_gradient() {
            finish_streaming();
        }
    }

    /// The same rows of another tensor of as many rows, which is read and written through the parts of this one alone.
    pub(super) fn twin<'b>(&mut self, other: &'b Tensor<'b>) -> Part<'b> {
        assert_eq!(self.layout().shape(), other.layout.shape());
        Part { tensor: other, rows: self.rows.clone(), elements: 0..0 }
    }

    /// A row in pieces of `length` classes, which other threads may work on. The layout's classes are next to one another.
    pub(super) fn pieces(&mut self, row: usize, length: usize) -> Vec<Part<'_>> {
        assert!(self.rows.contains(&row) && self.layout().inner() == 1);
        let classes = self.layout().classes() as usize;
        let (start, end) = (row * classes, (row + 1) * classes);
        let piece = |first| Part { tensor: self.tensor, rows: 0..0, elements: first..end.min(first + length) };
        (start..end).step_by(length).map(piece).collect()
    }

    /// Row `row` in float32: where it lies, or converted or collected into `buffer`.
    #[inline(always)]
    pub(super) fn row<'b>(&'b self, row: usize, buffer: &'b mut Vec<f32>) -> &'b [f32] {
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
    pub(super) fn rows_together<'b>(&'b self, first: usize, n: usize, buffer: &'b mut Vec<f32>) -> Option<&'b [f32]> {
        assert!(self.rows.start <= first && first + n <= self.rows.end);
        let classes = self.layout().classes() as usize;
        let is_plain = self.layout().inner() == 1 && self.layout().is_contiguous();
        is_plain.then(|| self.run(first * classes, n * classes, buffer))
    }

    /// One logit.
    pub(super) fn logit(&self, row: usize, class: usize) -> f32 {
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
    pub(super) fn read<'b>(&'b self, elements: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32] {
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
        assert!((at + n) as u64 <= self.layout().span());
        // SAFETY: the elements span the layout, and those of this part are written by this part alone, which is borrowed.
        unsafe {
            match self.tensor.input {
                Pointer::F32(p) => return std::slice::from_raw_parts(p.add(at), n),
                Pointer::F16(p) => {
                    buffer.resize(n, 0.0);
                    std::slice::from_raw_parts(p.add(at), n).convert_to_f32_slice(buffer);
                }
                Pointer::Bf16(p) => {
                    buffer.resize(n, 0.0);
                    for (to, from) in buffer.iter_mut().zip(std::slice::from_raw_parts(p.add(at), n)) {
                        *to = f32_from(*from);
                    }
                }
            }
        }
        buffer
    }

    /// Writes gradients of elements of the order without gaps from `first` on.
    #[inline(always)]
    pub(super) fn write(&mut self, first: usize, values: &[f32]) {
        assert!(self.elements.start <= first && first + values.len() <= self.elements.end);
        self.write_elements(first, values);
    }

    /// Writes the gradients of whole rows from `first` on, each row's classes next to one another.
    #[inline(always)]
    pub(super) fn write_rows(&mut self, first: usize, values: &[f32]) {
        let classes = self.layout().classes() as usize;
        let rows = values.len() / classes.max(1);
        assert!(self.rows.start <= first && first + rows <= self.rows.end);
        if self.layout().inner() == 1 {
            return self.write_elements(first * classes, values);
        }
        for (row, values) in (first..first + rows).zip(values.chunks_exact(classes)) {
            for (class, &value) in values.iter().enumerate() {
                self.write_strided(row, class, &[value]);
            }
        }
    }

    #[inline(always)]
    fn write_elements(&mut self, first: usize, values: &[f32]) {
        if self.layout().is_contiguous() {
            return self.write_run(first, values);
        }
        let layout = *self.layout();
        for_samples(&layout, first..first + values.len(), |at, i, n| self.write_run(at, &values[i..i + n]));
    }

    /// Writes neighbours in memory.
    #[inline(always)]
    fn write_run(&mut self, at: usize, values: &[f32]) {
        assert!((at + values.len()) as u64 <= self.layout().span());
        let streams = self.tensor.streams;
        // SAFETY: the elements span the layout, and those of this part are read and written by this part alone.
        unsafe {
            match self.tensor.output {
                None => {}
                Some(Pointer::F32(p)) => {
                    let to = std::slice::from_raw_parts_mut(p.add(at), values.len());
                    store(values, to, streams, <[f32]>::copy_from_slice);
                }
                Some(Pointer::F16(p)) => {
                    let to = std::slice::from_raw_parts_mut(p.add(at), values.len());
                    convert(values, to, streams, HalfFloatSliceExt::convert_from_f32_slice);
                }
                Some(Pointer::Bf16(p)) => {
                    let to = std::slice::from_raw_parts_mut(p.add(at), values.len());
                    convert(values, to, streams, |to, from| {
                        for (to, &from) in to.iter_mut().zip(from) {
                            *to = bf16_from(from);
                        }
                    });
                }
            }
        }
    }

    /// Logits of one class in neighbouring rows of a sample, `lanes.len()` of them.
    #[inline(always)]
    pub(super) fn read_strided(&self, row: usize, class: usize, lanes: &mut [f32]) {
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
                        *lane = f32_from(*x);
                    }
                }
            }
        }
    }

    /// Writes what [`read_strided`](Self::read_strided) reads.
    #[inline(always)]
    pub(super) fn write_strided(&mut self, row: usize, class: usize, lanes: &[f32]) {
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
                        *to = bf16_from(lane);
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

/// Exact, and without a branch.
#[inline(always)]
fn f32_from(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

/// Rounds to nearest even; NaN stays NaN.
#[inline(always)]
fn bf16_from(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    bf16::from_bits(if x.is_nan() { 0x7fc0 } else { rounded })
}

/// Stores with `plain` what shares a cache line with others, and streams what fills lines.
#[inline(always)]
fn store<T: bytemuck::Pod>(from: &[T], to: &mut [T], streams: bool, plain: impl Fn(&mut [T], &[T])) {
    let head = if streams { to.as_ptr().align_offset(LINE).min(to.len()) } else { to.len() };
    let lines = (to.len() - head) / (LINE / size_of::<T>()) * (LINE / size_of::<T>());
    plain(&mut to[..head], &from[..head]);
    stream(bytemuck::cast_slice(&from[head..head + lines]), bytemuck::cast_slice_mut(&mut to[head..head + lines]));
    plain(&mut to[head + lines..], &from[head + lines..]);
}

/// Rounds in blocks that stay in the first cache, and stores those.
#[inline(always)]
fn convert<T: bytemuck::Pod>(from: &[f32], to: &mut [T], streams: bool, round: impl Fn(&mut [T], &[f32])) {
    if !streams {
        return round(to, from);
    }
    const BLOCK: usize = 1024;
    let mut block = [T::zeroed(); BLOCK];
    // Blocks end where lines do.
    let head = to.as_ptr().align_offset(LINE).min(to.len());
    let (first, others) = to.split_at_mut(head);
    round(first, &from[..head]);
    for (from, to) in from[head..].chunks(BLOCK).zip(others.chunks_mut(BLOCK)) {
        let block = &mut block[..from.len()];
        round(block, from);
        store(block, to, true, <[T]>::copy_from_slice);
    }
}
