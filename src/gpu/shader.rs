//! Composes WGSL from the fragments in `shaders/`: the only place that includes them.
//!
//! `shaders/README.md` says what each directory promises and in which order fragments stand.

use std::borrow::Cow;

use super::switch::Switch;

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

/// How the lanes of a workgroup combine their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Through workgroup memory; runs everywhere.
    Workgroup,
    /// Through subgroup operations; needs `Features::SUBGROUP`.
    Subgroup,
}

/// What the lanes do with a row: a loss, or one of the separate passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowFragment {
    /// `shaders/loss/cross_entropy.wgsl`
    CrossEntropy,
    /// `shaders/loss/nll.wgsl`
    Nll,
    /// `shaders/pass/softmax.wgsl`
    Softmax,
}

impl RowFragment {
    /// Every row fragment.
    pub const ALL: [Self; 3] = [Self::CrossEntropy, Self::Nll, Self::Softmax];

    fn fragments(self) -> &'static [Fragment] {
        const TARGET: Fragment = fragment!("row/target.wgsl");
        const LABELLED: Fragment = fragment!("row/labelled.wgsl");
        const RESULT: Fragment = fragment!("row/result.wgsl");
        const ORDER: Fragment = fragment!("row/order.wgsl");
        const MAX_SUM: Fragment = fragment!("row/max_sum.wgsl");
        match self {
            Self::CrossEntropy => &[TARGET, LABELLED, RESULT, ORDER, MAX_SUM, fragment!("loss/cross_entropy.wgsl")],
            Self::Nll => &[TARGET, LABELLED, RESULT, ORDER, fragment!("loss/nll.wgsl")],
            Self::Softmax => &[MAX_SUM, fragment!("pass/softmax.wgsl")],
        }
    }

    fn switches(self) -> &'static [Switch] {
        match self {
            Self::CrossEntropy => &[Switch::Edges, Switch::Details, Switch::Smoothing],
            Self::Nll => &[Switch::Edges, Switch::Details],
            Self::Softmax => &[Switch::Edges, Switch::Logarithm],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross_entropy",
            Self::Nll => "nll",
            Self::Softmax => "softmax",
        }
    }
}

/// How the logits are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Elements {
    /// Results are written over the logits.
    pub in_place: bool,
    /// Element by element, for the last rows of a batch that does not end on a chunk boundary.
    pub tail: bool,
}

impl Elements {
    /// Every way to bind the logits.
    pub const ALL: [Self; 4] = [
        Self { in_place: false, tail: false },
        Self { in_place: false, tail: true },
        Self { in_place: true, tail: false },
        Self { in_place: true, tail: true },
    ];

    fn fragments(self) -> &'static [Fragment] {
        const F32: Fragment = fragment!("elem/f32.wgsl");
        match (self.tail, self.in_place) {
            (false, false) => &[F32, fragment!("elem/separate.wgsl")],
            (false, true) => &[F32, fragment!("elem/in_place.wgsl")],
            (true, false) => &[fragment!("elem/f32_tail_separate.wgsl")],
            (true, true) => &[fragment!("elem/f32_tail_in_place.wgsl")],
        }
    }
}

