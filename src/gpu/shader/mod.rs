//! Composes WGSL from the fragments in `shaders/`: the only place that includes them.
//!
//! `shaders/README.md` says what each directory promises and in which order fragments stand.

pub(crate) mod bindings;
mod elements;
mod fragment;
mod losses;
mod schedule;
mod source;

pub use elements::{Elements, Place, Storage};
pub(crate) use losses::Family;
pub use losses::LossFragment;
pub(crate) use schedule::MOST_HELD;
pub use schedule::{Reduce, RowSchedule};

use super::switch::Switch;

/// A composed shader: which fragments it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shader {
    /// A loss of rows, or the softmax.
    Rows {
        /// What happens to a row.
        fragment: LossFragment,
        /// How the logits are bound.
        elements: Elements,
        /// Who owns a row.
        schedule: RowSchedule,
    },
    /// Overlap of predictions and targets in the regions, block by block.
    RegionSums {
        /// How the logits are bound.
        elements: Elements,
        /// How lanes combine.
        reduce: Reduce,
    },
    /// Sums of blocks to sums of regions.
    RegionFold {
        /// How lanes combine.
        reduce: Reduce,
    },
    /// Sums of regions to losses, and to the derivatives by the sums.
    RegionFinish {
        /// The loss of a region.
        fragment: LossFragment,
        /// How lanes combine.
        reduce: Reduce,
    },
    /// The gradient of a loss of regions.
    RegionGradient {
        /// How the logits are bound.
        elements: Elements,
    },
    /// Weights, ignored rows and bad targets, from the targets alone.
    Survey {
        /// How lanes combine.
        reduce: Reduce,
    },
    /// Sum of a vector, block by block.
    Sum {
        /// How lanes combine.
        reduce: Reduce,
    },
    /// One entry of each row.
    Gather,
    /// Denominator and totals of a batch.
    Summary,
    /// Quotient of a sum.
    Mean,
}

