//! Tensors in files: opening, reading and writing arrays that may be larger than memory.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`element`] | element types and their conversion to float32 and int32 |
//! | [`bytes`] | the read-only memory map below every array |
//! | [`npy`], [`npz`], [`safetensors`] | the three formats: each turns a file into a [`Tensor`] |
//! | [`set`] | several files as one batch along the first axis |
//! | [`axis`] | the class axis: rows out of and back into any memory layout |
//! | [`output`] | a float32 `.npy` file under construction |
//!
//! Nothing that a file claims is believed before it has been compared with the size of the file.

pub mod axis;
pub mod bytes;
pub mod element;
pub mod npy;
pub mod npz;
pub mod output;
pub mod safetensors;
pub mod set;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

pub use axis::ClassAxis;
pub use bytes::Bytes;
pub use element::Element;
pub use output::NpyOutput;
pub use set::TensorSet;

/// Where an array comes from: a file and, in an archive, the array's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Name of the array inside an `.npz` or `.safetensors` file.
    pub name: Option<String>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} (array '{name}')", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

/// An array in a file, C order, little-endian, memory-mapped: opening one reads its header only.
///
/// Elements are addressed by their flat index, `0..len()`.
#[derive(Debug, Clone)]
pub struct Tensor {
    source: Source,
    element: Element,
    shape: Vec<usize>,
    /// Number of elements: the product of the shape.
    len: usize,
    bytes: Bytes,
}

impl Tensor {
    /// Opens the array of a `.npy`, `.npz` or `.safetensors` file.
    ///
    /// In the latter two the array is the one named `key`; without a key the one named `default_key`, else the only one.
    ///
    /// # Errors
    /// The file cannot be read, is malformed, has no such array, or stores it in a way that is not supported; the
    /// message names the file and the remedy.
    pub fn open(path: &Path, key: Option<&str>, default_key: &str) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "npy" => match key {
                None => npy::open(path),
                Some(key) => bail!(
                    "{}: a .npy file holds one array without a name; leave out the key '{key}' or give an .npz or \
                     .safetensors file",
                    path.display()
                ),
            },
            "npz" => npz::open(path, key, default_key),
            "safetensors" => safetensors::open(path, key, default_key),
            _ => bail!(
                "{}: not a tensor file by its name; .npy, .npz and .safetensors are supported (numpy.save writes .npy)",
                path.display()
            ),
        }
    }

    /// An array over bytes whose number has been checked against element type and shape.
    fn new(source: Source, element: Element, shape: Vec<usize>, bytes: Bytes) -> Result<Self> {
        let len = element_count(&shape);
        match len.filter(|len| len.checked_mul(element.size()) == Some(bytes.as_slice().len())) {
            Some(len) => Ok(Self { source, element, shape, len, bytes }),
            None => bail!(
                "{source}: shape {} of {element} does not fit the {} bytes of the array; write the file again",
                ShapeText(&shape),
                bytes.as_slice().len()
            ),
        }
    }

    /// File and name of the array.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Length of each dimension; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type in the file.
    pub const fn element(&self) -> Element {
        self.element
    }

    /// Number of elements.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Checks that the elements are floats.
    ///
    /// # Errors
    /// They are integers; the message names the file.
    pub fn check_floats(&self) -> Result<()> {
        if self.element.is_float() {
            return Ok(());
        }
        bail!(
            "{}: {} values where floats are needed; save them as float32 (numpy: x.astype(numpy.float32))",
            self.source,
            self.element
        )
    }

    /// Checks that the elements are integers; bool is one.
    ///
    /// # Errors
    /// They are floats; the message names the file.
    pub fn check_integers(&self) -> Result<()> {
        if !self.element.is_float() {
            return Ok(());
        }
        bail!(
            "{}: {} values where integers are needed; save class indices as integers (numpy: x.astype(numpy.int64)) or \
             choose a loss that takes one value a logit",
            self.source,
            self.element
        )
    }

    /// Reads elements `range` as float32: float16 and bfloat16 widen exactly, other types round to nearest.
    ///
    /// # Errors
    /// Range, array and `out` disagree in length.
    pub fn read_f32(&self, range: Range<usize>, out: &mut [f32]) -> Result<()> {
        element::to_f32(self.element, self.slice(range, out.len())?, out);
        Ok(())
    }

    /// Reads elements `range` as int32; bool becomes 0 and 1.
    ///
    /// # Errors
    /// The elements are not integers, a value does not fit int32 (the message names its flat index), or range, array
    /// and `out` disagree in length.
    pub fn read_i32(&self, range: Range<usize>, out: &mut [i32]) -> Result<()> {
        self.check_integers()?;
        let start = range.start;
        element::to_i32(self.element, self.slice(range, out.len())?, out).map_err(|bad| {
            anyhow!(
                "{}: value {} at flat index {} does not fit a 32-bit integer; targets are class indices of at most {}",
                self.source,
                bad.value,
                start + bad.index,
                i32::MAX
            )
        })
    }

    /// The whole array without a copy, where the file holds aligned float32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if self.element != Element::F32 || cfg!(target_endian = "big") {
            return None;
        }
        bytemuck::try_cast_slice(self.bytes.as_slice()).ok()
    }

    /// Lets go of the memory pages of elements `range`, which stay readable from the file: called after each chunk
    /// it keeps the resident memory of a pass over a large file at the size of a chunk.
    pub fn release(&self, range: Range<usize>) {
        let size = self.element.size();
        let (start, end) = (range.start.min(self.len), range.end.min(self.len));
        self.bytes.release(start * size..end * size);
    }

    /// Bytes of elements `range`.
    fn slice(&self, range: Range<usize>, out_len: usize) -> Result<&[u8]> {
        let size = self.element.size();
        let fits = range.start <= range.end && range.end <= self.len && range.end - range.start == out_len;
        let bytes = fits.then(|| self.bytes.as_slice().get(range.start * size..range.end * size)).flatten();
        bytes.ok_or_else(|| {
            anyhow!("{}: elements {range:?} of {} do not fill a buffer of {out_len}", self.source, self.len)
        })
    }
}

