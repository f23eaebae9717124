//! Buffers that an operation needs for itself: a few bytes a block of rows, and the row losses where the caller wants none.

use std::sync::{Arc, Mutex, PoisonError};

use super::caps::Caps;
use super::context::Context;
use super::window::Tensor;
use crate::summary::Details;
use crate::{Error, Result};

/// Elements that a workgroup of a vector pass folds; `BLOCK` in `shaders/pass/`.
pub(crate) const BLOCK: u32 = 1024;
const SURVEY_BYTES: u64 = 24;
const STATUS_BYTES: u64 = 16;

/// Scratch of one operation. Encoders that share it are in no conflict: a queue runs submissions one after another, and
/// nothing in it outlives the operation that wrote it.
pub(crate) struct Scratch {
    pub status: wgpu::Buffer,
    pub surveys: [wgpu::Buffer; 2],
    pub sums: [wgpu::Buffer; 2],
    losses: Option<wgpu::Buffer>,
    /// Stand for weights that are absent; never read.
    pub absent_input: wgpu::Buffer,
    /// Stands for details that are absent; never written.
    pub absent_output: wgpu::Buffer,
    rows: u32,
}

impl Scratch {
    pub fn new(context: &Context, rows: u32, with_losses: bool) -> Result<Self> {
        let Context { device, caps, .. } = context;
        // Each vector window may end in a partial block of its own, and a window fills at least a quarter of a binding.
        let blocks = u64::from(rows.div_ceil(BLOCK)) + u64::from(rows) * 16 / context.max_binding().max(1) + 2;
        let buffer = |label, size: u64| {
            check_buffer(caps, size)?;
            Ok(device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }))
        };
        let survey = || buffer("logloss surveys", SURVEY_BYTES * blocks);
        let sum = || buffer("logloss partial sums", 4 * blocks);
        Ok(Self {
            status: buffer("logloss status", STATUS_BYTES)?,
            surveys: [survey()?, survey()?],
            sums: [sum()?, sum()?],
            losses: with_losses.then(|| buffer("logloss losses", 4 * u64::from(rows.max(1)))).transpose()?,
            absent_input: buffer("logloss absent input", 16)?,
            absent_output: buffer("logloss absent output", size_of::<Details>() as u64)?,
            rows,
        })
    }

    /// The row losses of a caller who wants none.
    pub fn losses(&self) -> Tensor<'_> {
        Tensor { buffer: self.losses.as_ref().unwrap_or(&self.absent_output), offset: 0, row_bytes: 4 }
    }

    /// The scratch kept in `slot`, made anew where it is too small.
    pub fn shared(
        slot: &Mutex<Option<Arc<Self>>>,
        context: &Context,
        rows: u32,
        with_losses: bool,
    ) -> Result<Arc<Self>> {
        // A panic elsewhere cannot leave the option half-written.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(scratch) if scratch.fits(rows, with_losses) => Ok(scratch.clone()),
            _ => {
                let scratch = Arc::new(Self::new(context, rows, with_losses)?);
                *slot = Some(scratch.clone());
                Ok(scratch)
            }
        }
    }

    fn fits(&self, rows: u32, with_losses: bool) -> bool {
        self.rows >= rows && (self.losses.is_some() || !with_losses)
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
