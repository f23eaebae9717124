//! How much of a batch is evaluated at once.

use logloss::Details;

use crate::failure::{Failure, Outcome};
use crate::input::Samples;
use crate::number;
use crate::tensor::ClassAxis;

/// A GPU's kernels take rows in groups of at most this many.
const GROUP_ROWS: usize = 4;

/// Bytes that target, loss and details of a row take, on host and device, in all their copies.
const ROW_BYTES: u64 = 128;

/// Bytes of the details of a row.
const DETAILS_BYTES: u64 = size_of::<Details>() as u64;

/// Most logits of a chunk, so that every index of one fits 32 bits.
const MAX_LOGITS: u64 = 1 << 31;

/// What a chunk may take.
pub(super) struct Budget {
    /// Bytes, on host and device together.
    pub(super) memory: u64,
    /// Bytes of each logit, in all its copies.
    pub(super) bytes_per_logit: u64,
    /// Most bytes of logits that the engine takes at once.
    pub(super) max_buffer: u64,
}

impl Budget {
    /// Rows of a chunk of at most so many logits. Chunks of whole groups make the groups the same for every chunk size.
    pub(super) fn rows(&self, axis: &ClassAxis, logits: u64) -> usize {
        axis.chunk_rows(self.fitting(axis.classes as u64, 1, logits).min(1 << 31), GROUP_ROWS)
    }

    /// Samples of a chunk of at most so many logits, at least one.
    pub(super) fn samples(&self, samples: Samples, classes: usize, logits: u64) -> usize {
        let positions = samples.positions.max(1) as u64;
        self.fitting(positions.saturating_mul(classes as u64), positions, logits).max(1)
    }

    /// Checks that the whole batch fits at once.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn check_whole(&self, samples: Samples, classes: usize, why: &str) -> Outcome<()> {
        let rows = (samples.count as u64).saturating_mul(samples.positions as u64);
        let bytes = self.bytes(rows.saturating_mul(classes as u64), rows);
        if bytes <= self.memory {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{why} needs the whole batch at once, which takes {}, more than the {} of --memory; raise it, or evaluate the files \
             one by one",
            number::bytes(bytes),
            number::bytes(self.memory)
        )))
    }

    /// How many units of so many logits and rows fit, in a chunk of at most `most` logits.
    fn fitting(&self, logits: u64, rows: u64, most: u64) -> usize {
        let fitting = self.memory / self.bytes(logits, rows).max(1);
        // Longer chunks gain nothing: the file's pages have left the processor's cache long before.
        let largest_buffer = logits.saturating_mul(4).max(rows.saturating_mul(DETAILS_BYTES)).max(1);
        let useful = (self.memory / 4).min(self.max_buffer) / largest_buffer;
        let addressable = MAX_LOGITS.min(most) / logits.max(1);
        usize::try_from(fitting.min(useful).min(addressable)).unwrap_or(usize::MAX)
    }

    const fn bytes(&self, logits: u64, rows: u64) -> u64 {
        logits.saturating_mul(self.bytes_per_logit).saturating_add(rows.saturating_mul(ROW_BYTES))
    }
}
