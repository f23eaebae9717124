//! A read-only memory map of a file, shared, and a byte range of it.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use memmap2::Mmap;

use super::At as _;

/// Bytes of a file. A clone or a [`part`](Self::part) shares the map.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// [`None`] for a file without bytes, which cannot be mapped.
    map: Option<Arc<Mmap>>,
    /// Within the map.
    range: Range<usize>,
}

impl Bytes {
    /// Maps a whole file.
    ///
    /// # Errors
    /// The file does not exist, cannot be read, or is not a regular file.
    pub fn open(path: &Path) -> Result<Self> {
        // Asked by name: to open a named pipe would wait for its writer.
        if !fs::metadata(path).at(path.display())?.is_file() {
            bail!(
                "{}: not a regular file, so it cannot be mapped into memory; save it to a file first",
                path.display()
            );
        }
        Self::map(&File::open(path).at(path.display())?).at(path.display())
    }

    /// Maps an open file.
    ///
    /// # Errors
    /// The file is larger than the address space, or the operating system refuses.
    pub fn map(file: &File) -> Result<Self> {
        let len = usize::try_from(file.metadata()?.len())?;
        if len == 0 {
            return Ok(Self { map: None, range: 0..0 });
        }
        // SAFETY: the map is read-only and private to this process. It is assumed that no other process truncates or
        // rewrites the file while it is read, as for every program that maps its input.
        let map = unsafe { Mmap::map(file)? };
        let range = 0..map.len();
        Ok(Self { map: Some(Arc::new(map)), range })
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.map.as_ref().and_then(|map| map.get(self.range.clone())).unwrap_or_default()
    }

    /// Bytes `range` of these, sharing the map; [`None`] if they reach beyond the end.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let (start, end) = (self.range.start.checked_add(range.start)?, self.range.start.checked_add(range.end)?);
        (start <= end && end <= self.range.end).then(|| Self { map: self.map.clone(), range: start..end })
    }

    /// Lets the operating system drop the pages of `range` from memory.
    pub fn release(&self, range: Range<usize>) {
        let Some(part) = self.part(range).filter(|part| !part.range.is_empty()) else { return };
        #[cfg(unix)]
        if let Some(map) = &part.map {
            // SAFETY: the map is read-only and backed by a file, so a page that is dropped is read from the file
            // again, with the same content, when it is next touched.
            let advised = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, part.range.start, part.range.len())
            };
            // Only a hint: a system that refuses it keeps the pages for as long as it likes.
            drop(advised);
        }
        #[cfg(not(unix))]
        drop(part);
    }
}
