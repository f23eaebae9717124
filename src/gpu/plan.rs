//! Which variant runs for a layout on a device, and how the batch is cut: a pure function, without a device.

use super::caps::Caps;
use super::shader::{Elements, Reduce, RowSchedule, Storage};
use super::slicing::Slicing;
use super::team::{
    CHUNK, SOFTWARE_PLANES, SOFTWARE_REGIONS, check_classes, check_lanes, held, lanes, lanes_of_row,
    lanes_of_subgroups, reduce, team, unit, wide,
};
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
    /// float32 logits are loaded two chunks at once, as 64-bit words.
    pub wide: bool,
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
    /// Of no windows yet; no lanes share a row, and nothing is held, short or sliced.
    const fn new(schedule: RowSchedule, lanes: u32, reduce: Reduce) -> Self {
        Self {
            schedule,
            lanes,
            reduce,
            teams: 1,
            group_rows: 1,
            held: 0,
            short: false,
            wide: false,
            slicing: None,
            aligned: false,
            windows: Vec::new(),
            tail: None,
        }
    }

    /// Bytes of what is kept of the rows of a window, and of their slices.
    pub(crate) fn slice_bytes(&self) -> (u64, u64) {
        let rows = self.windows.iter().chain(&self.tail).map(|window| window.count).max().unwrap_or(0);
        self.slicing.map_or((0, 0), |slicing| slicing.scratch_bytes(rows))
    }

    /// How the logits are bound, as the schedule loads them.
    pub(super) fn elements(&self, elements: Elements) -> Elements {
        let storage = if self.wide { Storage::F32Wide } else { elements.storage };
        Elements { storage, ..elements }
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

    /// Bytes of the widest tensor from one sample to the next.
    fn sample(&self, layout: &Layout) -> u64 {
        (self.element * u64::from(layout.outer_stride())).max(self.row * u64::from(layout.inner()))
    }
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
    if layout.inner() > 1 {
        plan_planes(&layout, footprint, caps, tuning)
    } else {
        plan_rows(&layout, footprint, caps, tuning)
    }
}

/// Classes are planes: a lane owns positions of a sample.
fn plan_planes(layout: &Layout, footprint: Footprint, caps: &Caps, tuning: Tuning) -> Result<Plan> {
    check_classes("the number of classes on an axis that is not the last", layout, SOFTWARE_PLANES, caps)?;
    let (sample_bytes, max_binding) = (footprint.sample(layout), tuning.max_binding(caps));
    Ok(Plan {
        aligned: layout.inner().is_multiple_of(CHUNK),
        windows: window::cut(layout.outer(), &[1], sample_bytes, max_binding, caps.alignment())?,
        ..Plan::new(RowSchedule::Planes, lanes(LANES_OF_ROWS, 0, caps, tuning)?, reduce(caps, tuning)?)
    })
}

/// Rows, class axis last, as they lie to the units that lanes load at once.
struct Rows {
    /// Logits of a unit.
    unit: u32,
    /// Rows that start and end with a unit, the fewest that do: windows are cut there.
    step: u32,
    /// Rows that start and end with a chunk, the fewest that do: they share none with the others.
    group: u32,
    /// Every row starts and ends with a unit.
    aligned: bool,
    /// Rows of the windows, and those behind, which go word by word.
    whole: u32,
    tail: u32,
}

impl Rows {
    fn new(layout: &Layout, unit: u32) -> Self {
        let step = fewest_rows(layout, unit);
        let rest = layout.outer() % step;
        // The last unit may reach into a gap that the buffer does not have.
        let ends_in_gap = !(layout.outer_stride() - layout.classes()).is_multiple_of(unit);
        let tail = if rest == 0 && ends_in_gap { step.min(layout.outer()) } else { rest };
        Self {
            unit,
            step,
            group: fewest_rows(layout, CHUNK),
            aligned: step == 1 && layout.classes().is_multiple_of(unit),
            whole: layout.outer() - tail,
            tail,
        }
    }

    /// The plan with its windows and its tail. `cut` cuts so many rows at multiples of the first of some steps that fits.
    fn cut(&self, plan: Plan, cut: impl Fn(u32, &[u32]) -> Result<Vec<Window>>) -> Result<Plan> {
        let windows = cut(self.whole, &[ALIGNED_ROWS, self.step])?;
        let tail = cut(self.tail, &[self.tail])?.first().map(|tail| Window { first: self.whole, ..*tail });
        Ok(Plan { group_rows: self.group, aligned: self.aligned, windows, tail, ..plan })
    }
}

