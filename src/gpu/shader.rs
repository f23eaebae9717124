//! Composes WGSL from the fragments in `shaders/`: the only place that includes them.
//!
//! `shaders/README.md` says what each directory promises and in which order fragments stand.

use std::borrow::Cow;

use super::switch::Switch;
use crate::{DType, Gradient};

macro_rules! fragment {
    ($path:literal) => {
        Fragment { path: $path, source: include_str!(concat!("../../shaders/", $path)) }
    };
}

#[derive(Clone, Copy)]
struct Fragment {
    path: &'static str,
    source: &'static str,
}

/// What a loss fragment stands on: the kind of its targets, and the schedules that can run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// Rows against one class index each.
    Labelled,
    /// Rows against one value a class.
    Dense,
    /// Rows against nothing: softmax.
    Plain,
    /// Logits, each against one value.
    Elements,
    /// All positions of a class.
    Regions,
}

/// Declares the loss fragments: a line each, with what it needs of `shaders/row/` and `shaders/math/`.
macro_rules! fragments {
    ($($(#[$doc:meta])* $variant:ident: $family:ident, $name:literal, [$($part:literal),*], $path:literal, [$($switch:ident),*];)*) => {
        /// What happens to the logits: a loss, or one of the separate passes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LossFragment {
            $($(#[$doc])* $variant,)*
        }

        impl LossFragment {
            /// Every fragment.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            const fn parts(self) -> &'static [Fragment] {
                match self {
                    $(Self::$variant => &[$(fragment!($part),)* fragment!($path)],)*
                }
            }

            pub(crate) const fn family(self) -> Family {
                match self {
                    $(Self::$variant => Family::$family,)*
                }
            }

            pub(crate) const fn switches(self) -> &'static [Switch] {
                match self {
                    $(Self::$variant => &[$(Switch::$switch),*],)*
                }
            }

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

fragments! {
    /// `shaders/loss/cross_entropy.wgsl`
    CrossEntropy: Labelled, "cross_entropy",
        ["row/max_sum.wgsl", "row/rest.wgsl", "row/one_pass.wgsl", "row/margin.wgsl"], "loss/cross_entropy.wgsl",
        [Details, Softcap, Smoothing];
    /// `shaders/loss/focal.wgsl`
    Focal: Labelled, "focal",
        ["row/max_sum.wgsl", "row/rest.wgsl", "row/one_pass.wgsl", "row/margin.wgsl"], "loss/focal.wgsl",
        [Details, Softcap];
    /// `shaders/loss/nll.wgsl`
    Nll: Labelled, "nll", ["row/one_pass.wgsl"], "loss/nll.wgsl", [Details];
    /// `shaders/loss/multi_margin.wgsl`
    MultiMargin: Labelled, "multi_margin",
        ["row/max_sum.wgsl", "row/rest.wgsl", "row/one_pass.wgsl"], "loss/multi_margin.wgsl", [Details, Squared];
    /// `shaders/loss/soft_cross_entropy.wgsl`
    SoftCrossEntropy: Dense, "soft_cross_entropy", ["row/one_pass.wgsl"], "loss/soft_cross_entropy.wgsl", [Softcap];
    /// `shaders/loss/kl_div.wgsl`
    KlDiv: Dense, "kl_div", ["math/divergence.wgsl"], "loss/kl_div.wgsl", [ElementLosses, LogTarget, Softcap];
    /// `shaders/loss/logit_divergence.wgsl`
    LogitDivergence: Dense, "logit_divergence", ["math/divergence.wgsl"], "loss/logit_divergence.wgsl",
        [Softcap, Reverse, JensenShannon];
    /// `shaders/loss/bce.wgsl`
    Bce: Elements, "bce", [], "loss/bce.wgsl", [ElementLosses];
    /// `shaders/loss/bce_with_logits.wgsl`
    BceWithLogits: Elements, "bce_with_logits", [], "loss/bce_with_logits.wgsl", [ElementLosses, PosWeights];
    /// `shaders/loss/sigmoid_focal.wgsl`
    SigmoidFocal: Elements, "sigmoid_focal", [], "loss/sigmoid_focal.wgsl", [ElementLosses];
    /// `shaders/loss/mse.wgsl`
    Mse: Elements, "mse", [], "loss/mse.wgsl", [ElementLosses];
    /// `shaders/loss/hinge.wgsl`
    Hinge: Elements, "hinge", [], "loss/hinge.wgsl", [ElementLosses, Squared];
    /// `shaders/loss/dice.wgsl`
    Dice: Regions, "dice", [], "loss/dice.wgsl", [];
    /// `shaders/loss/tversky.wgsl`
    Tversky: Regions, "tversky", [], "loss/tversky.wgsl", [];
    /// `shaders/loss/generalized_dice.wgsl`
    GeneralizedDice: Regions, "generalized_dice", [], "loss/generalized_dice.wgsl", [];
    /// `shaders/pass/softmax.wgsl`
    Softmax: Plain, "softmax", ["row/max_sum.wgsl", "row/softmax.wgsl", "row/one_pass.wgsl"], "pass/softmax.wgsl",
        [Logarithm];
}

impl Family {
    /// What every loss of the family needs.
    fn parts(self) -> &'static [Fragment] {
        match self {
            Self::Labelled => &[
                fragment!("row/weights.wgsl"),
                fragment!("row/ignore.wgsl"),
                fragment!("row/target.wgsl"),
                fragment!("row/labelled.wgsl"),
                fragment!("row/result.wgsl"),
                fragment!("row/details.wgsl"),
                fragment!("row/status.wgsl"),
                fragment!("row/order.wgsl"),
            ],
            Self::Dense => &[
                fragment!("row/weights.wgsl"),
                fragment!("row/dense.wgsl"),
                fragment!("row/result.wgsl"),
                fragment!("row/status.wgsl"),
                fragment!("row/max_sum.wgsl"),
                fragment!("row/softmax.wgsl"),
            ],
            Self::Plain | Self::Regions => &[],
            Self::Elements => &[fragment!("element/position.wgsl"), fragment!("row/status.wgsl")],
        }
    }

    /// The schedules that can run it.
    fn schedules(self) -> &'static [RowSchedule] {
        match self {
            Self::Labelled | Self::Dense | Self::Plain => &[
                RowSchedule::Lanes,
                RowSchedule::Workgroup(Reduce::Workgroup),
                RowSchedule::Workgroup(Reduce::Subgroup),
            ],
            Self::Elements => &[RowSchedule::Blocks { entries: false }, RowSchedule::Blocks { entries: true }],
            // Entry points of their own.
            Self::Regions => &[],
        }
    }

    /// Its storage bindings besides logits and gradient: (binding, read only).
    fn bindings(self) -> &'static [(u32, bool)] {
        match self {
            Self::Labelled | Self::Dense => &[
                (TARGETS, true),
                (CLASS_WEIGHTS, true),
                (ROW_WEIGHTS, true),
                (LOSSES, false),
                (DETAILS, false),
                (STATUS, false),
            ],
            Self::Plain | Self::Regions => &[],
            Self::Elements => &[
                (TARGETS, true),
                (CLASS_WEIGHTS, true),
                (ROW_WEIGHTS, true),
                (LOSSES, false),
                (POS_WEIGHTS, true),
                (STATUS, false),
            ],
        }
    }
}

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
    /// A lane, four neighbouring positions at once; the class axis is not last.
    Lanes,
    /// Nobody: a workgroup owns a block of logits, whatever their rows.
    ///
    /// Lanes combine once a block and always through workgroup memory: subgroups would gain nothing, and sum in another order.
    Blocks {
        /// Dense tensors are read and written entry by entry: they do not lie as the logits do, or end within a chunk.
        entries: bool,
    },
}

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// float32.
    F32,
    /// float16, native: needs `Features::SHADER_F16`.
    F16,
    /// float16, two to a word.
    F16Packed,
    /// bfloat16, two to a word.
    Bf16,
}

