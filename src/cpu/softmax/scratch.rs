//! Memory of a thread for long rows.

use std::cell::Cell;

use super::block::Buffers;
use crate::cpu::aligned::Aligned;

/// Exponentials that a thread keeps memory for between calls: 2 MiB.
const KEPT: usize = 1 << 19;

/// Memory of a thread: some rows at most. It outlives a call, since the first touch of a page costs more than what it is for.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) row: Vec<f32>,
    pub(super) exponentials: Aligned,
    pub(super) levels: Vec<f32>,
    pub(super) buffers: Buffers,
}

impl Scratch {
    /// Runs `task` with the memory of this thread. It is taken meanwhile: a task that waits for others may find this thread running
    /// another one like it, with memory of its own.
    pub(super) fn with<R>(task: impl FnOnce(&mut Self) -> R) -> R {
        thread_local!(static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) });
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let result = task(&mut scratch);
        if scratch.exponentials.len() <= KEPT {
            SCRATCH.set(Some(scratch));
        }
        result
    }
}
