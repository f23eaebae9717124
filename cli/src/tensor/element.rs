//! Element types of arrays in files, and their conversion to the two types that the engines take.

use std::fmt;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

/// Element type of an array, little-endian in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl Element {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Whether this is a floating-point type; the others are integers, with bool among them.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// numpy's name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An integer that does not fit int32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange {
    /// Its index in the slice that was converted.
    pub index: usize,
    /// Its value.
    pub value: i128,
}

/// Converts to float32: exact for the 16-bit floats, bool and integers of up to 16 bits, rounded to nearest for the others.
#[expect(clippy::cast_possible_truncation, reason = "rounding to float32 is what the caller asks for")]
pub fn to_f32(element: Element, bytes: &[u8], out: &mut [f32]) {
    match element {
        Element::F32 => each(bytes, out, f32::from_le_bytes),
        // bfloat16 is the upper half of a float32.
        Element::Bf16 => each(bytes, out, |b: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        Element::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        Element::F16 => {
            // Blocks, as half converts a slice several times faster than single values.
            let mut block = [f16::ZERO; 512];
            for (bytes, out) in bytes.chunks(2 * block.len()).zip(out.chunks_mut(block.len())) {
                each(bytes, &mut block, |b| f16::from_bits(u16::from_le_bytes(b)));
                if let Some(block) = block.get(..out.len()) {
                    block.convert_to_f32_slice(out);
                }
            }
        }
        Element::I8 => each(bytes, out, |b| i8::from_le_bytes(b).into()),
        Element::I16 => each(bytes, out, |b| i16::from_le_bytes(b).into()),
        Element::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
        Element::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
        Element::U8 => each(bytes, out, |b| u8::from_le_bytes(b).into()),
        Element::U16 => each(bytes, out, |b| u16::from_le_bytes(b).into()),
        Element::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
        Element::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
        Element::Bool => each(bytes, out, |[b]: [u8; 1]| if b == 0 { 0.0 } else { 1.0 }),
    }
}

/// Converts integers to int32. A float type leaves `out` as it is: callers check [`Element::is_float`] first.
///
/// # Errors
/// The first value that does not fit.
pub fn to_i32(element: Element, bytes: &[u8], out: &mut [i32]) -> Result<(), OutOfRange> {
    match element {
        Element::I8 => each(bytes, out, |b| i32::from(i8::from_le_bytes(b))),
        Element::I16 => each(bytes, out, |b| i32::from(i16::from_le_bytes(b))),
        Element::I32 => each(bytes, out, i32::from_le_bytes),
        Element::U8 => each(bytes, out, |b| i32::from(u8::from_le_bytes(b))),
        Element::U16 => each(bytes, out, |b| i32::from(u16::from_le_bytes(b))),
        Element::Bool => each(bytes, out, |[b]: [u8; 1]| i32::from(b != 0)),
        Element::U32 => return try_each(bytes, out, u32::from_le_bytes),
        Element::I64 => return try_each(bytes, out, i64::from_le_bytes),
        Element::U64 => return try_each(bytes, out, u64::from_le_bytes),
        Element::F16 | Element::Bf16 | Element::F32 | Element::F64 => {}
    }
    Ok(())
}

fn each<const N: usize, T>(bytes: &[u8], out: &mut [T], convert: impl Fn([u8; N]) -> T) {
    for (&bytes, out) in bytes.as_chunks::<N>().0.iter().zip(out) {
        *out = convert(bytes);
    }
}

fn try_each<const N: usize, T>(bytes: &[u8], out: &mut [i32], read: impl Fn([u8; N]) -> T) -> Result<(), OutOfRange>
where
    T: Copy + TryInto<i32> + Into<i128>,
{
    for (index, (&bytes, out)) in bytes.as_chunks::<N>().0.iter().zip(out).enumerate() {
        let value = read(bytes);
        *out = value.try_into().map_err(|_| OutOfRange { index, value: value.into() })?;
    }
    Ok(())
}
