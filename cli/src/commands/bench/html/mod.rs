//! placeholder
use crate::failure::Outcome;
use std::path::Path;
pub(super) fn check_place(_: &Path) -> Outcome<()> {
    Ok(())
}
pub(super) fn write(_: &Path, _: &super::results::Results) -> Outcome<()> {
    Ok(())
}
