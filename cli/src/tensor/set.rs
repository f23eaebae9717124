//! Several files as one batch: arrays that agree in all dimensions but the first, concatenated along it.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::{Element, ShapeText, Source, Tensor, element_count};

/// One or more arrays, read as one of shape (sum of the first dimensions, the other dimensions).
///
/// Elements are addressed by their flat index in the whole.
#[derive(Debug, Clone)]
pub struct TensorSet {
    /// In the order of the batch; never empty.
    tensors: Vec<Tensor>,
    /// Flat index at which each array ends, ascending; the start of the next.
    ends: Vec<usize>,
    shape: Vec<usize>,
    element: Element,
}

impl TensorSet {
    /// Opens every file as [`Tensor::open`] does.
    ///
    /// # Errors
    /// A file cannot be opened, or the arrays do not form one batch; the message names the file.
    pub fn open<P: AsRef<Path>>(paths: &[P], key: Option<&str>, default_key: &str) -> Result<Self> {
        Self::new(paths.iter().map(|path| Tensor::open(path.as_ref(), key, default_key)).collect::<Result<_>>()?)
    }

    /// Concatenates arrays along the first axis.
    ///
    /// # Errors
    /// There is none, they differ in another dimension or in element type, or several are single values.
    pub fn new(tensors: Vec<Tensor>) -> Result<Self> {
        let first = tensors.first().context("no files given; name at least one")?;
        let (element, mut shape) = (first.element(), first.shape().to_vec());
        let mut ends = Vec::with_capacity(tensors.len());
        let mut end = 0_usize;
        for (i, tensor) in tensors.iter().enumerate() {
            let place = tensor.source();
            if i > 0 {
                let (Some((rows, rest)), Some((more, same))) = (shape.split_first_mut(), tensor.shape().split_first())
                else {
                    bail!("{place}: one of several files, but a single value has no first axis to join along");
                };
                ensure!(
                    rest == same,
                    "{place}: shape {} does not continue {} of {}; files of one batch may differ only in the first \
                     dimension",
                    ShapeText(tensor.shape()),
                    ShapeText(first.shape()),
                    first.source()
                );
                ensure!(
                    tensor.element() == element,
                    "{place}: {} elements, but {} of {}; convert the files of one batch to one type",
                    tensor.element(),
                    element,
                    first.source()
                );
                *rows = rows.checked_add(*more).with_context(|| format!("{place}: the batch is too long"))?;
            }
            end = end.checked_add(tensor.len()).with_context(|| format!("{place}: the batch is too large"))?;
            ends.push(end);
        }
        ensure!(element_count(&shape) == Some(end), "{}: the batch is too large", first.source());
        Ok(Self { tensors, ends, shape, element })
    }

    /// Length of each dimension of the whole.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type, the same in all files.
    pub const fn element(&self) -> Element {
        self.element
    }

    /// Number of elements of the whole.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The arrays, in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// File, and flat index in its array, of an element of the whole; [`None`] beyond the end.
    pub fn locate(&self, index: usize) -> Option<(&Source, usize)> {
        let (tensor, start) = self.tensor_of(index)?;
        Some((tensor.source(), index - start))
    }

    /// Checks that the elements are floats.
    ///
    /// # Errors
    /// As [`Tensor::check_floats`].
    pub fn check_floats(&self) -> Result<()> {
        self.tensors.iter().try_for_each(Tensor::check_floats)
    }

    /// Checks that the elements are integers.
    ///
    /// # Errors
    /// As [`Tensor::check_integers`].
    pub fn check_integers(&self) -> Result<()> {
        self.tensors.iter().try_for_each(Tensor::check_integers)
    }

    /// Reads elements `range` as float32; see [`Tensor::read_f32`].
    ///
    /// # Errors
    /// As there.
    pub fn read_f32(&self, range: Range<usize>, out: &mut [f32]) -> Result<()> {
        self.read(range, out, Tensor::read_f32)
    }

    /// Reads elements `range` as int32; see [`Tensor::read_i32`].
    ///
    /// # Errors
    /// As there.
    pub fn read_i32(&self, range: Range<usize>, out: &mut [i32]) -> Result<()> {
        self.read(range, out, Tensor::read_i32)
    }

    /// Elements `range` without a copy, where they lie in one file as aligned float32.
    pub fn as_f32(&self, range: Range<usize>) -> Option<&[f32]> {
        if range.is_empty() {
            return (range.end <= self.len()).then_some(&[]);
        }
        let (tensor, start) = self.tensor_of(range.start)?;
        tensor.as_f32()?.get(range.start - start..range.end - start)
    }

    /// Lets go of the memory pages of elements `range`; see [`Tensor::release`].
    pub fn release(&self, range: Range<usize>) {
        for (tensor, start) in self.starts() {
            let (from, to) = (range.start.max(start), range.end.min(start + tensor.len()));
            if from < to {
                tensor.release(from - start..to - start);
            }
        }
    }

    /// Reads the part of `range` that each file holds.
    fn read<T>(
        &self,
        range: Range<usize>,
        out: &mut [T],
        read: impl Fn(&Tensor, Range<usize>, &mut [T]) -> Result<()>,
    ) -> Result<()> {
        if range.end > self.len() || range.end.checked_sub(range.start) != Some(out.len()) {
            return Err(anyhow!("elements {range:?} of {} do not fill a buffer of {}", self.len(), out.len()));
        }
        let mut at = range.start;
        let mut out = out;
        while at < range.end {
            let (tensor, start) = self.tensor_of(at).context("an element outside the batch")?;
            let local = at - start;
            let count = (tensor.len() - local).min(range.end - at);
            let (head, tail) = std::mem::take(&mut out).split_at_mut_checked(count).context("a buffer too short")?;
            read(tensor, local..local + count, head)?;
            out = tail;
            at += count;
        }
        Ok(())
    }

    /// The array that holds an element, and the flat index at which it starts.
    fn tensor_of(&self, index: usize) -> Option<(&Tensor, usize)> {
        let i = self.ends.partition_point(|&end| end <= index);
        let tensor = self.tensors.get(i)?;
        Some((tensor, self.ends.get(i)? - tensor.len()))
    }

    fn starts(&self) -> impl Iterator<Item = (&Tensor, usize)> {
        self.tensors.iter().zip(&self.ends).map(|(tensor, end)| (tensor, end - tensor.len()))
    }
}
