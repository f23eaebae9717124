//! Who owns a row: how many lanes, and how they combine.

use super::caps::Caps;
use super::shader::{MOST_HELD, Reduce};
use super::tuning::{Team, Tuning};
use crate::{Error, Layout, Result};

/// Logits in a chunk: what is computed at once.
pub(super) const CHUNK: u32 = 4;

/// Bytes that a lane of a team loads and stores at once, `UNIT` chunks in `shaders/schedule/`: one of float32, or two of 16 bits.
/// It is the widest load of WGSL, so that 16-bit logits have as many bytes in flight as float32. Not measured on a GPU.
const UNIT_BYTES: u32 = 16;

/// Lanes for a row, by its length. A row is read in blocks of four chunks a lane; wider workgroups keep more loads in
/// flight, narrower ones waste fewer lanes on short rows.
const LANES: [(u32, u32); 4] = [(256, 32), (1024, 64), (4096, 128), (u32::MAX, 256)];

/// Longest row of one workgroup. Of longer ones those in flight exceed every cache anyway, so that nothing is lost by reading a
/// row again in another dispatch, and a few rows, cut into slices, keep all of a device busy.
const UNCUT: u32 = 32_768;

/// The same on a software adapter, which has few cores to keep busy: cut, rows of this length take a few percent longer, and single
/// rows of four times the length hardly more than half.
const SOFTWARE_UNCUT: u32 = 262_144;

/// Subgroups of a workgroup, where each owns rows. A GPU keeps some 32 workgroups a processor, half as many as it has room for
/// subgroups, and starts about one a clock, which is slower than a row of a few hundred bytes is read: with one subgroup each, lanes
/// would stay unused. Larger workgroups wait longer for registers. Not measured on a GPU.
const SUBGROUPS: u32 = 4;

/// Most logits of a lane on a software adapter. llvmpipe ends the loops of an invocation after 65,535 iterations altogether, and says
/// nothing: a chunk is an iteration when the gradient is written, and a quarter of one when the row is read.
const SOFTWARE_LOGITS: u64 = 1 << 17;

/// Most classes of planes, as many of which a lane goes through four at once: two readings and a writing are 49,920 iterations.
pub(super) const SOFTWARE_PLANES: u32 = 65_536;

/// Most classes of a loss of regions, which a lane goes through one by one: five times for the sums, and at most three for the
/// gradient.
pub(super) const SOFTWARE_REGIONS: u32 = 12_288;

/// On a software adapter a workgroup is a loop over vectors of eight lanes, and a barrier is a context switch.
const SOFTWARE_LANES: u32 = 8;

/// Classes from which a software adapter loads 64-bit words. It loads lane after lane, and then half as often: rows of 65,536 x 1000
/// take from 0.72 to 0.96 of the time, by what else the machine does, and those of fewer classes, which have more edges, up to 1.4.
const WIDE: u32 = 256;

/// Whether rows of float32 logits are loaded as 64-bit words, a pair of chunks at once.
///
/// # Errors
/// [`Error::Unsupported`] if that is forced and the device cannot.
pub(super) fn wide(layout: &Layout, caps: &Caps, tuning: Tuning) -> Result<bool> {
    // A pair has 32 bytes, and windows start with one.
    let can = caps.int64 && caps.storage_alignment.is_multiple_of(32);
    match tuning.wide {
        Some(true) if !can => Err(Error::Unsupported {
            variant: "float32 logits as 64-bit words".into(),
            needs: "Features::SHADER_INT64, and storage offsets that are multiples of 32 bytes".into(),
        }),
        Some(forced) => Ok(forced),
        // Who forces a team, or how it combines, wants what other devices run.
        None if tuning.team.is_some() || tuning.reduce.is_some() => Ok(false),
        // Groups of rows that start elsewhere than with a pair would be larger than those of a chunk, and need larger bindings.
        None => {
            let suits = layout.classes() >= WIDE && layout.outer_stride().is_multiple_of(2 * CHUNK);
            Ok(caps.software && can && suits)
        }
    }
}

