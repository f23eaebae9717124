//! numpy's `.npy` format: a magic string, a version, and a Python dictionary that gives dtype, order and shape.
//!
//! The dictionary is read by a strict parser of just its grammar, without recursion, so that a hostile header can
//! exhaust neither memory nor stack. Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::{At as _, Bytes, Element, ShapeText, Source, Tensor, element_count};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header that is read; numpy's own default limit is 10000 bytes.
pub const MAX_HEADER: usize = 1 << 16;

/// What an `.npy` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub element: Element,
    pub shape: Vec<usize>,
    /// Byte at which the array starts.
    pub data_start: usize,
}

/// Opens an `.npy` file.
///
/// # Errors
/// The file cannot be read, is malformed, or its array is stored in a way that is not supported.
pub fn open(path: &Path) -> Result<Tensor> {
    from_bytes(Source { path: path.to_owned(), name: None }, &Bytes::open(path)?)
}

/// The array of the bytes of an `.npy` file.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(source: Source, file: &Bytes) -> Result<Tensor> {
    let header = Header::parse(file.as_slice()).at(&source)?;
    let range = header.data_range(file.as_slice().len()).at(&source)?;
    let bytes = file.part(range).context("the array reaches beyond the file").at(&source)?;
    Tensor::new(source, header.element, header.shape, bytes)
}

impl Header {
    /// Reads the header at the start of `file`.
    ///
    /// # Errors
    /// It is not a valid header, or it describes an array that is not plain, C-ordered and little-endian.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let not_npy = "not an .npy file: it does not start with numpy's magic string; write it with numpy.save";
        let (version, rest) = file.strip_prefix(MAGIC).and_then(|r| r.split_first_chunk::<2>()).context(not_npy)?;
        let cut = "the file ends inside its header; write it again with numpy.save";
        let (length, text, text_start) = match version {
            [1, 0] => {
                let (length, text) = rest.split_first_chunk::<2>().context(cut)?;
                (usize::from(u16::from_le_bytes(*length)), text, MAGIC.len() + 4)
            }
            [2 | 3, 0] => {
                let (length, text) = rest.split_first_chunk::<4>().context(cut)?;
                (usize::try_from(u32::from_le_bytes(*length))?, text, MAGIC.len() + 6)
            }
            [major, minor] => bail!("npy format version {major}.{minor} is unknown; 1.0, 2.0 and 3.0 are supported"),
        };
        ensure!(
            length <= MAX_HEADER,
            "the header claims {length} bytes, more than the {MAX_HEADER} that a plain array needs; write the file \
             again with numpy.save"
        );
        let text = text.get(..length).context(cut)?;
        let (element, shape) = Parser { text }.header()?;
        Ok(Self { element, shape, data_start: text_start + length })
    }

    /// Bytes of the whole file that the header promises; [`None`] if no file can be that large.
    pub fn file_len(&self) -> Option<usize> {
        element_count(&self.shape)?.checked_mul(self.element.size())?.checked_add(self.data_start)
    }

    /// Where the array lies in a file of `file_len` bytes.
    ///
    /// # Errors
    /// The file is shorter or longer than the header promises.
    pub fn data_range(&self, file_len: usize) -> Result<Range<usize>> {
        let shape = ShapeText(&self.shape);
        let Some(expected) = self.file_len() else {
            bail!("shape {shape} overflows: no file can hold it; write the file again with numpy.save");
        };
        ensure!(
            file_len >= expected,
            "truncated: shape {shape} of {} needs a file of {expected} bytes, but it has {file_len}; copy or write it \
             again",
            self.element
        );
        ensure!(
            file_len <= expected,
            "{} bytes follow the array of shape {shape} and {}; save one array a file, with numpy.save",
            file_len - expected,
            self.element
        );
        Ok(self.data_start..expected)
    }
}

/// Header of an `.npy` file of version 1.0, padded so that the array starts at a multiple of 64 bytes.
pub fn header_bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {}, }}", ShapeText(shape));
    let unpadded = MAGIC.len() + 4 + dictionary.len() + 1;
    let total = unpadded.next_multiple_of(64);
    let mut header = Vec::with_capacity(total);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[1, 0]);
    // Only a shape of thousands of dimensions could saturate, and no such array can be opened.
    header.extend_from_slice(&u16::try_from(total - MAGIC.len() - 4).unwrap_or(u16::MAX).to_le_bytes());
    header.extend_from_slice(dictionary.as_bytes());
    header.resize(total - 1, b' ');
    header.push(b'\n');
    header
}

/// What is left to read of the header's dictionary.
struct Parser<'a> {
    text: &'a [u8],
}

