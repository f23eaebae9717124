//! A float32 `.npy` file under construction. It appears whole under its name, or not at all.

use std::fs;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tempfile::NamedTempFile;

use super::{ShapeText, element_count, npy};

/// Bytes of adjacent writes that are gathered before they go to the file.
const PENDING: usize = 1 << 20;

/// A float32 array being written, C order, in a temporary file beside its destination.
///
/// Written with ordinary writes rather than through a memory map, as a full disk is then an error and not a signal.
/// Elements that are never written are 0. Dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct NpyOutput {
    /// As the user gave it, for messages.
    path: PathBuf,
    /// Where the file goes: `path` with symbolic links followed.
    destination: PathBuf,
    file: NamedTempFile,
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
        // A link stays a link, and the file that it points to is replaced.
        let destination = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&destination).is_ok_and(|m| !m.is_file()) {
            bail!("cannot write {shown}: it exists and is not a regular file; choose another name");
        }
        let directory = destination.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        ensure!(
            directory.is_dir(),
            "cannot write {shown}: the directory {} does not exist; create it first",
            directory.display()
        );
        let header = npy::header_bytes("<f4", shape);
        let len = element_count(shape);
        let Some((len, size)) = len.and_then(|n| Some((n, n.checked_mul(4)?.checked_add(header.len())?))) else {
            bail!("cannot write {shown}: shape {} overflows", ShapeText(shape));
        };
        let file = temporary(directory).map_err(|e| {
            anyhow!("cannot write {shown}: no file can be created in {} ({e}); choose another", directory.display())
        })?;
        let mut output = Self {
            path: path.to_owned(),
            destination,
            file,
            len,
            data_start: header.len(),
            pending: header,
            pending_start: 0,
        };
        let sized = output.file.as_file().set_len(size as u64);
        sized.map_err(|e| output.write_error(&e))?;
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
            let (path, len) = (self.path.display(), self.len);
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
        self.file.as_file().sync_all().map_err(|e| self.write_error(&e))?;
        match self.file.persist(&self.destination) {
            Ok(_) => Ok(()),
            Err(e) => bail!("cannot write {}: {}; choose another name or directory", self.path.display(), e.error),
        }
    }

    /// Writes what is pending.
    fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            let file = self.file.as_file_mut();
            let written =
                file.seek(SeekFrom::Start(self.pending_start as u64)).and_then(|_| file.write_all(&self.pending));
            written.map_err(|e| self.write_error(&e))?;
            self.pending_start += self.pending.len();
            self.pending.clear();
        }
        Ok(())
    }

    fn write_error(&self, error: &io::Error) -> anyhow::Error {
        anyhow!("cannot write {}: {error}; free space or choose another directory", self.path.display())
    }
}

/// A temporary file in `directory`, with the permissions that a new file of the user has.
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".logloss-").suffix(".npy.tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}
