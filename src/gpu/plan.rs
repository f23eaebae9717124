//! Which variant runs for a layout on a device, and how the batch is cut: a pure function, without a device.

use super::caps::Caps;
use super::shader::{MOST_HELD, Reduce, RowSchedule};
use super::slicing::Slicing;
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

/// Logits in a chunk: what is computed at once.
const CHUNK: u32 = 4;

/// Bytes that a lane of a team loads and stores at once: a chunk, or two of 16-bit logits. Half as many instructions then keep the
/// same bytes in flight, which is what GPUs are made for. Not measured on one.
const UNIT_BYTES: u32 = 16;

/// Chunks that a lane adds up together: `add_block` of `shaders/schedule/row_chunks.wgsl`.
const BLOCK_CHUNKS: u32 = 4;

/// Lanes for a row, by its length. A row is read in blocks of four chunks a lane; wider workgroups keep more loads in
/// flight, narrower ones waste fewer lanes on short rows.
const LANES: [(u32, u32); 4] = [(256, 32), (1024, 64), (4096, 128), (u32::MAX, 256)];

/// Longest row of one workgroup. Of longer ones those in flight exceed every cache anyway, so that nothing is lost by reading a
/// row again in another dispatch, and a few rows, cut into slices, keep all of a device busy.
const UNCUT: u32 = 32_768;

/// The same on a software adapter, which has few cores to keep busy: cut, rows of this length take a few percent longer, and single
/// rows of four times the length hardly more than half.
const SOFTWARE_UNCUT: u32 = 262_144;

/// Subgroups of a workgroup, where each owns rows. A GPU keeps at most 32 workgroups a processor and may start about one a clock:
/// workgroups of one subgroup would leave room for as many more unused, and rows of a few hundred bytes be read faster than started.
/// Wider ones wait for registers longer. Not measured on a GPU.
const SUBGROUPS: u32 = 4;

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

/// Most logits of a lane on a software adapter. llvmpipe ends the loops of an invocation after 65,535 iterations altogether, and says
/// nothing: a chunk is an iteration when the gradient is written, and a quarter of one when the row is read.
const SOFTWARE_LOGITS: u64 = 1 << 17;

/// On a software adapter a workgroup is a loop over vectors of eight lanes, and a barrier is a context switch.
const SOFTWARE_LANES: u32 = 8;

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
        let unit = unit(team, footprint);
        unit / gcd(layout.outer_stride(), unit)
    };
    let planned = team(&layout, group_logits, caps, tuning);
    let fits = sample_bytes.saturating_mul(step_of(planned).into()) <= room;
    let team = tuning.team.unwrap_or(if fits { planned } else { Team::Slices });
    // Windows start and end with a unit, and so do the rows in front of the tail.
    let (unit, step) = (unit(team, footprint), step_of(team));
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

/// Logits that a lane of a team loads at once.
fn unit(team: Team, footprint: Footprint) -> u32 {
    match (team, footprint.logit) {
        (Team::Workgroup | Team::Subgroup | Team::Slices, 2) => UNIT_BYTES / 2,
        _ => CHUNK,
    }
}

/// A lane by itself reads as far apart from its neighbours as rows are long: good where a cache line holds a row or two. On a
/// software adapter lanes are parts of a vector and memory is far from all of them, so rows may be long.
///
/// The number of rows has no say: a row's bits must not depend on how many come with it.
fn team(layout: &Layout, group_logits: u64, caps: &Caps, tuning: Tuning) -> Team {
    // Whoever forces how lanes combine wants them to.
    if tuning.reduce.is_some() {
        return Team::Workgroup;
    }
    if caps.software {
        return match group_logits {
            logits if logits <= SOFTWARE_LOGITS / 2 => Team::Lane,
            _ if layout.classes() <= SOFTWARE_UNCUT => Team::Workgroup,
            _ => Team::Slices,
        };
    }
    match layout.classes() {
        0..=32 => Team::Lane,
        // Lanes that hold a row need no memory to share it. Of narrower subgroups too few would be resident.
        classes if caps.subgroup_size().is_some_and(|size| size >= 32 && classes <= CHUNK * MOST_HELD * size) => {
            // Whoever forces the width of a workgroup wants it to own the row.
            if tuning.lanes.is_some() { Team::Workgroup } else { Team::Subgroup }
        }
        33..=UNCUT => Team::Workgroup,
        _ => Team::Slices,
    }
}

/// Lanes of a workgroup whose subgroups own rows, and of a subgroup.
fn lanes_of_subgroups(caps: &Caps, tuning: Tuning) -> Result<(u32, u32)> {
    let unsupported = |needs: String| Err(Error::Unsupported { variant: "a team that is a subgroup".into(), needs });
    let Some(size) = caps.subgroup_size() else {
        return unsupported("Features::SUBGROUP, and subgroups that are all of one size".into());
    };
    let lanes = lanes(SUBGROUPS * size, 0, caps, tuning)?;
    match tuning.lanes {
        Some(forced) if forced < size => unsupported(format!("a workgroup of at least {size} lanes")),
        _ => Ok((lanes.max(size), size)),
    }
}

/// Lanes of a workgroup that owns a row of so many classes, on a GPU.
fn lanes_of_row(classes: u32, reduce: Reduce, caps: &Caps) -> u32 {
    let subgroup = caps.min_subgroup_size;
    // One subgroup that holds the row needs neither barriers nor workgroup memory, even if it might be wider than that.
    if reduce == Reduce::Subgroup && subgroup >= 32 && classes <= CHUNK * MOST_HELD * subgroup {
        return subgroup;
    }
    LANES.iter().find(|(longest, _)| classes <= *longest).map_or(256, |(_, lanes)| *lanes)
}

/// Lanes of a workgroup, which shares `logits` logits.
fn lanes(planned: u32, logits: u64, caps: &Caps, tuning: Tuning) -> Result<u32> {
    let planned = if caps.software {
        let needed = logits.div_ceil(SOFTWARE_LOGITS).next_power_of_two();
        u32::try_from(needed).unwrap_or(u32::MAX).max(SOFTWARE_LANES)
    } else {
        planned
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

/// Chunks that each of `lanes` lanes holds of a row: all that it has, if they are few enough. A software adapter
/// gives rows of that length to a lane by itself.
fn held(layout: &Layout, unit: u32, lanes: u32, caps: &Caps, tuning: Tuning) -> Result<u32> {
    let needed = unit / CHUNK * (layout.classes() / unit).div_ceil(lanes).max(1).next_power_of_two();
    let fits = needed <= MOST_HELD;
    if tuning.held == Some(true) && !fits {
        return Err(Error::Unsupported {
            variant: format!("{lanes} lanes that hold {} classes", layout.classes()),
            needs: format!("at most {MOST_HELD} chunks a lane"),
        });
    }
    Ok(if fits && tuning.held.unwrap_or(!caps.software) { needed } else { 0 })
}

/// Fails where `lanes` lanes share more logits than a software adapter can read.
fn check_lanes(logits: u64, lanes: u32, caps: &Caps) -> Result<()> {
    if !caps.software || logits <= SOFTWARE_LOGITS * u64::from(lanes) {
        return Ok(());
    }
    Err(Error::Unsupported {
        variant: format!("{lanes} lanes that share {logits} logits"),
        needs: format!("at most {SOFTWARE_LOGITS} logits a lane on a software adapter"),
    })
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
