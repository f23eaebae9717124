//! Buffers that an operation needs for itself: a few bytes a block of rows, and the row losses where the caller wants none.

use std::sync::{Arc, Mutex, PoisonError};

use super::caps::Caps;
use super::context::Context;
use super::tensors::Extent;
use super::window::Tensor;
use crate::summary::Details;
use crate::{Error, Layout, Result};

/// Elements that a workgroup of a vector pass folds; `BLOCK` in `shaders/pass/`.
pub(crate) const BLOCK: u32 = 1024;
const SURVEY_BYTES: u64 = 24;
/// Eight words, in front of the partial sums: see `shaders/row/status.wgsl`.
pub(crate) const STATUS_BYTES: u64 = 32;

/// Scratch of one operation. Encoders that share it are in no conflict: a queue runs submissions one after another, and
/// nothing in it outlives the operation that wrote it.
pub(crate) struct Scratch {
    /// The status, and behind it the partial sums of a loss of elements.
    pub status: wgpu::Buffer,
    pub surveys: [wgpu::Buffer; 2],
    pub sums: [wgpu::Buffer; 2],
    /// What is known of each row of a window that is cut into slices, and of each slice.
    pub kept: wgpu::Buffer,
    pub slices: wgpu::Buffer,
    /// Stands for row losses that the caller does not want.
    losses: wgpu::Buffer,
    /// Stands for weights and surveys that are absent; never read.
    pub absent_input: wgpu::Buffer,
    /// Stands for details that are absent; never written.
    pub absent_output: wgpu::Buffer,
    room: Room,
}

/// How much an operation needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    /// Partials that the first level of folding writes.
    pub blocks: u32,
    /// Row losses that the caller does not want.
    pub rows: u32,
    /// Partial sums of a loss of elements.
    pub partials: u32,
    /// Bytes of rows in slices, and of their slices.
    pub kept: u64,
    pub slices: u64,
}

impl Scratch {
    pub fn new(context: &Context, room: Room) -> Result<Self> {
        let Context { device, caps, .. } = context;
        let (blocks, rows) = (room.blocks.max(1), room.rows.max(1));
        let buffer = |label, size: u64| {
            check_buffer(caps, size)?;
            Ok(device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }))
        };
        let survey = || buffer("logloss surveys", SURVEY_BYTES * u64::from(blocks));
        let sum = || buffer("logloss partial sums", 4 * u64::from(blocks));
        Ok(Self {
            status: buffer("logloss status", STATUS_BYTES + 4 * u64::from(room.partials))?,
            surveys: [survey()?, survey()?],
            sums: [sum()?, sum()?],
            kept: buffer("logloss rows", room.kept.max(4))?,
            slices: buffer("logloss slices", room.slices.max(4))?,
            losses: buffer("logloss losses", 4 * u64::from(rows))?,
            absent_input: buffer("logloss absent input", SURVEY_BYTES)?,
            absent_output: buffer("logloss absent output", size_of::<Details>() as u64)?,
            room,
        })
    }

    /// The scratch kept in `slot`, made anew where it is too small.
    pub fn shared(slot: &Mutex<Option<Arc<Self>>>, context: &Context, room: Room) -> Result<Arc<Self>> {
        // A panic elsewhere cannot leave the option half-written.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(scratch) if scratch.fits(room) => Ok(scratch.clone()),
            _ => {
                let scratch = Arc::new(Self::new(context, room)?);
                *slot = Some(scratch.clone());
                Ok(scratch)
            }
        }
    }

    /// The row losses of a caller who wants none.
    pub fn losses(&self, layout: &Layout) -> Tensor<'_> {
        let Extent { sample, all } = Extent::of_rows(layout, 4);
        Tensor { buffer: &self.losses, offset: 0, sample_bytes: sample, bytes: all }
    }

    /// The partial sums of a loss of elements.
    pub fn partials(&self, count: u32) -> Tensor<'_> {
        Tensor { buffer: &self.status, offset: STATUS_BYTES, sample_bytes: 4, bytes: 4 * u64::from(count) }
    }

    fn fits(&self, room: Room) -> bool {
        let Room { blocks, rows, partials, kept, slices } = self.room;
        blocks >= room.blocks
            && rows >= room.rows
            && partials >= room.partials
            && kept >= room.kept
            && slices >= room.slices
    }
}

/// Fails for a buffer that the device could not create.
pub(crate) fn check_buffer(caps: &Caps, size: u64) -> Result<()> {
    if size <= caps.max_buffer {
        return Ok(());
    }
    Err(Error::TooLarge {
        what: "a buffer of the batch in bytes",
        size,
        limit: caps.max_buffer,
        limited_by: "max_buffer_size",
        remedy: "evaluate the batch in parts",
    })
}

pub(crate) fn whole(buffer: &wgpu::Buffer) -> wgpu::BufferBinding<'_> {
    buffer.as_entire_buffer_binding()
}
