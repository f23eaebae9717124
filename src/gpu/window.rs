//! Windows over batches larger than a binding: ranges of rows, and where each tensor's range lies.

use std::num::NonZeroU64;

use crate::{Error, Result};

/// A range of rows that is computed by one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Index in the batch of its first row.
    pub first_row: u32,
    /// Number of rows.
    pub rows: u32,
}

/// Cuts `rows` into windows that fit a binding of `max_binding` bytes, at multiples of the first of `steps` that fits.
pub(crate) fn cut(rows: u32, steps: &[u32], row_bytes: u64, max_binding: u64, alignment: u32) -> Result<Vec<Window>> {
    if rows == 0 {
        return Ok(Vec::new());
    }
    // A window may start up to one alignment behind its binding's offset.
    let room = max_binding.saturating_sub(alignment.into());
    let fitting = u32::try_from(room / row_bytes).unwrap_or(u32::MAX);
    let Some(step) = steps.iter().find(|&&step| step <= fitting) else {
        return Err(Error::TooLarge {
            what: "a group of rows in bytes",
            size: row_bytes * u64::from(steps.last().map_or(1, |&step| step)),
            limit: room,
            limited_by: "max_storage_buffer_binding_size",
            remedy: "request the adapter's own limits or use the CPU engine",
        });
    };
    let size = (fitting - fitting % step).min(rows);
    let starts = (0..rows).step_by(size as usize);
    Ok(starts.map(|first_row| Window { first_row, rows: size.min(rows - first_row) }).collect())
}

/// A caller's binding, checked, that windows are cut from.
#[derive(Clone)]
pub(crate) struct Tensor<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub offset: u64,
    pub row_bytes: u64,
}

/// A window's part of a tensor, and the bytes in front of its first row that the aligned offset brings along.
pub(crate) struct Part<'a> {
    pub binding: wgpu::BufferBinding<'a>,
    pub lead: u32,
}

impl<'a> Tensor<'a> {
    /// The tensor behind `binding`, after checking everything that wgpu would otherwise report through its error handler.
    pub fn check(
        name: &'static str,
        binding: &wgpu::BufferBinding<'a>,
        row_bytes: u64,
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
        let behind = buffer.size().saturating_sub(offset);
        let got = size.map_or(behind, |size| size.get().min(behind));
        if got < bytes {
            return Err(Error::BindingTooSmall { name, needed: bytes, got });
        }
        Ok(Self { buffer, offset, row_bytes })
    }

    /// The part of a window. `alignment` is the device's.
    pub fn part(&self, window: Window, alignment: u32) -> Part<'a> {
        let begin = self.offset + u64::from(window.first_row) * self.row_bytes;
        let lead = begin % u64::from(alignment);
        let size = lead + u64::from(window.rows) * self.row_bytes;
        let binding = wgpu::BufferBinding { buffer: self.buffer, offset: begin - lead, size: NonZeroU64::new(size) };
        // The lead is less than the alignment, which is a u32.
        #[expect(clippy::cast_possible_truncation, reason = "less than a u32 alignment")]
        Part { binding, lead: lead as u32 }
    }
}
