//! Which variant runs for a layout on a device, and how the batch is cut: a pure function, without a device.

use super::caps::Caps;
use super::shader::{Reduce, RowSchedule};
use super::slicing::Slicing;
use super::team::{CHUNK, check_lanes, held, lanes, lanes_of_row, lanes_of_subgroups, reduce, team, unit};
use super::tuning::{Team, Tuning};
use super::window::{self, Window};
use crate::{Error, Layout, Result};

/// How a batch is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who owns a row.
    pub schedule: RowSchedule,
    /// Invocations in a workgroup.
    pub lanes: u32,
    /// How the lanes of the passes over vectors combine, and of a workgroup that owns a row.
    pub reduce: Reduce,
    /// Teams of lanes in a workgroup that own rows.
    pub teams: u32,
    /// Rows that a team takes: the fewest that start and end on a chunk boundary. Of a loss of regions, the samples that
    /// blocks do not reach beyond.
    pub group_rows: u32,
    /// Chunks of a row that a lane holds in registers, so that the gradient needs no second reading; 0 if none.
    pub held: u32,
    /// Rows of a lane have fewer logits than a block of chunks, and are read chunk by chunk.
    pub short: bool,
    /// How rows are sliced, if they are.
    pub slicing: Option<Slicing>,
    /// Every row starts and ends with what a lane loads at once (every class of a sample with a chunk).
    pub aligned: bool,
    /// Ranges of whole groups (or samples, or blocks), each within one binding.
    pub windows: Vec<Window>,
    /// The last rows, if they do not fill a group or end in the middle of a chunk; the last block, if it does.
    pub tail: Option<Window>,
}

impl Plan {
    /// Bytes of what is kept of the rows of a window, and of their slices.
    pub(crate) fn slice_bytes(&self) -> (u64, u64) {
        let rows = self.windows.iter().chain(&self.tail).map(|window| window.count).max().unwrap_or(0);
        self.slicing.map_or((0, 0), |slicing| slicing.scratch_bytes(rows))
    }

    /// Workgroups over a window of rows or samples. What `maps` logits may write chunks that rows share, so that a team needs the
    /// whole group; what only reads them takes a row.
    pub(crate) fn workgroups(&self, layout: &Layout, window: Window, maps: bool) -> u32 {
        let rows = if maps { self.group_rows } else { 1 };
        match self.schedule {
            // The dispatches over slices count them for themselves.
            RowSchedule::Slices => window.count,
            RowSchedule::Workgroup(_) | RowSchedule::Subgroup | RowSchedule::Lane => {
                window.count.div_ceil(rows).div_ceil(self.teams)
            }
            RowSchedule::Planes => (window.count * layout.inner().div_ceil(CHUNK)).div_ceil(self.lanes),
            // Windows of blocks.
            RowSchedule::Blocks { .. } => window.count,
        }
    }
}

/// Bytes that the tensors of a batch have for a row or a logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Of the logits: 4 or 2.
    pub logit: u64,
    /// Of the widest tensor with one entry a logit, in the logits' layout.
    pub element: u64,
    /// Of the widest tensor with one entry a row.
    pub row: u64,
}

impl Footprint {
    /// float32 tensors.
    pub const F32: Self = Self { logit: 4, element: 4, row: 4 };
}

/// Rows are cut at multiples of this many where they can be, so that vectors of 4-byte entries start at a 256-byte offset.
const ALIGNED_ROWS: u32 = 64;

/// Chunks that a lane adds up together: `add_block` of `shaders/schedule/row_chunks.wgsl`.
const BLOCK_CHUNKS: u32 = 4;

/// A slice is two blocks of four chunks a lane.
const LANES_OF_SLICES: u32 = 256;

/// Where a lane owns rows, nothing is shared in a workgroup, and its width is that of two subgroups or more.
const LANES_OF_ROWS: u32 = 64;

/// Logits that a workgroup takes where rows do not matter: `BLOCK_CHUNKS` of `shaders/schedule/elements.wgsl`. Wherever a window
/// of whole blocks starts, every tensor has a 256-byte offset.
pub(crate) const BLOCK_LOGITS: u32 = 2048;

