//! Which variant runs for a shape on a device, and how the batch is cut: a pure function, without a device.

use super::caps::Caps;
use super::shader::Reduce;
use super::window::{self, Window};
use crate::{Error, Result, Shape};

/// Choices that tests and benches may force; absent ones are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tuning {
    /// Invocations in a workgroup: a power of two, at least 4.
    pub lanes: Option<u32>,
    /// How lanes combine.
    pub reduce: Option<Reduce>,
    /// Largest storage binding in bytes, below the device's own limit: makes windows small.
    pub max_binding: Option<u64>,
    /// Largest dispatch dimension, below the device's own limit: makes dispatches two-dimensional.
    pub max_workgroups: Option<u32>,
    /// Compile bounds checks and loop limits in.
    pub checked: bool,
}

impl Tuning {
    /// Largest storage binding in bytes.
    pub(crate) fn max_binding(&self, caps: &Caps) -> u64 {
        self.max_binding.map_or(caps.max_binding, |forced| forced.min(caps.max_binding))
    }
}

/// How a batch is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Invocations in a workgroup.
    pub lanes: u32,
    /// How lanes combine.
    pub reduce: Reduce,
    /// Rows that a workgroup takes: the fewest that start and end on a chunk boundary.
    pub group_rows: u32,
    /// Ranges of whole groups, each within one binding.
    pub windows: Vec<Window>,
    /// The last rows, if they do not fill a group.
    pub tail: Option<Window>,
}

/// Rows are cut at multiples of this many where they can be, so that vectors of 4-byte entries start at a 256-byte offset.
const ALIGNED_ROWS: u32 = 64;

/// Logits in a chunk: what a lane loads at once.
const CHUNK: u32 = 4;

/// Lanes for a row, by its length. A row is read in blocks of four chunks a lane; wider workgroups keep more loads in
/// flight, narrower ones waste fewer lanes on short rows.
const LANES: [(u32, u32); 4] = [(256, 32), (1024, 64), (4096, 128), (u32::MAX, 256)];

/// On a software adapter a workgroup is a loop over vectors of eight lanes, and a barrier is a context switch.
const SOFTWARE_LANES: u32 = 8;

/// Plans a batch whose widest row vector has `vector_bytes` bytes a row.
///
/// # Errors
/// [`Error::TooLarge`] when a group of rows exceeds a binding; [`Error::Unsupported`] for a forced variant that the device
/// cannot run; [`Error::InvalidOption`] for a shape without classes.
pub fn plan(shape: Shape, vector_bytes: u64, caps: &Caps, tuning: Tuning) -> Result<Plan> {
    if shape.classes == 0 {
        return Err(Error::InvalidOption { option: "shape.classes", value: "0".into(), domain: "at least 1" });
    }
    let lanes = lanes(shape, caps, tuning)?;
    let reduce = reduce(caps, tuning)?;
    let group_rows = CHUNK / gcd(shape.classes, CHUNK);
    let max_binding = tuning.max_binding(caps);
    let tail_rows = shape.rows % group_rows;
    let whole = shape.rows - tail_rows;
    let row_bytes = (4 * u64::from(shape.classes)).max(vector_bytes);
    let cut = |rows, steps: &[u32]| window::cut(rows, steps, row_bytes, max_binding, caps.alignment());
    let tail = cut(tail_rows, &[tail_rows])?;
    Ok(Plan {
        lanes,
        reduce,
        group_rows,
        windows: cut(whole, &[ALIGNED_ROWS, group_rows])?,
        tail: tail.first().map(|tail| Window { first_row: whole, ..*tail }),
    })
}

fn lanes(shape: Shape, caps: &Caps, tuning: Tuning) -> Result<u32> {
    let planned = if caps.software {
        SOFTWARE_LANES
    } else {
        LANES.iter().find(|(classes, _)| shape.classes <= *classes).map_or(256, |(_, lanes)| *lanes)
    };
    let lanes = tuning.lanes.unwrap_or(planned.min(caps.max_invocations));
    if !lanes.is_power_of_two() || lanes < CHUNK || lanes > caps.max_invocations {
        return Err(Error::Unsupported {
            variant: format!("a workgroup of {lanes} lanes"),
            needs: format!("a power of two between {CHUNK} and {}", caps.max_invocations),
        });
    }
    Ok(lanes)
}

fn reduce(caps: &Caps, tuning: Tuning) -> Result<Reduce> {
    match tuning.reduce {
        Some(Reduce::Subgroup) if !caps.subgroups => {
            Err(Error::Unsupported { variant: "reduction by subgroups".into(), needs: "Features::SUBGROUP".into() })
        }
        Some(forced) => Ok(forced),
        None if caps.subgroups => Ok(Reduce::Subgroup),
        None => Ok(Reduce::Workgroup),
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
