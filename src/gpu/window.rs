//! Windows over batches larger than a binding: ranges of samples, and where each tensor's range lies.

use std::num::NonZeroU64;

use crate::{Error, Result};

/// A range of samples that is computed by one dispatch: rows where the class axis is last, blocks of logits where rows do not
/// matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Index in the batch of its first sample.
    pub first: u32,
    /// Number of samples.
    pub count: u32,
}

/// Cuts `count` samples into windows that fit a binding of `max_binding` bytes, at multiples of the first of `steps` that fits.
pub(crate) fn cut(
    count: u32,
    steps: &[u32],
    sample_bytes: u64,
    max_binding: u64,
    alignment: u32,
) -> Result<Vec<Window>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    // A window may start up to one alignment behind its binding's offset.
    let room = max_binding.saturating_sub(alignment.into());
    let fitting = u32::try_from(room / sample_bytes.max(1)).unwrap_or(u32::MAX);
    let Some(step) = steps.iter().find(|&&step| step <= fitting) else {
        return Err(Error::TooLarge {
            what: "a group of rows in bytes",
            size: sample_bytes * u64::from(steps.last().map_or(1, |&step| step)),
            limit: room,
            limited_by: "max_storage_buffer_binding_size",
            remedy: "request the adapter's own limits or use the CPU engine",
        });
    };
    let size = (fitting - fitting % step).min(count);
    let starts = (0..count).step_by(size as usize);
    Ok(starts.map(|first| Window { first, count: size.min(count - first) }).collect())
}

/// A caller's binding, checked, that windows are cut from.
#[derive(Clone)]
pub(crate) struct Tensor<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub offset: u64,
    /// Bytes from one sample to the next.
    pub sample_bytes: u64,
    /// Bytes from the first entry to behind the last, of which the binding has all.
    pub bytes: u64,
}

/// A window's part of a tensor, and the bytes in front of its first sample that the aligned offset brings along.
pub(crate) struct Part<'a> {
    pub binding: wgpu::BufferBinding<'a>,
    pub lead: u32,
}

impl<'a> Tensor<'a> {
    /// The tensor behind `binding`, after checking everything that wgpu would otherwise report through its error handler.
    pub fn check(
        name: &'static str,
        binding: &wgpu::BufferBinding<'a>,
        sample_bytes: u64,
        bytes: u64,
        usage: wgpu::BufferUsages,
        alignment: u32,
    ) -> Result<Self> {
        let wgpu::BufferBinding { buffer, offset, size } = *binding;
        if !buffer.usage().contains(usage) {
            return Err(Error::MissingUsage { name, usage });
        }
        if offset % u64::from(alignment) != 0 {
            return Err(Error::MisalignedOffset { name, offset, alignment });
        }
        // Bindings are made of whole words: an odd number of 16-bit elements brings half a word along.
        let needed = bytes.next_multiple_of(4);
        let behind = buffer.size().saturating_sub(offset);
        let got = size.map_or(behind, |size| size.get().min(behind));
        if got < needed {
            return Err(Error::BindingTooSmall { name, needed, got });
        }
        Ok(Self { buffer, offset, sample_bytes, bytes })
    }

    /// All of it.
    pub fn all(&self) -> wgpu::BufferBinding<'a> {
        let size = NonZeroU64::new(self.bytes.next_multiple_of(4));
        wgpu::BufferBinding { buffer: self.buffer, offset: self.offset, size }
    }

    /// The same tensor of 4-byte entries, cut by entries.
    pub fn by_rows(&self) -> Self {
        Self { sample_bytes: 4, ..self.clone() }
    }

    /// The part of a window. `alignment` is the device's.
    pub fn part(&self, window: Window, alignment: u32) -> Part<'a> {
        self.range(u64::from(window.first) * self.sample_bytes, u64::from(window.count) * self.sample_bytes, alignment)
    }

    /// `bytes` bytes from `begin`, or as many as there are.
    pub fn range(&self, begin: u64, bytes: u64, alignment: u32) -> Part<'a> {
        let bytes = bytes.min(self.bytes.saturating_sub(begin));
        let begin = self.offset + begin;
        let lead = begin % u64::from(alignment);
        let size = NonZeroU64::new((lead + bytes).next_multiple_of(4));
        let binding = wgpu::BufferBinding { buffer: self.buffer, offset: begin - lead, size };
        // The lead is less than the alignment, which is a u32.
        #[expect(clippy::cast_possible_truncation, reason = "less than a u32 alignment")]
        Part { binding, lead: lead as u32 }
    }
}