/// Logits of so many bytes each that a lane loads at once. By itself it takes chunks: its rows are short, and a cache line holds two.
pub(super) fn unit(team: Team, logit_bytes: u64, wide: bool) -> u32 {
    match (team, logit_bytes) {
        (_, 4) if wide => 2 * CHUNK,
        (Team::Workgroup | Team::Subgroup | Team::Slices, 2) => UNIT_BYTES / 2,
        _ => CHUNK,
    }
}

/// A lane by itself reads as far apart from its neighbours as rows are long: good where a cache line holds a row or two. On a
/// software adapter lanes are parts of a vector and memory is far from all of them, so rows may be long.
///
/// The number of rows has no say: a row's bits must not depend on how many come with it.
pub(super) fn team(layout: &Layout, group_logits: u64, caps: &Caps, tuning: Tuning) -> Team {
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
pub(super) fn lanes_of_subgroups(caps: &Caps, tuning: Tuning) -> Result<(u32, u32)> {
    let unsupported = |needs: String| Err(Error::Unsupported { variant: "a team that is a subgroup".into(), needs });
    let Some(size) = caps.subgroup_size() else {
        return unsupported("Features::SUBGROUP, and subgroups that are all of one size".into());
    };
    let lanes = lanes(SUBGROUPS * size, 0, caps, tuning)?;
    if tuning.lanes.is_some() && lanes < size {
        return unsupported(format!("a workgroup of at least {size} lanes"));
    }
    Ok((lanes.max(size), size))
}

/// Lanes of a workgroup that owns a row of so many classes, on a GPU.
pub(super) fn lanes_of_row(classes: u32, reduce: Reduce, caps: &Caps) -> u32 {
    let subgroup = caps.min_subgroup_size;
    // One subgroup that holds the row needs neither barriers nor workgroup memory, even if it might be wider than that.
    if reduce == Reduce::Subgroup && subgroup >= 32 && classes <= CHUNK * MOST_HELD * subgroup {
        return subgroup;
    }
    LANES.iter().find(|(longest, _)| classes <= *longest).map_or(256, |(_, lanes)| *lanes)
}

/// Lanes of a workgroup that shares `logits` logits: those that are forced, or `planned` on a GPU.
pub(super) fn lanes(planned: u32, logits: u64, caps: &Caps, tuning: Tuning) -> Result<u32> {
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
pub(super) fn held(layout: &Layout, unit: u32, lanes: u32, caps: &Caps, tuning: Tuning) -> Result<u32> {
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
pub(super) fn check_lanes(logits: u64, lanes: u32, caps: &Caps) -> Result<()> {
    if !caps.software || logits <= SOFTWARE_LOGITS * u64::from(lanes) {
        return Ok(());
    }
    Err(Error::Unsupported {
        variant: format!("{lanes} lanes that share {logits} logits"),
        needs: format!("at most {SOFTWARE_LOGITS} logits a lane on a software adapter"),
    })
}

/// Fails where a lane owns positions of more classes than a software adapter can read.
pub(super) fn check_classes(what: &'static str, layout: &Layout, most: u32, caps: &Caps) -> Result<()> {
    if !caps.software || layout.classes() <= most {
        return Ok(());
    }
    Err(Error::TooLarge {
        what,
        size: layout.classes().into(),
        limit: most.into(),
        limited_by: "a software adapter",
        remedy: "use a GPU or the CPU engine",
    })
}

/// How lanes combine: through subgroups where the device has them.
pub(super) fn reduce(caps: &Caps, tuning: Tuning) -> Result<Reduce> {
    match tuning.reduce {
        Some(Reduce::Subgroup) if !caps.subgroups => {
            Err(Error::Unsupported { variant: "reduction by subgroups".into(), needs: "Features::SUBGROUP".into() })
        }
        Some(forced) => Ok(forced),
        None if caps.subgroups => Ok(Reduce::Subgroup),
        None => Ok(Reduce::Workgroup),
    }
}
