//! A file that appears whole under its name, or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use tempfile::NamedTempFile;

/// A file under construction: a temporary one beside its destination. Dropped before [`finish`](Self::finish), it leaves nothing
/// behind.
#[derive(Debug)]
pub struct WholeFile {
    /// As the user gave it, for messages.
    path: PathBuf,
    /// Where the file goes: `path` with symbolic links followed.
    destination: PathBuf,
    file: NamedTempFile,
}

impl WholeFile {
    /// Starts a file for `path`.
    ///
    /// # Errors
    /// The directory does not exist or cannot be written, or the path is not that of a regular file.
    pub fn create(path: &Path) -> Result<Self> {
        let shown = path.display();
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
        let file = temporary(directory).map_err(|e| {
            anyhow!("cannot write {shown}: no file can be created in {} ({e}); choose another", directory.display())
        })?;
        Ok(Self { path: path.to_owned(), destination, file })
    }

    /// As the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to write to.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its name, replacing a file that had it.
    ///
    /// # Errors
    /// The file cannot be written or named.
    pub fn finish(self) -> Result<()> {
        self.file.as_file().sync_all().map_err(|e| self.write_error(&e))?;
        match self.file.persist(&self.destination) {
            Ok(_) => Ok(()),
            Err(e) => bail!("cannot write {}: {}; choose another name or directory", self.path.display(), e.error),
        }
    }

    /// What to say of an error of the file.
    pub fn write_error(&self, error: &io::Error) -> anyhow::Error {
        anyhow!("cannot write {}: {error}; free space or choose another directory", self.path.display())
    }
}

/// A temporary file in `directory`, with the permissions that a new file of the user has.
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".logloss-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}