impl Shader {
    /// Every shader that this library can compose.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Gather, Self::Summary, Self::Mean];
        let reduces = [Reduce::Workgroup, Reduce::Subgroup];
        for reduce in reduces {
            all.extend([Self::Survey { reduce }, Self::Sum { reduce }, Self::RegionFold { reduce }]);
        }
        let of_positions = |elements: &Elements| elements.storage != Storage::F32Wide;
        for elements in Elements::all().into_iter().filter(of_positions) {
            match elements.place {
                Place::None => all.extend(reduces.map(|reduce| Self::RegionSums { elements, reduce })),
                _ => all.push(Self::RegionGradient { elements }),
            }
        }
        for &fragment in LossFragment::ALL {
            if fragment.family() == Family::Regions {
                all.extend(reduces.map(|reduce| Self::RegionFinish { fragment, reduce }));
                continue;
            }
            for elements in Elements::all() {
                for &schedule in fragment.family().schedules() {
                    // Where the logits end within a chunk, so do the dense tensors.
                    let has_chunks = !elements.words || schedule != (RowSchedule::Blocks { entries: false });
                    if has_chunks && (schedule.is_along_rows() || of_positions(&elements)) {
                        all.push(Self::Rows { fragment, elements, schedule });
                    }
                }
            }
        }
        all.retain(|shader| !shader.entry_points().is_empty());
        all
    }

    /// Whether it calls subgroup operations, which need `Features::SUBGROUP`.
    #[must_use]
    pub fn needs_subgroups(self) -> bool {
        match self {
            Self::Rows { schedule, .. } => {
                matches!(schedule, RowSchedule::Workgroup(Reduce::Subgroup) | RowSchedule::Subgroup)
            }
            Self::Survey { reduce }
            | Self::Sum { reduce }
            | Self::RegionSums { reduce, .. }
            | Self::RegionFold { reduce }
            | Self::RegionFinish { reduce, .. } => reduce == Reduce::Subgroup,
            Self::RegionGradient { .. } | Self::Gather | Self::Summary | Self::Mean => false,
        }
    }

    /// Whether it leaves the conversion of float16 to the device. Every device can, but only one that has 16-bit floats of its own,
    /// `Features::SHADER_F16`, is trusted with subnormals.
    #[must_use]
    pub fn needs_f16(self) -> bool {
        match self {
            Self::Rows { elements, .. } | Self::RegionSums { elements, .. } | Self::RegionGradient { elements } => {
                elements.storage == Storage::F16
            }
            _ => false,
        }
    }

    /// Whether it has 64-bit integers, which need `Features::SHADER_INT64`.
    #[must_use]
    pub fn needs_int64(self) -> bool {
        matches!(self, Self::Rows { elements: Elements { storage: Storage::F32Wide, words: false, .. }, .. })
    }

    /// Whether its lanes can hold a row: `schedule/held.wgsl`.
    pub(crate) fn can_hold(self) -> bool {
        matches!(self, Self::Rows { schedule: RowSchedule::Workgroup(_) | RowSchedule::Subgroup, .. })
    }

    /// Its entry points.
    #[must_use]
    pub fn entry_points(self) -> &'static [&'static str] {
        match self {
            Self::Rows { fragment, elements, schedule: RowSchedule::Slices } => {
                let maps = elements.place != Place::None || fragment.switches().contains(&Switch::ElementLosses);
                match (fragment.family(), fragment.reads_once(), maps) {
                    (Family::Plain, _, false) => &[],
                    (Family::Labelled, _, false) => &["find_targets", "sum_slices", "finish_rows"],
                    (Family::Labelled, _, true) => &["find_targets", "sum_slices", "finish_rows", "map_slices"],
                    (_, true, false) => &["sum_slices", "finish_rows"],
                    (_, true, true) => &["sum_slices", "finish_rows", "map_slices"],
                    (_, false, false) => &["sum_slices", "sum_slices_again", "finish_rows"],
                    (_, false, true) => &["sum_slices", "sum_slices_again", "finish_rows", "map_slices"],
                }
            }
            Self::Rows { fragment, elements: Elements { place: Place::None, .. }, .. } => {
                match (fragment.family(), fragment.switches().contains(&Switch::ElementLosses)) {
                    (Family::Plain, _) => &[],
                    (Family::Elements, _) | (_, false) => &["forward"],
                    // Element losses are written where a gradient would be.
                    (_, true) => &["forward", "forward_gradient"],
                }
            }
            Self::Rows { .. } => &["forward_gradient"],
            Self::RegionSums { .. } => &["region_sums"],
            Self::RegionFold { .. } => &["fold_regions"],
            Self::RegionFinish { .. } => &["finish_regions"],
            Self::RegionGradient { .. } => &["region_gradient"],
            Self::Survey { .. } => &["survey_rows", "survey_partials"],
            Self::Sum { .. } => &["sum_blocks"],
            Self::Gather => &["gather"],
            Self::Summary => &["denominator", "summarize"],
            Self::Mean => &["finish"],
        }
    }

    /// A readable, unique name: the distinguishing fragments, joined.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Rows { fragment, elements, schedule } => {
                let schedule = match schedule {
                    RowSchedule::Workgroup(reduce) => reduce.name(),
                    RowSchedule::Subgroup => "one_subgroup",
                    RowSchedule::Lane => "lane",
                    RowSchedule::Planes => "planes",
                    RowSchedule::Slices => "slices",
                    RowSchedule::Blocks { entries: false } => "chunks",
                    RowSchedule::Blocks { entries: true } => "entries",
                };
                format!("{}/{}/{schedule}", fragment.name(), elements.label())
            }
            Self::RegionSums { elements, reduce } => {
                format!("region_sums/{}/{}", elements.label(), reduce.name())
            }
            Self::RegionFold { reduce } => format!("region_fold/{}", reduce.name()),
            Self::RegionFinish { fragment, reduce } => format!("{}/finish/{}", fragment.name(), reduce.name()),
            Self::RegionGradient { elements } => format!("region_gradient/{}", elements.label()),
            Self::Survey { reduce } => format!("survey/{}", reduce.name()),
            Self::Sum { reduce } => format!("sum/{}", reduce.name()),
            Self::Gather => "gather".into(),
            Self::Summary => "summary".into(),
            Self::Mean => "mean".into(),
        }
    }

    /// What can be compiled in or left out.
    pub(crate) fn switches(self) -> Vec<Switch> {
        match self {
            Self::Rows { fragment, schedule, .. } => {
                let own: &[Switch] = match schedule {
                    RowSchedule::Workgroup(_) | RowSchedule::Subgroup | RowSchedule::Slices => &[Switch::Edges],
                    RowSchedule::Lane => &[Switch::Edges, Switch::Short],
                    RowSchedule::Planes => &[Switch::Aligned, Switch::Rounds],
                    RowSchedule::Blocks { .. } => &[Switch::Gaps, Switch::Positions, Switch::Weights],
                };
                [own, fragment.switches()].concat()
            }
            Self::RegionSums { .. } | Self::RegionGradient { .. } => vec![
                Switch::Aligned,
                Switch::Rounds,
                Switch::Sigmoid,
                Switch::DenseTargets,
                Switch::Squared,
                Switch::Pointwise,
                Switch::FocalTerm,
            ],
            _ => Vec::new(),
        }
    }
}