fn plan_rows(layout: &Layout, footprint: Footprint, caps: &Caps, tuning: Tuning) -> Result<Plan> {
    let wide = footprint.logit == 4 && wide(layout, caps, tuning)?;
    let rows_of = |team| Rows::new(layout, unit(team, footprint.logit, wide));
    let (sample_bytes, max_binding) = (footprint.sample(layout), tuning.max_binding(caps));
    let room = max_binding.saturating_sub(caps.alignment().into());
    let group_logits = u64::from(fewest_rows(layout, CHUNK)) * u64::from(layout.classes());
    let planned = team(layout, group_logits, caps, tuning);
    let fits = sample_bytes.saturating_mul(rows_of(planned).step.into()) <= room;
    let team = tuning.team.unwrap_or(if fits { planned } else { Team::Slices });
    let rows = rows_of(team);
    let reduce = reduce(caps, tuning)?;
    let (schedule, lanes, teams) = match team {
        Team::Slices => {
            let slicing = Slicing::new(layout, rows.step, rows.unit, footprint.element, room, tuning.slice)?;
            let lanes = lanes(LANES_OF_SLICES, 0, caps, tuning)?;
            check_lanes(slicing.classes.into(), lanes, caps)?;
            let plan = Plan { wide, slicing: Some(slicing), ..Plan::new(RowSchedule::Slices, lanes, reduce) };
            return rows.cut(plan, |count, steps| {
                slicing.cut(count, steps, sample_bytes, max_binding, caps.max_binding, caps.alignment())
            });
        }
        Team::Lane => {
            let lanes = lanes(LANES_OF_ROWS, 0, caps, tuning)?;
            (RowSchedule::Lane, lanes, lanes)
        }
        Team::Subgroup => {
            let (lanes, size) = lanes_of_subgroups(caps, tuning)?;
            (RowSchedule::Subgroup, lanes, lanes / size)
        }
        Team::Workgroup => {
            let planned = lanes_of_row(layout.classes(), reduce, caps);
            (RowSchedule::Workgroup(reduce), lanes(planned, group_logits, caps, tuning)?, 1)
        }
    };
    let lanes_of_team = lanes / teams;
    check_lanes(group_logits, lanes_of_team, caps)?;
    let alone = team == Team::Lane;
    let plan = Plan {
        wide,
        teams,
        held: if alone { 0 } else { held(layout, rows.unit, lanes_of_team, caps, tuning)? },
        short: alone && layout.classes() < BLOCK_CHUNKS * CHUNK,
        ..Plan::new(schedule, lanes, reduce)
    };
    rows.cut(plan, |count, steps| window::cut(count, steps, sample_bytes, max_binding, caps.alignment()))
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
    let schedule = RowSchedule::Blocks { entries: !layout.is_contiguous() };
    Ok(Plan {
        aligned: tail_blocks == 0,
        windows: cut(whole)?,
        tail: tail.first().map(|tail| Window { first: whole, ..*tail }),
        ..Plan::new(schedule, lanes(LANES_OF_BLOCKS, 0, caps, tuning)?, reduce(caps, tuning)?)
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
    check_classes("the number of classes of a loss of regions", layout, SOFTWARE_REGIONS, caps)?;
    let lanes = lanes(LANES_OF_ROWS, 0, caps, tuning)?;
    // Of small samples that make up a region together, a block takes as many as it has room for.
    let fitting = QUADS_OF_LANE * lanes / layout.inner().div_ceil(CHUNK).max(1);
    let section = if samples_together { fitting.max(1) } else { 1 };
    let (sample_bytes, max_binding) = (footprint.sample(layout), tuning.max_binding(caps));
    Ok(Plan {
        group_rows: section,
        aligned: layout.inner().is_multiple_of(CHUNK),
        // Windows of whole sections: the tree of a sum, and with it every bit, is the same for every limit.
        windows: window::cut(layout.outer(), &[section, 1], sample_bytes, max_binding, caps.alignment())?,
        ..Plan::new(RowSchedule::Planes, lanes, reduce(caps, tuning)?)
    })
}

/// The fewest rows that start and end at a multiple of so many logits.
const fn fewest_rows(layout: &Layout, logits: u32) -> u32 {
    logits / gcd(layout.outer_stride(), logits)
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