/// A composed shader: which fragments it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shader {
    /// A row fragment under the schedule in which a workgroup owns a group of rows.
    Rows {
        /// What happens to a row.
        row: RowFragment,
        /// How the logits are bound.
        elements: Elements,
        /// How lanes combine.
        reduce: Reduce,
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
        for reduce in [Reduce::Workgroup, Reduce::Subgroup] {
            all.extend([Self::Survey { reduce }, Self::Sum { reduce }]);
            for row in RowFragment::ALL {
                all.extend(Elements::ALL.map(|elements| Self::Rows { row, elements, reduce }));
            }
        }
        all
    }

    /// Whether it calls subgroup operations, which need `Features::SUBGROUP`.
    #[must_use]
    pub fn needs_subgroups(self) -> bool {
        match self {
            Self::Rows { reduce, .. } | Self::Survey { reduce } | Self::Sum { reduce } => reduce == Reduce::Subgroup,
            Self::Gather | Self::Summary | Self::Mean => false,
        }
    }

    /// Its entry points.
    #[must_use]
    pub fn entry_points(self) -> &'static [&'static str] {
        match self {
            Self::Rows { elements, .. } if elements.in_place => &["forward_gradient"],
            Self::Rows { row: RowFragment::Softmax, .. } => &["forward_gradient"],
            Self::Rows { .. } => &["forward", "forward_gradient"],
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
            Self::Rows { row, elements, reduce } => {
                let name = row.name();
                let tail = if elements.tail { "-tail" } else { "" };
                let place = if elements.in_place { "in_place" } else { "separate" };
                format!("{name}/f32{tail}/{place}/{}", reduce_name(reduce))
            }
            Self::Survey { reduce } => format!("survey/{}", reduce_name(reduce)),
            Self::Sum { reduce } => format!("sum/{}", reduce_name(reduce)),
            Self::Gather => "gather".into(),
            Self::Summary => "summary".into(),
            Self::Mean => "mean".into(),
        }
    }

    /// What can be compiled in or left out.
    pub(crate) fn switches(self) -> &'static [Switch] {
        if let Self::Rows { row, .. } = self { row.switches() } else { &[] }
    }

    /// The composed WGSL, each fragment under a comment that names it.
    #[must_use]
    pub fn source(self) -> Cow<'static, str> {
        const PARAMS: Fragment = fragment!("params.wgsl");
        const MATH: Fragment = fragment!("math/elementary.wgsl");
        const TARGET: Fragment = fragment!("row/target.wgsl");
        let mut parts = vec![PARAMS];
        match self {
            Self::Rows { row, elements, reduce } => {
                parts.extend(elements.fragments());
                parts.extend([reduce_fragment(reduce), MATH]);
                parts.extend(row.fragments());
                parts.push(fragment!("schedule/workgroup_row.wgsl"));
            }
            Self::Survey { reduce } => parts.extend([reduce_fragment(reduce), TARGET, fragment!("pass/survey.wgsl")]),
            Self::Sum { reduce } => parts.extend([reduce_fragment(reduce), fragment!("pass/sum.wgsl")]),
            Self::Gather => {
                parts.extend([reduce_fragment(Reduce::Workgroup), TARGET, fragment!("pass/gather.wgsl")]);
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
            Self::Rows { row, elements, .. } => {
                let mut list = vec![(LOGITS, !elements.in_place)];
                if entry_point == "forward_gradient" && !elements.in_place {
                    list.push((GRADIENT, false));
                }
                if row != RowFragment::Softmax {
                    list.extend([(TARGETS, true), (CLASS_WEIGHTS, true), (ROW_WEIGHTS, true)]);
                    list.extend([(LOSSES, false), (DETAILS, false), (STATUS, false)]);
                }
                list
            }
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
pub(crate) const TARGETS: u32 = 3;
pub(crate) const CLASS_WEIGHTS: u32 = 4;
pub(crate) const ROW_WEIGHTS: u32 = 5;
pub(crate) const LOSSES: u32 = 6;
pub(crate) const DETAILS: u32 = 7;
pub(crate) const STATUS: u32 = 8;
/// Binding numbers of the vector passes.
pub(crate) const INPUT: u32 = 1;
pub(crate) const OUTPUT: u32 = 2;

fn reduce_name(reduce: Reduce) -> &'static str {
    match reduce {
        Reduce::Workgroup => "workgroup",
        Reduce::Subgroup => "subgroup",
    }
}

fn reduce_fragment(reduce: Reduce) -> Fragment {
    match reduce {
        Reduce::Workgroup => fragment!("reduce/workgroup.wgsl"),
        Reduce::Subgroup => fragment!("reduce/subgroup.wgsl"),
    }
}
