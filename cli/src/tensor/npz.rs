//! numpy's `.npz` format: a ZIP archive of `.npy` files.
//!
//! A stored entry (`numpy.savez`) is mapped where it lies in the archive. A deflated one (`numpy.savez_compressed`)
//! is inflated once into a temporary file without a name, which is mapped in turn.

use std::io::{self, Cursor, Read, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use zip::CompressionMethod;
use zip::read::{ZipArchive, ZipFile};

use super::npy::{self, Header};
use super::{At as _, Bytes, Source, Tensor, choose_key};

/// A stored entry's checksum is verified up to this many bytes; beyond, it would cost a second pass over the file.
const MAX_CHECKED: u64 = 256 << 20;

/// Deflate expands by at most 1032 times; a header that promises more than that lies.
const MAX_EXPANSION: u64 = 1032;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Opens an array of an `.npz` file.
///
/// # Errors
/// The file cannot be read, is malformed, has no such array, or stores it in a way that is not supported.
pub fn open(path: &Path, key: Option<&str>, default_key: &str) -> Result<Tensor> {
    let file = Bytes::open(path)?;
    let not_zip = "not a readable .npz file; write it again with numpy.savez";
    let mut archive = ZipArchive::new(Cursor::new(file.as_slice())).context(not_zip).at(path.display())?;
    ensure!(!archive.has_duplicate_names(), "{}: two arrays have the same name; name them apart", path.display());
    let names = array_names(&archive);
    let name = choose_key(path, &names, key, default_key)?;
    let source = Source { path: path.to_owned(), name: Some(name.clone()) };
    let bytes = entry_bytes(&file, &mut archive, &format!("{name}.npy")).at(&source)?;
    npy::from_bytes(source, &bytes)
}

/// Names of the arrays, without the `.npy` that numpy appends.
fn array_names(archive: &Archive<'_>) -> Vec<String> {
    let names = archive.file_names().filter_map(Result::ok);
    names.filter_map(|name| name.strip_suffix(".npy").map(str::to_owned)).collect()
}

/// The `.npy` file of an entry.
fn entry_bytes(file: &Bytes, archive: &mut Archive<'_>, entry: &str) -> Result<Bytes> {
    let index = archive.index_for_name(entry).context("the archive lists the array but does not hold it")?;
    let data = archive.by_index_data(index)?;
    ensure!(!data.encrypted(), "the archive is encrypted; extract it and save it again with numpy.savez");
    let method = data.compression();
    ensure!(
        matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated),
        "compression method {method} is not supported; save with numpy.savez or numpy.savez_compressed"
    );
    let corrupt = "the archive is damaged; copy or write it again with numpy.savez";
    let mut entry = archive.by_index(index).context(corrupt)?;
    if method == CompressionMethod::Deflated {
        return inflate(&mut entry);
    }
    let (start, size) = (entry.data_start().context(corrupt)?, entry.size());
    let end = start.checked_add(size).context(corrupt)?;
    ensure!(entry.compressed_size() == size, "its two sizes in the archive differ; {corrupt}");
    let bytes = file.part(usize::try_from(start)?..usize::try_from(end)?);
    let bytes = bytes.with_context(|| format!("truncated: the array ends beyond the archive; {corrupt}"))?;
    if size <= MAX_CHECKED {
        io::copy(&mut entry, &mut io::sink()).context(corrupt)?;
    }
    Ok(bytes)
}

/// Inflates an entry to a temporary file of exactly the size that the array's own header promises.
fn inflate<R: Read + ?Sized>(entry: &mut ZipFile<'_, R>) -> Result<Bytes> {
    let corrupt = "the compressed array is damaged; copy or write it again with numpy.savez_compressed";
    let mut head = Vec::new();
    entry.by_ref().take(12 + npy::MAX_HEADER as u64).read_to_end(&mut head).context(corrupt)?;
    let header = Header::parse(&head)?;
    let (size, compressed) = (entry.size(), entry.compressed_size());
    // The archive's sizes and the header's promise bound each other before anything is written.
    header.data_range(usize::try_from(size)?)?;
    ensure!(
        size <= compressed.saturating_mul(MAX_EXPANSION),
        "{size} bytes cannot come from {compressed} compressed ones; {corrupt}"
    );
    let temporary = "cannot write the temporary file for the inflated array; free space or set TMPDIR";
    let mut out = tempfile::tempfile().context(temporary)?;
    out.write_all(&head).context(temporary)?;
    let rest = size.checked_sub(head.len() as u64).context(corrupt)?;
    let copied = copy(&mut entry.by_ref().take(rest), &mut out, corrupt, temporary)?;
    // Reading on past the end makes the reader compare the checksum, and shows an entry longer than it says.
    if copied != rest || entry.read(&mut [0]).context(corrupt)? != 0 {
        bail!("the array is not of the size that the archive gives; {corrupt}");
    }
    out.rewind().context(temporary)?;
    Bytes::map(&out)
}

/// As [`io::copy`], telling a failure of the reader from one of the writer.
fn copy(from: &mut impl Read, to: &mut impl io::Write, reading: &'static str, writing: &'static str) -> Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        let n = from.read(&mut buffer).context(reading)?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { return Ok(total) };
        to.write_all(bytes).context(writing)?;
        total += n as u64;
    }
}