impl Storage {
    /// Every storage.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::F16Packed, Self::Bf16];

    const fn fragment(self) -> Fragment {
        match self {
            Self::F32 => fragment!("elem/f32.wgsl"),
            Self::F16 => fragment!("elem/f16.wgsl"),
            Self::F16Packed => fragment!("elem/f16_packed.wgsl"),
            Self::Bf16 => fragment!("elem/bf16.wgsl"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::F16Packed => "f16_packed",
            Self::Bf16 => "bf16",
        }
    }
}

/// Where the gradient goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nowhere: forward only.
    None,
    /// Into a buffer of its own, stored as the logits are.
    Separate,
    /// Into a buffer of its own, as float32.
    Widened,
    /// Over the logits.
    InPlace,
}

/// How the logits are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Elements {
    /// How an element is stored.
    pub storage: Storage,
    /// Where the gradient goes.
    pub place: Place,
    /// Word by word: for the last rows of a batch that does not end on a chunk boundary, and for samples whose classes do not
    /// start on one.
    pub words: bool,
}

impl Elements {
    /// How logits of `dtype` are bound for `gradient`.
    pub(crate) fn new(dtype: DType, native_f16: bool, gradient: Gradient) -> Self {
        let storage = match dtype {
            DType::F32 => Storage::F32,
            DType::F16 if native_f16 => Storage::F16,
            DType::F16 => Storage::F16Packed,
            DType::Bf16 => Storage::Bf16,
        };
        let place = match gradient {
            Gradient::No => Place::None,
            Gradient::Widened if storage != Storage::F32 => Place::Widened,
            Gradient::Separate | Gradient::Widened => Place::Separate,
            Gradient::InPlace => Place::InPlace,
        };
        Self { storage, place, words: false }
    }

