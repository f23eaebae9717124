//! Stores past the caches: a line that is stored whole need not be read first.

use std::marker::PhantomData;

use super::Pointer;
use super::convert::{narrow_bf16, narrow_f16};
use super::store::{Format, Store, ToBf16, ToF16, ToF32, ToNativeBf16};
use crate::DType;
use crate::cpu::simd::memory::{LINE, stream_line};
use crate::cpu::simd::{MAX_BLOCK, Simd, block_len, load_block};

/// Writes runs of neighbours in memory, in order, rounded to their element type.
///
/// Values gather in a buffer of a few lines and leave it a line at a time. The lines at the ends of a run, which may be shared
/// with others, are stored as any other memory. A run that goes on where the last one ended shares nothing.
pub(in crate::cpu) struct LineWriter<'a> {
    output: Pointer,
    streams: bool,
    /// The element that the next value belongs to, and the first behind the run.
    next: usize,
    end: usize,
    /// Where the first byte of `lines` belongs.
    base: *mut u8,
    /// Bytes at the front of `lines` that are others', and bytes that are filled, those included.
    skipped: usize,
    filled: usize,
    lines: Lines,
    tensor: PhantomData<&'a ()>,
}

#[repr(align(64))]
struct Lines([u8; BYTES]);

/// A block, and a line that was not full.
const BYTES: usize = size_of::<f32>() * MAX_BLOCK + LINE;

impl Pointer {
    pub(super) const fn dtype(self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::Bf16,
        }
    }

    pub(super) const fn element_bytes(self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::F16(_) | Self::Bf16(_) => 2,
        }
    }

    pub(super) fn bytes(self, at: usize) -> *mut u8 {
        let p = match self {
            Self::F32(p) => p.cast::<u8>(),
            Self::F16(p) => p.cast(),
            Self::Bf16(p) => p.cast(),
        };
        p.wrapping_add(at * self.element_bytes())
    }
}

