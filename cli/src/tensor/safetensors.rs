//! The `.safetensors` format: a JSON header of names, dtypes, shapes and offsets, then the arrays.

use std::path::Path;

use ::safetensors::Dtype;
use ::safetensors::tensor::Metadata;
use anyhow::{Context as _, Result, bail, ensure};

use super::{At as _, Bytes, Element, Source, Tensor, choose_key};

/// Longest header that is read, the limit of the format's reference implementation.
const MAX_HEADER: usize = 100_000_000;

/// Opens an array of a `.safetensors` file.
///
/// # Errors
/// The file cannot be read, is malformed, has no such array, or its dtype is not supported.
pub fn open(path: &Path, key: Option<&str>, default_key: &str) -> Result<Tensor> {
    let file = Bytes::open(path)?;
    let (data_start, metadata) = read_metadata(file.as_slice()).at(path.display())?;
    let mut names = metadata.offset_keys();
    names.sort_unstable();
    let name = choose_key(path, &names, key, default_key)?;
    let info = metadata.info(&name).context("the array has no entry in the header").at(path.display())?;
    let source = Source { path: path.to_owned(), name: Some(name) };
    let element = element_of(info.dtype).at(&source)?;
    let bytes = data_start
        .checked_add(info.data_offsets.0)
        .zip(data_start.checked_add(info.data_offsets.1))
        .and_then(|(start, end)| file.part(start..end))
        .context("the array reaches beyond the file; write it again")
        .at(&source)?;
    Tensor::new(source, element, info.shape.clone(), bytes)
}

/// Header of the file and the byte at which its arrays start.
///
/// Offsets, overlaps and shapes are checked by [`Metadata`]'s deserialisation. `SafeTensors::read_metadata` is not
/// used because it adds the header's length to the arrays' unchecked, which a hostile header overflows.
fn read_metadata(file: &[u8]) -> Result<(usize, Metadata)> {
    let remedy = "write it again, for example with safetensors.numpy.save_file";
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        bail!("not a .safetensors file: {} bytes are too few for a header; {remedy}", file.len());
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n));
    let Some((header, data)) = header else {
        bail!(
            "not a .safetensors file, or truncated: the header claims {length} bytes, but {} follow; {remedy}",
            rest.len()
        );
    };
    ensure!(header.len() <= MAX_HEADER, "the header claims {length} bytes, more than {MAX_HEADER}; {remedy}");
    let metadata: Metadata = serde_json::from_slice(header).with_context(|| format!("malformed header ({remedy})"))?;
    let promised = metadata.data_len();
    ensure!(
        data.len() >= promised,
        "truncated: the header promises {promised} bytes of arrays, but {} follow it; copy or write it again",
        data.len()
    );
    ensure!(data.len() <= promised, "{} bytes follow the last array; {remedy}", data.len() - promised);
    Ok((file.len() - data.len(), metadata))
}

fn element_of(dtype: Dtype) -> Result<Element> {
    Ok(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        other => bail!("dtype {other} is not supported; save floats as float16, bfloat16, float32 or float64"),
    })
}
