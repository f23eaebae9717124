//! Composes WGSL from the fragments in `shaders/`: the only place that includes them.
//!
//! `shaders/README.md` says what each directory promises and in which order fragments stand.

pub(crate) mod bindings;
mod elements;
mod fragment;
mod losses;
mod schedule;

use std::borrow::Cow;

pub use elements::{Elements, Place, Storage};
pub(crate) use losses::Family;
pub use losses::LossFragment;
pub(crate) use schedule::MOST_HELD;
pub use schedule::{Reduce, RowSchedule};

use super::switch::Switch;
use bindings::{
    CLASS_WEIGHTS, CONTRIBUTIONS, DETAILS, GRADIENT, INPUT, KEPT, LOGITS, LOSSES, OUTPUT, PARTIALS, REGIONS,
    ROW_WEIGHTS, STATUS, SURVEY, TARGETS,
};
use fragment::{Fragment, fragment};

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
        for elements in Elements::all() {
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
                    if !elements.words || schedule != (RowSchedule::Blocks { entries: false }) {
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

    /// The composed WGSL, each fragment under a comment that names it.
    #[must_use]
    pub fn source(self) -> Cow<'static, str> {
        const MATH: Fragment = fragment!("math/elementary.wgsl");
        const SOFTCAP: Fragment = fragment!("math/softcap.wgsl");
        const WEIGHTS: Fragment = fragment!("row/weights.wgsl");
        const IGNORE: Fragment = fragment!("row/ignore.wgsl");
        const TARGET: Fragment = fragment!("row/target.wgsl");
        const STATUS_FRAGMENT: Fragment = fragment!("row/status.wgsl");
        const QUADS: Fragment = fragment!("schedule/quads.wgsl");
        const REGION: [Fragment; 4] = [
            IGNORE,
            fragment!("region/targets.wgsl"),
            fragment!("region/prediction.wgsl"),
            fragment!("region/pointwise.wgsl"),
        ];
        let mut parts = vec![fragment!("params.wgsl")];
        match self {
            Self::Rows { fragment, elements, schedule } => {
                parts.extend(elements.fragments(schedule));
                parts.extend(match schedule {
                    RowSchedule::Workgroup(reduce) => vec![reduce.fragment(), MATH, SOFTCAP],
                    RowSchedule::Subgroup => vec![fragment!("reduce/one_subgroup.wgsl"), MATH, SOFTCAP],
                    RowSchedule::Lane | RowSchedule::Planes => vec![fragment!("reduce/lane.wgsl"), MATH, SOFTCAP],
                    RowSchedule::Slices => vec![Reduce::Workgroup.fragment(), MATH, SOFTCAP],
                    RowSchedule::Blocks { entries: false } => {
                        vec![Reduce::Workgroup.fragment(), MATH, fragment!("element/chunks.wgsl")]
                    }
                    RowSchedule::Blocks { entries: true } => {
                        vec![Reduce::Workgroup.fragment(), MATH, fragment!("element/entries.wgsl")]
                    }
                });
                parts.extend(fragment.family().parts());
                parts.extend(fragment.parts());
                const CHUNKS: Fragment = fragment!("schedule/row_chunks.wgsl");
                const HELD: Fragment = fragment!("schedule/held.wgsl");
                const ROWS: Fragment = fragment!("schedule/rows.wgsl");
                parts.extend(match schedule {
                    RowSchedule::Workgroup(_) => vec![fragment!("schedule/team_workgroup.wgsl"), CHUNKS, HELD, ROWS],
                    RowSchedule::Subgroup => vec![fragment!("schedule/team_subgroup.wgsl"), CHUNKS, HELD, ROWS],
                    RowSchedule::Lane => {
                        vec![fragment!("schedule/team_lane.wgsl"), CHUNKS, fragment!("schedule/reread.wgsl"), ROWS]
                    }
                    RowSchedule::Slices => vec![CHUNKS, fragment!("schedule/slices.wgsl")],
                    RowSchedule::Planes => vec![QUADS, fragment!("schedule/planes.wgsl")],
                    RowSchedule::Blocks { .. } => vec![fragment!("schedule/elements.wgsl")],
                });
            }
            Self::RegionSums { elements, reduce } => {
                parts.extend(elements.fragments(RowSchedule::Planes));
                parts.extend([reduce.fragment(), MATH, QUADS]);
                parts.extend(REGION);
                parts.extend([STATUS_FRAGMENT, fragment!("schedule/region_sums.wgsl")]);
            }
            Self::RegionFold { reduce } => parts.extend([reduce.fragment(), fragment!("pass/region_fold.wgsl")]),
            Self::RegionFinish { fragment, reduce } => {
                parts.extend([reduce.fragment(), MATH, WEIGHTS, STATUS_FRAGMENT]);
                parts.extend(fragment.parts());
                parts.push(fragment!("pass/region_finish.wgsl"));
            }
            Self::RegionGradient { elements } => {
                parts.extend(elements.fragments(RowSchedule::Planes));
                parts.extend([MATH, QUADS]);
                parts.extend(REGION);
                parts.push(fragment!("schedule/region_gradient.wgsl"));
            }
            Self::Survey { reduce } => {
                parts.extend([reduce.fragment(), WEIGHTS, IGNORE, TARGET, fragment!("pass/survey.wgsl")]);
            }
            Self::Sum { reduce } => parts.extend([reduce.fragment(), fragment!("pass/sum.wgsl")]),
            Self::Gather => {
                let reduce = Reduce::Workgroup.fragment();
                parts.extend([reduce, WEIGHTS, IGNORE, TARGET, fragment!("pass/gather.wgsl")]);
            }
            Self::Summary => parts.push(fragment!("pass/summary.wgsl")),
            Self::Mean => parts.push(fragment!("pass/mean.wgsl")),
        }
        let mut source = String::from("override WORKGROUP_SIZE: u32 = 64u;\n");
        for part in parts {
            source.push_str(&format!("\n// ---- {} ----\n\n{}", part.path, part.source));
        }
        source.into()
    }

    /// The storage bindings of an entry point: (binding, read only).
    pub(crate) fn bindings(self, entry_point: &str) -> Vec<(u32, bool)> {
        match self {
            Self::Rows { fragment, elements, schedule: RowSchedule::Slices } => {
                let own = [(KEPT, false), (PARTIALS, false)];
                let all = [elements.bindings(), fragment.family().bindings().to_vec(), own.to_vec()].concat();
                let used = |binding: &u32| match entry_point {
                    "find_targets" => [LOGITS, TARGETS, CLASS_WEIGHTS, ROW_WEIGHTS, KEPT].contains(binding),
                    "finish_rows" => ![LOGITS, GRADIENT].contains(binding),
                    "map_slices" => ![ROW_WEIGHTS, LOSSES, STATUS, PARTIALS].contains(binding),
                    _ => ![GRADIENT, LOSSES, DETAILS, STATUS].contains(binding),
                };
                all.into_iter().filter(|(binding, _)| used(binding)).collect()
            }
            Self::Rows { fragment, elements, .. } => {
                [elements.bindings(), fragment.family().bindings().to_vec()].concat()
            }
            Self::RegionSums { elements, .. } => {
                [elements.bindings(), vec![(TARGETS, true), (LOSSES, false), (STATUS, false)]].concat()
            }
            Self::RegionGradient { elements } => [elements.bindings(), vec![(TARGETS, true), (LOSSES, true)]].concat(),
            Self::RegionFold { .. } => vec![(INPUT, true), (OUTPUT, false)],
            Self::RegionFinish { .. } => vec![
                (REGIONS, false),
                (CONTRIBUTIONS, false),
                (SURVEY, true),
                (CLASS_WEIGHTS, true),
                (LOSSES, false),
                (STATUS, false),
            ],
            Self::Survey { .. } if entry_point == "survey_rows" => {
                vec![(OUTPUT, false), (TARGETS, true), (CLASS_WEIGHTS, true), (ROW_WEIGHTS, true)]
            }
            Self::Survey { .. } | Self::Sum { .. } | Self::Mean => vec![(INPUT, true), (OUTPUT, false)],
            Self::Gather => {
                vec![(INPUT, true), (OUTPUT, false), (TARGETS, true), (CLASS_WEIGHTS, true), (ROW_WEIGHTS, true)]
            }
            Self::Summary if entry_point == "denominator" => vec![(1, true), (3, false)],
            Self::Summary => vec![(1, true), (2, true), (3, false), (4, false)],
        }
    }
}
