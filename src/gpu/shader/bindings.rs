//! Numbers of the storage bindings.

/// Binding numbers of the row shaders.
pub(crate) const LOGITS: u32 = 1;
pub(crate) const GRADIENT: u32 = 2;
/// Class indices, or dense targets.
pub(crate) const TARGETS: u32 = 3;
pub(crate) const CLASS_WEIGHTS: u32 = 4;
pub(crate) const ROW_WEIGHTS: u32 = 5;
/// Losses of rows, elements or regions; or sums over regions.
pub(crate) const LOSSES: u32 = 6;
/// Details of rows, or losses of their elements.
pub(crate) const DETAILS: u32 = 7;
/// Of a loss of elements.
pub(crate) const POS_WEIGHTS: u32 = 7;
pub(crate) const STATUS: u32 = 8;
/// Of rows in slices: what is known of each row, and of each slice.
pub(crate) const KEPT: u32 = 9;
pub(crate) const PARTIALS: u32 = 10;
/// Binding numbers of the step from sums over regions to losses.
pub(crate) const REGIONS: u32 = 1;
pub(crate) const CONTRIBUTIONS: u32 = 2;
pub(crate) const SURVEY: u32 = 3;
/// Binding numbers of the vector passes.
pub(crate) const INPUT: u32 = 1;
pub(crate) const OUTPUT: u32 = 2;
