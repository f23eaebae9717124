//! A float32 `.npy` file under construction. It appears whole under its name, or not at all.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::{ShapeText, element_count, npy};
use crate::whole_file::WholeFile;

/// Bytes of adjacent writes that are gathered before they go to the file.
const PENDING: usize = 1 << 20;

/// A float32 array being written, C order, in a temporary file beside its destination.
///
/// Written with ordinary writes rather than through a memory map, as a full disk is then an error and not a signal.
/// Elements that are never written are 0. Dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct NpyOutput {
    file: WholeFile,
    len: usize,
    /// Byte at which the array starts.
    data_start: usize,
    /// Bytes for the file at `pending_start`, not written yet.
    pending: Vec<u8>,
    pending_start: usize,
}

impl NpyOutput {
    /// Starts an array of `shape` for `path`, whose name must end in `.npy`.
    ///
    /// # Errors
    /// The directory does not exist or cannot be written, the path is not that of a regular file, or the shape
    /// overflows.
    pub fn create(path: &Path, shape: &[usize]) -> Result<Self> {
        let shown = path.display();
        ensure!(
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")),
            "cannot write {shown}: outputs are numpy files; let the name end in .npy"
        );
        let header = npy::header_bytes("<f4", shape);
        let len = element_count(shape);
        let Some((len, size)) = len.and_then(|n| Some((n, n.checked_mul(4)?.checked_add(header.len())?))) else {
            bail!("cannot write {shown}: shape {} overflows", ShapeText(shape));
        };
        let file = WholeFile::create(path)?;
        let mut output = Self { file, len, data_start: header.len(), pending: header, pending_start: 0 };
        let sized = output.file.file().set_len(size as u64);
        sized.map_err(|e| output.file.write_error(&e))?;
        output.flush()?;
        Ok(output)
    }

    /// Number of elements.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Writes elements `start..start + values.len()`.
    ///
    /// # Errors
    /// They lie outside the array, or the file cannot be written, for one because the disk is full.
    pub fn write(&mut self, start: usize, values: &[f32]) -> Result<()> {
        let end = start.checked_add(values.len()).filter(|&end| end <= self.len);
        end.with_context(|| {
            let (path, len) = (self.file.path().display(), self.len);
            format!("cannot write {path}: elements {start} and {} more do not fit its {len}", values.len())
        })?;
        let at = self.data_start + 4 * start;
        if at != self.pending_start + self.pending.len() || self.pending.len() >= PENDING {
            self.flush()?;
            self.pending_start = at;
        }
        if cfg!(target_endian = "little") {
            self.pending.extend_from_slice(bytemuck::cast_slice(values));
        } else {
            self.pending.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        Ok(())
    }

    /// Completes the file and gives it its name, replacing a file that had it.
    ///
    /// # Errors
    /// The file cannot be written or named.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.finish()
    }

    /// Writes what is pending.
    fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            let file = self.file.file();
            let written =
                file.seek(SeekFrom::Start(self.pending_start as u64)).and_then(|_| file.write_all(&self.pending));
            written.map_err(|e| self.file.write_error(&e))?;
            self.pending_start += self.pending.len();
            self.pending.clear();
        }
        Ok(())
    }
}