/// Four to sixteen chunks of a block are a lane's.
const LANES_OF_BLOCKS: u32 = 128;

/// Quads of positions that a lane takes of a block of a region; `QUADS_OF_LANE` of `shaders/schedule/region_sums.wgsl`.
pub(crate) const QUADS_OF_LANE: u32 = 4;

/// Plans a batch.
///
/// # Errors
/// [`Error::TooLarge`] when a slice of a row or a sample exceeds a binding; [`Error::Unsupported`] for a forced variant that the
/// device cannot run; [`Error::InvalidOption`] for a layout without classes.
pub fn plan(layout: impl Into<Layout>, footprint: Footprint, caps: &Caps, tuning: Tuning) -> Result<Plan> {
    let layout = layout.into();
    if layout.classes() == 0 {
        return Err(Error::InvalidOption { option: "classes", value: "0".into(), domain: "at least 1" });
    }
    let max_binding = tuning.max_binding(caps);
    let reduce = reduce(caps, tuning)?;
    let sample_bytes =
        (footprint.element * u64::from(layout.outer_stride())).max(footprint.row * u64::from(layout.inner()));
    let cut = |count, steps: &[u32]| window::cut(count, steps, sample_bytes, max_binding, caps.alignment());
    if layout.inner() > 1 {
        return Ok(Plan {
            schedule: RowSchedule::Planes,
            lanes: lanes(LANES_OF_ROWS, 0, caps, tuning)?,
            reduce,
            teams: 1,
            group_rows: 1,
            held: 0,
            short: false,
            slicing: None,
            aligned: layout.inner().is_multiple_of(CHUNK),
            windows: cut(layout.outer(), &[1])?,
            tail: None,
        });
    }
    let group_rows = CHUNK / gcd(layout.outer_stride(), CHUNK);
    let group_logits = u64::from(group_rows) * u64::from(layout.classes());
    let room = max_binding.saturating_sub(caps.alignment().into());
    let step_of = |team| {
        let unit = unit(team, footprint.logit);
        unit / gcd(layout.outer_stride(), unit)
    };
    let planned = team(&layout, group_logits, caps, tuning);
    let fits = sample_bytes.saturating_mul(step_of(planned).into()) <= room;
    let team = tuning.team.unwrap_or(if fits { planned } else { Team::Slices });
    // Windows start and end with a unit, and so do the rows in front of the tail.
    let (unit, step) = (unit(team, footprint.logit), step_of(team));
    let aligned = step == 1 && layout.classes().is_multiple_of(unit);
    let rest = layout.outer() % step;
    // The last unit may reach into a gap that the buffer does not have.
    let ends_in_gap = !(layout.outer_stride() - layout.classes()).is_multiple_of(unit);
    let tail_rows = if rest == 0 && ends_in_gap { step.min(layout.outer()) } else { rest };
    let whole = layout.outer() - tail_rows;
    if team == Team::Slices {
        let slicing = Slicing::new(&layout, step, unit, footprint.element, room, tuning.slice)?;
        let cut = |count, steps: &[u32]| {
            slicing.cut(count, steps, sample_bytes, max_binding, caps.max_binding, caps.alignment())
        };
        let lanes = lanes(LANES_OF_SLICES, 0, caps, tuning)?;
        check_lanes(slicing.classes.into(), lanes, caps)?;
        return Ok(Plan {
            schedule: RowSchedule::Slices,
            lanes,
            reduce,
            teams: 1,
            group_rows,
            held: 0,
            short: false,
            slicing: Some(slicing),
            aligned,
            windows: cut(whole, &[ALIGNED_ROWS, step])?,
            tail: cut(tail_rows, &[tail_rows])?.first().map(|tail| Window { first: whole, ..*tail }),
        });
    }
    let (windows, tail) = (cut(whole, &[ALIGNED_ROWS, step])?, cut(tail_rows, &[tail_rows])?);
    let (schedule, lanes, teams) = match team {
        Team::Lane => {
            let lanes = lanes(LANES_OF_ROWS, 0, caps, tuning)?;
            (RowSchedule::Lane, lanes, lanes)
        }
        Team::Subgroup => {
            let (lanes, size) = lanes_of_subgroups(caps, tuning)?;
            (RowSchedule::Subgroup, lanes, lanes / size)
        }
        Team::Workgroup | Team::Slices => {
            let planned = lanes_of_row(layout.classes(), reduce, caps);
            (RowSchedule::Workgroup(reduce), lanes(planned, group_logits, caps, tuning)?, 1)
        }
    };
    let sharing = lanes / teams;
    check_lanes(group_logits, sharing, caps)?;
    let held = if schedule == RowSchedule::Lane { 0 } else { held(&layout, unit, sharing, caps, tuning)? };
    Ok(Plan {
        schedule,
        lanes,
        reduce,
        teams,
        group_rows,
        held,
        short: schedule == RowSchedule::Lane && layout.classes() < BLOCK_CHUNKS * CHUNK,
        slicing: None,
        aligned,
        windows,
        tail: tail.first().map(|tail| Window { first: whole, ..*tail }),
    })
}