impl LineWriter<'_> {
    /// A writer without a run. Without `streams` it stores as any other memory, where lines are in the caches already.
    pub(super) fn new(output: Pointer, streams: bool) -> Self {
        let base = output.bytes(0);
        let lines = Lines([0; BYTES]);
        Self { output, streams, next: 0, end: 0, base, skipped: 0, filled: 0, lines, tensor: PhantomData }
    }

    /// Starts a run of `n` elements.
    ///
    /// # Safety
    /// Until the run ends nobody else accesses its elements, which can be written.
    #[inline(always)]
    pub(super) unsafe fn start(&mut self, at: usize, n: usize) {
        if at != self.next || self.end == 0 {
            self.flush();
            self.begin(at);
        }
        self.end = at + n;
    }

    /// Goes on with an element, when nothing is left to store.
    #[inline(always)]
    fn begin(&mut self, at: usize) {
        let to = self.output.bytes(at);
        self.skipped = if self.streams { to.addr() % LINE } else { 0 };
        self.filled = self.skipped;
        self.base = to.wrapping_sub(self.skipped);
        self.next = at;
    }

    /// How many elements are missing from the line that the next value goes into, if it is streamed.
    #[inline(always)]
    pub(in crate::cpu) fn to_line(&self) -> usize {
        if self.filled == 0 { 0 } else { (LINE - self.filled) / self.output.element_bytes() }
    }

    /// Whether whole lines go past the caches.
    pub(in crate::cpu) const fn streams(&self) -> bool {
        self.streams
    }

    /// How vectors become elements.
    #[inline(always)]
    pub(in crate::cpu) fn format<S: Simd>(&self) -> Format {
        Format::of::<S>(self.output.dtype())
    }

    /// Takes the next `n` elements of the run for the caller to store, and gives where they are and whether they are streamed, in
    /// which case they begin with a line.
    #[inline(always)]
    pub(in crate::cpu) fn take_lines(&mut self, n: usize) -> (*mut u8, bool) {
        assert!(self.filled == 0 || n == 0, "a line is begun");
        let at = self.take(n);
        if n > 0 {
            self.begin(at + n);
        }
        (self.output.bytes(at), self.streams)
    }

    /// Writes the next values of the run.
    #[inline(always)]
    pub(in crate::cpu) fn push(&mut self, values: &[f32]) {
        values.chunks(MAX_BLOCK).for_each(|part| self.push_part(part));
    }

    /// As [`push`](Self::push), of the first `n`. A copy of all of them, of constant length, is no call.
    #[inline(always)]
    pub(in crate::cpu) fn push_front(&mut self, values: &[f32; MAX_BLOCK], n: usize) {
        if !self.streams || self.output.element_bytes() != size_of::<f32>() {
            return self.push_part(&values[..n]);
        }
        self.take(n);
        self.lines.0[self.filled..][..size_of_val(values)].copy_from_slice(bytemuck::cast_slice(values));
        self.emit(n * size_of::<f32>());
    }

    /// At most a block.
    #[inline(always)]
    fn push_part(&mut self, values: &[f32]) {
        let n = values.len();
        let at = self.take(n);
        if !self.streams {
            // SAFETY: elements of the run, by `take`.
            unsafe {
                match self.output {
                    Pointer::F32(p) => std::slice::from_raw_parts_mut(p.add(at), n).copy_from_slice(values),
                    Pointer::F16(p) => narrow_f16(values, std::slice::from_raw_parts_mut(p.add(at), n)),
                    Pointer::Bf16(p) => narrow_bf16(values, std::slice::from_raw_parts_mut(p.add(at), n)),
                }
            }
            return;
        }
        let bytes = n * self.output.element_bytes();
        let to = &mut self.lines.0[self.filled..self.filled + bytes];
        match self.output {
            Pointer::F32(_) => to.copy_from_slice(bytemuck::cast_slice(values)),
            Pointer::F16(_) => narrow_f16(values, bytemuck::cast_slice_mut(to)),
            Pointer::Bf16(_) => narrow_bf16(values, bytemuck::cast_slice_mut(to)),
        }
        self.emit(bytes);
    }

    /// As [`push`](Self::push), of as many of the values as fill whole blocks of lines, which go straight to where they belong.
    /// Gives their number.
    #[inline(always)]
    pub(in crate::cpu) fn push_blocks<S: Simd>(&mut self, simd: S, values: &[f32]) -> usize {
        let (head, rest) = values.split_at(self.to_line().min(values.len()));
        if !head.is_empty() {
            self.push_part(head);
        }
        let blocks = rest.chunks_exact(block_len::<S>());
        let n = rest.len() - blocks.remainder().len();
        if n > 0 {
            let ((to, streams), format) = (self.take_lines(n), self.format::<S>());
            for (b, values) in blocks.enumerate() {
                let (values, at) = (load_block(simd, values), b * block_len::<S>());
                // SAFETY: elements of the run, which begin with a line if they are streamed.
                unsafe {
                    match format {
                        Format::F32 => ToF32::store::<S>(simd, &values, to, at, streams),
                        Format::F16 => ToF16::store::<S>(simd, &values, to, at, streams),
                        Format::Bf16 => ToBf16::store::<S>(simd, &values, to, at, streams),
                        Format::NativeBf16 => ToNativeBf16::store::<S>(simd, &values, to, at, streams),
                    }
                }
            }
        }
        head.len() + n
    }

    /// As [`push`](Self::push), of any values.
    #[inline(always)]
    pub(in crate::cpu) fn push_all<S: Simd>(&mut self, simd: S, values: &[f32]) {
        simd.vectorize(
            #[inline(always)]
            || {
                let n = self.push_blocks(simd, values);
                self.push(&values[n..]);
            },
        );
    }

    /// Takes `n` elements of the run and gives the index of the first.
    #[inline(always)]
    fn take(&mut self, n: usize) -> usize {
        assert!(n <= self.end - self.next, "a run has room for what is written");
        let at = self.next;
        self.next += n;
        at
    }

    /// Stores the lines that `bytes` more have filled.
    #[inline(always)]
    fn emit(&mut self, bytes: usize) {
        self.filled += bytes;
        let whole = self.filled / LINE * LINE;
        let (lines, _) = self.lines.0[..whole].as_chunks::<LINE>();
        for (i, line) in lines.iter().enumerate() {
            let to = self.base.wrapping_add(LINE * i);
            // SAFETY: the bytes from `base + skipped` to `base + filled` are elements of the run, and `base` is the start of a
            // line.
            unsafe {
                if self.skipped == 0 {
                    stream_line(line, to);
                } else {
                    let own = &line[self.skipped..];
                    std::ptr::copy_nonoverlapping(own.as_ptr(), to.add(self.skipped), own.len());
                    self.skipped = 0;
                }
            }
        }
        // Of a line, whatever there is of it.
        self.lines.0.copy_within(whole..whole + LINE, 0);
        self.base = self.base.wrapping_add(whole);
        self.filled -= whole;
    }

    /// Stores what has not filled a line.
    #[inline(always)]
    fn flush(&mut self) {
        let own = &self.lines.0[self.skipped..self.filled];
        // SAFETY: as in `emit`.
        unsafe { std::ptr::copy_nonoverlapping(own.as_ptr(), self.base.add(self.skipped), own.len()) };
        (self.skipped, self.filled) = (0, 0);
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