    /// Every way to bind the logits.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let places = [Place::None, Place::Separate, Place::Widened, Place::InPlace];
        let mut all = Vec::new();
        for storage in Storage::ALL {
            for place in places {
                // Float32 is wide already.
                if storage != Storage::F32 || place != Place::Widened {
                    all.extend([false, true].map(|words| Self { storage, place, words }));
                }
            }
        }
        all
    }

    fn fragments(self) -> [Fragment; 2] {
        let place = match (self.words, self.place) {
            (false, Place::None) => fragment!("place/none.wgsl"),
            (false, Place::Separate) => fragment!("place/separate.wgsl"),
            (false, Place::Widened) => fragment!("place/widened.wgsl"),
            (false, Place::InPlace) => fragment!("place/in_place.wgsl"),
            (true, Place::None) => fragment!("place/words_none.wgsl"),
            (true, Place::Separate) => fragment!("place/words_separate.wgsl"),
            (true, Place::Widened) => fragment!("place/words_widened.wgsl"),
            (true, Place::InPlace) => fragment!("place/words_in_place.wgsl"),
        };
        [self.storage.fragment(), place]
    }

    fn label(self) -> String {
        let words = if self.words { "-words" } else { "" };
        let place = match self.place {
            Place::None => "forward",
            Place::Separate => "separate",
            Place::Widened => "widened",
            Place::InPlace => "in_place",
        };
        format!("{}{words}/{place}", self.storage.name())
    }

    /// Logits, and the gradient if it has a buffer of its own: (binding, read only).
    fn bindings(self) -> Vec<(u32, bool)> {
        match self.place {
            Place::None => vec![(LOGITS, true)],
            Place::Separate | Place::Widened => vec![(LOGITS, true), (GRADIENT, false)],
            Place::InPlace => vec![(LOGITS, false)],
        }
    }
}

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
            Self::Rows { schedule, .. } => schedule == RowSchedule::Workgroup(Reduce::Subgroup),
            Self::Survey { reduce }
            | Self::Sum { reduce }
            | Self::RegionSums { reduce, .. }
            | Self::RegionFold { reduce }
            | Self::RegionFinish { reduce, .. } => reduce == Reduce::Subgroup,
            Self::RegionGradient { .. } | Self::Gather | Self::Summary | Self::Mean => false,
        }
    }

    /// Whether it has 16-bit floats, which need `Features::SHADER_F16`.
    #[must_use]
    pub fn needs_f16(self) -> bool {
        match self {
            Self::Rows { elements, .. } | Self::RegionSums { elements, .. } | Self::RegionGradient { elements } => {
                elements.storage == Storage::F16
            }
            _ => false,
        }
    }

    /// Its entry points.
    #[must_use]
    pub fn entry_points(self) -> &'static [&'static str] {
        match self {
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
                    RowSchedule::Workgroup(reduce) => reduce_name(reduce),
                    RowSchedule::Lanes => "lanes",
                    RowSchedule::Blocks { entries: false } => "chunks",
                    RowSchedule::Blocks { entries: true } => "entries",
                };
                format!("{}/{}/{schedule}", fragment.name(), elements.label())
            }
            Self::RegionSums { elements, reduce } => {
                format!("region_sums/{}/{}", elements.label(), reduce_name(reduce))
            }
            Self::RegionFold { reduce } => format!("region_fold/{}", reduce_name(reduce)),
            Self::RegionFinish { fragment, reduce } => format!("{}/finish/{}", fragment.name(), reduce_name(reduce)),
            Self::RegionGradient { elements } => format!("region_gradient/{}", elements.label()),
            Self::Survey { reduce } => format!("survey/{}", reduce_name(reduce)),
            Self::Sum { reduce } => format!("sum/{}", reduce_name(reduce)),
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
                    RowSchedule::Workgroup(_) => &[Switch::Edges],
                    RowSchedule::Lanes => &[Switch::Aligned, Switch::Rounds],
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
                parts.extend(elements.fragments());
                parts.extend(match schedule {
                    RowSchedule::Workgroup(reduce) => vec![reduce_fragment(reduce), MATH, SOFTCAP],
                    RowSchedule::Lanes => vec![fragment!("reduce/lane.wgsl"), MATH, SOFTCAP],
                    RowSchedule::Blocks { entries: false } => {
                        vec![reduce_fragment(Reduce::Workgroup), MATH, fragment!("element/chunks.wgsl")]
                    }
                    RowSchedule::Blocks { entries: true } => {
                        vec![reduce_fragment(Reduce::Workgroup), MATH, fragment!("element/entries.wgsl")]
                    }
                });
                parts.extend(fragment.family().parts());
                parts.extend(fragment.parts());
                if schedule == RowSchedule::Lanes {
                    parts.push(QUADS);
                }
                parts.push(match schedule {
                    RowSchedule::Workgroup(_) => fragment!("schedule/workgroup_row.wgsl"),
                    RowSchedule::Lanes => fragment!("schedule/lane_rows.wgsl"),
                    RowSchedule::Blocks { .. } => fragment!("schedule/elements.wgsl"),
                });
            }
            Self::RegionSums { elements, reduce } => {
                parts.extend(elements.fragments());
                parts.extend([reduce_fragment(reduce), MATH, QUADS]);
                parts.extend(REGION);
                parts.extend([STATUS_FRAGMENT, fragment!("schedule/region_sums.wgsl")]);
            }
            Self::RegionFold { reduce } => parts.extend([reduce_fragment(reduce), fragment!("pass/region_fold.wgsl")]),
            Self::RegionFinish { fragment, reduce } => {
                parts.extend([reduce_fragment(reduce), MATH, WEIGHTS, STATUS_FRAGMENT]);
                parts.extend(fragment.parts());
                parts.push(fragment!("pass/region_finish.wgsl"));
            }
            Self::RegionGradient { elements } => {
                parts.extend(elements.fragments());
                parts.extend([MATH, QUADS]);
                parts.extend(REGION);
                parts.push(fragment!("schedule/region_gradient.wgsl"));
            }
            Self::Survey { reduce } => {
                parts.extend([reduce_fragment(reduce), WEIGHTS, IGNORE, TARGET, fragment!("pass/survey.wgsl")]);
            }
            Self::Sum { reduce } => parts.extend([reduce_fragment(reduce), fragment!("pass/sum.wgsl")]),
            Self::Gather => {
                let reduce = reduce_fragment(Reduce::Workgroup);
                parts.extend([reduce, WEIGHTS, IGNORE, TARGET, fragment!("pass/gather.wgsl")]);
            }
            Self::Summary => parts.push(fragment!("pass/summary.wgsl")),
            Self::Mean => parts.push(fragment!("pass/mean.wgsl")),
        }
        let enable = if self.needs_f16() { "enable f16;\n" } else { "" };
        let mut source = format!("{enable}override WORKGROUP_SIZE: u32 = 64u;\n");
        for part in parts {
            source.push_str(&format!("\n// ---- {} ----\n\n{}", part.path, part.source));
        }
        source.into()
    }

    /// The storage bindings of an entry point: (binding, read only).
    pub(crate) fn bindings(self, entry_point: &str) -> Vec<(u32, bool)> {
        match self {
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
/// Binding numbers of the step from sums over regions to losses.
pub(crate) const REGIONS: u32 = 1;
pub(crate) const CONTRIBUTIONS: u32 = 2;
pub(crate) const SURVEY: u32 = 3;
/// Binding numbers of the vector passes.
pub(crate) const INPUT: u32 = 1;
pub(crate) const OUTPUT: u32 = 2;

const fn reduce_name(reduce: Reduce) -> &'static str {
    match reduce {
        Reduce::Workgroup => "workgroup",
        Reduce::Subgroup => "subgroup",
    }
}

const fn reduce_fragment(reduce: Reduce) -> Fragment {
    match reduce {
        Reduce::Workgroup => fragment!("reduce/workgroup.wgsl"),
        Reduce::Subgroup => fragment!("reduce/subgroup.wgsl"),
    }
}