impl<'a> Parser<'a> {
    fn header(mut self) -> Result<(Element, Vec<usize>)> {
        let malformed = "the header is not the dictionary that numpy writes; write the file again with numpy.save";
        let (mut element, mut fortran, mut shape) = (None, None, None);
        ensure!(self.eat(b'{'), malformed);
        while !self.eat(b'}') {
            let key = self.string().context(malformed)?;
            ensure!(self.eat(b':'), malformed);
            match key {
                b"descr" if element.is_none() => element = Some(self.descr()?),
                b"fortran_order" if fortran.is_none() => fortran = Some(self.boolean().context(malformed)?),
                b"shape" if shape.is_none() => shape = Some(self.shape().context(malformed)?),
                _ => bail!(malformed),
            }
            if !self.eat(b',') && self.peek() != Some(b'}') {
                bail!(malformed);
            }
        }
        ensure!(self.peek().is_none(), malformed);
        let (Some(element), Some(fortran), Some(shape)) = (element, fortran, shape) else { bail!(malformed) };
        // With at most one dimension longer than 1 the two orders are the same bytes.
        ensure!(
            !fortran || shape.contains(&0) || shape.iter().filter(|&&n| n > 1).count() <= 1,
            "the array is in Fortran order; save it in C order: numpy.save(path, numpy.ascontiguousarray(x))"
        );
        Ok((element, shape))
    }

    fn descr(&mut self) -> Result<Element> {
        if self.peek() == Some(b'[') {
            bail!("a structured dtype; save one field as a plain array: numpy.save(path, x['field'])");
        }
        let descr = self.string().context("the header has no readable dtype; write the file again with numpy.save")?;
        element_of(&String::from_utf8_lossy(descr))
    }

    /// A tuple of non-negative integers. Python 2 wrote them with a trailing `L`.
    fn shape(&mut self) -> Option<Vec<usize>> {
        let mut shape = Vec::new();
        if !self.eat(b'(') {
            return None;
        }
        while !self.eat(b')') {
            shape.push(self.integer()?);
            if !self.eat(b',') && self.peek() != Some(b')') {
                return None;
            }
        }
        // numpy itself stops at 64 dimensions.
        (shape.len() <= 64).then_some(shape)
    }

    fn integer(&mut self) -> Option<usize> {
        self.peek();
        let digits = self.take_while(|b| b.is_ascii_digit());
        let value = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.text = self.text.strip_prefix(b"L").unwrap_or(self.text);
        Some(value)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.peek();
        match self.take_while(|b| b.is_ascii_alphabetic()) {
            b"True" => Some(true),
            b"False" => Some(false),
            _ => None,
        }
    }

    /// A quoted string; numpy writes no escapes in the strings of a plain array.
    fn string(&mut self) -> Option<&'a [u8]> {
        let quote = self.peek().filter(|b| matches!(b, b'\'' | b'"'))?;
        self.eat(quote);
        let content = self.take_while(|b| b != quote && b != b'\\');
        let (&end, rest) = self.text.split_first()?;
        self.text = rest;
        (end == quote).then_some(content)
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.text = self.text.trim_ascii_start();
        self.text.first().copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.text = self.text.get(1..).unwrap_or_default();
        }
        found
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.text.iter().position(|&b| !keep(b)).unwrap_or(self.text.len());
        let (taken, rest) = self.text.split_at(end);
        self.text = rest;
        taken
    }
}

/// Element type of a numpy type string such as `<f4`.
fn element_of(descr: &str) -> Result<Element> {
    let mut chars = descr.chars();
    let order = chars.next();
    let code = chars.as_str();
    let element = match code {
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        "i1" => Element::I8,
        "i2" => Element::I16,
        "i4" => Element::I32,
        "i8" => Element::I64,
        "u1" => Element::U8,
        "u2" => Element::U16,
        "u4" => Element::U32,
        "u8" => Element::U64,
        "b1" => Element::Bool,
        "O" => bail!(
            "an array of Python objects (dtype object); save plain numbers: numpy.save(path, x.astype(numpy.float32))"
        ),
        "V2" => bail!(
            "2-byte void elements, as .npy stores bfloat16; save x.astype(numpy.float32), or bfloat16 in a \
             .safetensors file"
        ),
        _ => bail!(
            "dtype '{}' is not supported; save floats as float16, float32 or float64 and targets as integers",
            descr.escape_default()
        ),
    };
    match order {
        Some('<') => Ok(element),
        Some('|' | '>') if element.size() == 1 => Ok(element),
        Some('>') => {
            bail!("big-endian {element} ('{descr}'); save it little-endian: numpy.save(path, x.astype('<{code}'))")
        }
        _ => bail!("dtype '{}' has no byte order; write the file again with numpy.save", descr.escape_default()),
    }
}
