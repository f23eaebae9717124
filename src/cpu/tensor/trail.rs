//! Writing a gradient while the next one is computed.

use super::lines::LineWriter;
use super::part::Part;
use super::store::{Format, Store, ToBf16, ToF16, ToNativeBf16};
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::memory::stream_vector;
use crate::cpu::simd::{MAX_BLOCK, Simd, SimdBase, block_len, load, load_block};

/// Writes the gradient of a part's elements chunk after chunk: of each the whole blocks of lines later, a vector at a time, where
/// the loop that computes the next chunk has room between other operations. Stored all at once they would wait for memory.
pub(in crate::cpu) struct Trail<'a> {
    writer: LineWriter<'a>,
    /// The chunk that is computed, behind room for what is left of the one before.
    chunk: Aligned,
    /// How many values are left of the one before.
    left: usize,
    /// What is stored of the one before, in words of 32 bits: `n` from `from` on, to `to`.
    before: Aligned,
    from: usize,
    n: usize,
    to: *mut f32,
}

impl<'a> Trail<'a> {
    /// For chunks of up to `length` elements. None without a gradient.
    pub(in crate::cpu) fn new(part: &Part<'a>, length: usize) -> Option<Self> {
        let writer = part.writer()?;
        let (chunk, before) = (Aligned::zeros(MAX_BLOCK + length), Aligned::zeros(MAX_BLOCK + length));
        Some(Self { writer, chunk, left: 0, before, from: 0, n: 0, to: std::ptr::null_mut() })
    }

    /// Where the gradient of the chunk goes, and up to `blocks` blocks of the one before, which the caller streams.
    #[inline(always)]
    pub(in crate::cpu) fn start<S: Simd>(&mut self, blocks: usize) -> (&mut [f32], Pending<'_>) {
        let (taken, to) = (blocks.min(self.n / block_len::<S>()) * block_len::<S>(), self.to);
        let words = &self.before[self.from..self.from + taken];
        (self.from, self.n, self.to) = (self.from + taken, self.n - taken, to.wrapping_add(taken));
        (&mut self.chunk[MAX_BLOCK..], Pending { words, to })
    }

    /// Streams what is left of the chunk before.
    #[inline(always)]
    fn stream_rest<S: Simd>(&mut self, simd: S) {
        for at in (0..self.n).step_by(S::f32s::LEN) {
            // SAFETY: there are `n` words, a multiple of the vector's length, whose place begins with a line.
            unsafe { stream_vector::<S>(load(simd, &self.before, self.from + at), self.to.add(at)) };
        }
        self.n = 0;
    }

    /// Goes on to the next chunk: this one is of elements `first..first + n` of the part, in the order without gaps.
    #[inline(always)]
    pub(in crate::cpu) fn advance<S: Simd>(&mut self, simd: S, part: &Part<'_>, first: usize, n: usize) {
        self.stream_rest(simd);
        if !part.layout().is_contiguous() {
            return part.write(simd, &mut self.writer, first, &self.chunk[MAX_BLOCK..MAX_BLOCK + n]);
        }
        part.start_elements(&mut self.writer, first - self.left, self.left + n);
        let values = MAX_BLOCK - self.left..MAX_BLOCK + n;
        if !self.writer.streams() {
            let written = self.writer.push_blocks(simd, &self.chunk[values.clone()]);
            return self.writer.push(&self.chunk[values.start + written..values.end]);
        }
        let head = self.writer.to_line().min(values.len());
        self.writer.push(&self.chunk[values.start..values.start + head]);
        let from = values.start + head;
        let whole = (values.end - from) / block_len::<S>() * block_len::<S>();
        self.to = self.writer.take_lines(whole).0.cast();
        self.left = values.end - from - whole;
        // The room takes as many values from the front of their successors.
        let rest = values.end - MAX_BLOCK..values.end;
        match self.writer.format::<S>() {
            Format::F32 => {
                self.before[..MAX_BLOCK].copy_from_slice(&self.chunk[rest]);
                std::mem::swap(&mut self.chunk, &mut self.before);
                (self.from, self.n) = (from, whole);
            }
            Format::F16 => self.narrow::<S, ToF16>(simd, from, whole, rest),
            Format::Bf16 => self.narrow::<S, ToBf16>(simd, from, whole, rest),
            Format::NativeBf16 => self.narrow::<S, ToNativeBf16>(simd, from, whole, rest),
        }
    }

    /// Rounds `n` values, whole blocks, to 16 bits each.
    #[inline(always)]
    fn narrow<S: Simd, O: Store>(&mut self, simd: S, from: usize, n: usize, rest: std::ops::Range<usize>) {
        let to = self.before[..n / 2].as_mut_ptr().cast();
        for (b, values) in self.chunk[from..from + n].chunks_exact(block_len::<S>()).enumerate() {
            // SAFETY: there is room for `n` elements of 16 bits.
            unsafe { O::store::<S>(simd, &load_block(simd, values), to, b * block_len::<S>(), false) };
        }
        self.chunk.copy_within(rest, 0);
        (self.from, self.n) = (0, n / 2);
    }

    /// Writes the rest.
    #[inline(always)]
    pub(in crate::cpu) fn finish<S: Simd>(mut self, simd: S) {
        self.stream_rest(simd);
        self.writer.push(&self.chunk[MAX_BLOCK - self.left..MAX_BLOCK]);
    }
}

/// Blocks of words, and where they go.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Pending<'t> {
    words: &'t [f32],
    to: *mut f32,
}

impl Pending<'_> {
    pub(in crate::cpu) const NONE: Self = Self { words: &[], to: std::ptr::null_mut() };

    /// Block `b`, if there are so many.
    #[inline(always)]
    pub(in crate::cpu) fn block<S: Simd>(&self, b: usize) -> Option<Self> {
        let (at, length) = (b * block_len::<S>(), block_len::<S>());
        let words = self.words.get(at..at + length)?;
        Some(Self { words, to: self.to.wrapping_add(at) })
    }

    /// Its blocks.
    #[inline(always)]
    pub(in crate::cpu) fn blocks<S: Simd>(self) -> impl Iterator<Item = Self> {
        let words = self.words.chunks_exact(block_len::<S>());
        words.enumerate().map(
            #[inline(always)]
            move |(b, words)| Self { words, to: self.to.wrapping_add(b * block_len::<S>()) },
        )
    }

    /// Streams vector `i` of a block. Nothing in it branches, so that it stays between the operations that it stands between.
    #[inline(always)]
    pub(in crate::cpu) fn stream<S: Simd>(self, simd: S, i: usize) {
        let at = i * S::f32s::LEN;
        // SAFETY: where the words go there is room for as many, which nobody else accesses, and it begins with a line.
        unsafe { stream_vector::<S>(load(simd, self.words, at), self.to.add(at)) };
    }
}
