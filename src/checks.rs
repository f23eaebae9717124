//! Checks of options that losses share.

use crate::{Error, Result};

/// Largest number of ignore indices: they travel in a uniform block.
pub const MAX_IGNORE_INDICES: usize = 16;

pub(crate) fn invalid(option: &'static str, value: impl ToString, domain: &'static str) -> Error {
    Error::InvalidOption { option, value: value.to_string(), domain }
}

/// Fails for a temperature that logits cannot be divided by.
pub(crate) fn temperature(temperature: f32) -> Result<()> {
    positive("temperature", temperature)
}

/// Fails for a cap that is not positive; absent means none.
pub(crate) fn softcap(softcap: Option<f32>) -> Result<()> {
    softcap.map_or(Ok(()), |cap| positive("softcap", cap))
}

pub(crate) fn positive(option: &'static str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(invalid(option, value, "finite and greater than 0")) }
}

pub(crate) fn not_negative(option: &'static str, value: f32) -> Result<()> {
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(invalid(option, value, "finite and at least 0")) }
}

pub(crate) fn unit_interval(option: &'static str, value: f32) -> Result<()> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(invalid(option, value, "in [0, 1]")) }
}

pub(crate) fn finite(option: &'static str, value: f32) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(invalid(option, value, "finite")) }
}

pub(crate) fn ignore_index(list: &[i32]) -> Result<()> {
    if list.len() > MAX_IGNORE_INDICES {
        return Err(invalid("ignore_index", format!("a list of {}", list.len()), "a list of at most 16"));
    }
    Ok(())
}