/// Plans a batch of a loss of elements, cut at any block of the logits' span.
///
/// # Errors
/// As [`plan`].
pub(crate) fn plan_blocks(layout: &Layout, element_bytes: u64, caps: &Caps, tuning: Tuning) -> Result<Plan> {
    let blocks = layout.span().div_ceil(BLOCK_LOGITS.into());
    let blocks = u32::try_from(blocks).map_err(|_| Error::TooLarge {
        what: "the number of blocks of logits",
        size: blocks,
        limit: u32::MAX.into(),
        limited_by: "a 32-bit index",
        remedy: "evaluate the batch in parts",
    })?;
    // The logits of a window count from the start of its first sample, in 32 bits.
    let countable = element_bytes * u64::from(u32::MAX - layout.outer_stride());
    let max_binding = tuning.max_binding(caps).min(countable);
    let block_bytes = element_bytes * u64::from(BLOCK_LOGITS);
    let cut = |count| window::cut(count, &[1], block_bytes, max_binding, caps.alignment());
    let tail_blocks = u32::from(!layout.span().is_multiple_of(CHUNK.into()));
    let whole = blocks - tail_blocks;
    let tail = cut(tail_blocks)?;
    Ok(Plan {
        schedule: RowSchedule::Blocks { entries: !layout.is_contiguous() },
        lanes: lanes(LANES_OF_BLOCKS, 0, caps, tuning)?,
        reduce: reduce(caps, tuning)?,
        teams: 1,
        group_rows: 1,
        held: 0,
        short: false,
        slicing: None,
        aligned: tail_blocks == 0,
        windows: cut(whole)?,
        tail: tail.first().map(|tail| Window { first: whole, ..*tail }),
    })
}

/// Plans a batch of a loss of regions, which span one sample or all of them.
///
/// # Errors
/// As [`plan`].
pub(crate) fn plan_regions(
    layout: &Layout,
    footprint: Footprint,
    samples_together: bool,
    caps: &Caps,
    tuning: Tuning,
) -> Result<Plan> {
    let lanes = lanes(LANES_OF_ROWS, 0, caps, tuning)?;
    let sample_bytes =
        (footprint.element * u64::from(layout.outer_stride())).max(footprint.row * u64::from(layout.inner()));
    // Of small samples that make up a region together, a block takes as many as it has room for.
    let fitting = QUADS_OF_LANE * lanes / layout.inner().div_ceil(CHUNK).max(1);
    let section = if samples_together { fitting.max(1) } else { 1 };
    Ok(Plan {
        schedule: RowSchedule::Planes,
        lanes,
        reduce: reduce(caps, tuning)?,
        teams: 1,
        group_rows: section,
        held: 0,
        short: false,
        slicing: None,
        aligned: layout.inner().is_multiple_of(CHUNK),
        // Windows of whole sections: the tree of a sum, and with it every bit, is the same for every limit.
        windows: window::cut(layout.outer(), &[section, 1], sample_bytes, tuning.max_binding(caps), caps.alignment())?,
        tail: None,
    })
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