/// Number of elements of a shape; [`None`] if it overflows.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n))
}

/// A shape as Python writes it: `(2, 3)`, `(5,)`, `()`.
pub struct ShapeText<'a>(pub &'a [usize]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "({}{})", list.join(", "), if self.0.len() == 1 { "," } else { "" })
    }
}

/// Chooses an array of an archive: `key`, else `default_key`, else the only one.
fn choose_key(path: &Path, names: &[String], key: Option<&str>, default_key: &str) -> Result<String> {
    let has = |name: &str| names.iter().any(|n| n == name);
    let present = || match names {
        [] => "it holds no arrays".to_owned(),
        names => {
            let shown: Vec<_> = names.iter().take(20).map(|n| format!("'{n}'")).collect();
            let more = if names.len() > 20 { format!(" and {} more", names.len() - 20) } else { String::new() };
            format!("it holds {}{more}", shown.join(", "))
        }
    };
    match (key, names) {
        (Some(key), _) if has(key) => Ok(key.to_owned()),
        (Some(key), _) => bail!("{}: no array is named '{key}'; {}", path.display(), present()),
        (None, _) if has(default_key) => Ok(default_key.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => {
            let remedy = match default_key {
                "logits" | "targets" => format!("name one with --{default_key}-key"),
                _ => format!("name the array '{default_key}' or save it alone"),
            };
            bail!("{}: no array is named '{default_key}' and {}; {remedy}", path.display(), present())
        }
    }
}

/// Prefixes an error with the place where it arose, in one message.
trait At<T> {
    fn at(self, place: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, place: impl fmt::Display) -> Result<T> {
        self.map_err(|e| anyhow!("{place}: {:#}", e.into()))
    }
}
