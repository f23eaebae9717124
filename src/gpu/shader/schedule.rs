//! Who owns what, and how lanes combine.

use super::fragment::{Fragment, fragment};

/// Most chunks of a row that a lane can hold: `schedule/held.wgsl` spells them out.
pub(crate) const MOST_HELD: u32 = 8;

/// How the lanes of a workgroup combine their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Through workgroup memory; runs everywhere.
    Workgroup,
    /// Through subgroup operations; needs `Features::SUBGROUP`.
    Subgroup,
}

/// Who owns a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowSchedule {
    /// A workgroup; the class axis is last.
    Workgroup(Reduce),
    /// A subgroup; the class axis is last. Needs `Features::SUBGROUP`, and subgroups of one size.
    Subgroup,
    /// A workgroup a slice of a row; the class axis is last.
    ///
    /// Lanes combine once a slice, through workgroup memory: subgroups would gain nothing.
    Slices,
    /// A lane; the class axis is last.
    Lane,
    /// A lane, four neighbouring positions at once; the class axis is not last.
    Planes,
    /// Nobody: a workgroup owns a block of logits, whatever their rows.
    ///
    /// Lanes combine once a block and always through workgroup memory: subgroups would gain nothing, and sum in another order.
    Blocks {
        /// Dense tensors are read and written entry by entry: they do not lie as the logits do, or end within a chunk.
        entries: bool,
    },
}

impl RowSchedule {
    /// Whether rows are read from one end to the other, class axis last.
    pub(super) const fn is_along_rows(self) -> bool {
        self.is_shared() || matches!(self, Self::Lane)
    }

    /// Whether several lanes share a row, class axis last.
    pub(super) const fn is_shared(self) -> bool {
        matches!(self, Self::Workgroup(_) | Self::Subgroup | Self::Slices)
    }
}

impl Reduce {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Workgroup => "workgroup",
            Self::Subgroup => "subgroup",
        }
    }

    pub(super) const fn fragment(self) -> Fragment {
        match self {
            Self::Workgroup => fragment!("reduce/workgroup.wgsl"),
            Self::Subgroup => fragment!("reduce/subgroup.wgsl"),
        }
    }
}
