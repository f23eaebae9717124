//! The storage bindings of each shader, and their numbers.

use super::{RowSchedule, Shader};

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
/// Of rows in slices: what is known of each row, and of each slice.
pub(crate) const KEPT: u32 = 9;
pub(crate) const PARTIALS: u32 = 10;
/// Binding numbers of the step from sums over regions to losses.
pub(crate) const REGIONS: u32 = 1;
pub(crate) const CONTRIBUTIONS: u32 = 2;
pub(crate) const SURVEY: u32 = 3;
/// Binding numbers of the vector passes.
pub(crate) const INPUT: u32 = 1;
pub(crate) const OUTPUT: u32 = 2;

/// Binding numbers of the denominator and the summary.
pub(crate) mod summary {
    pub(crate) const SURVEY: u32 = 1;
    pub(crate) const LOSS_SUM: u32 = 2;
    pub(crate) const STATUS: u32 = 3;
    pub(crate) const SUMMARY: u32 = 4;
}

impl Shader {
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
            Self::Summary if entry_point == "denominator" => vec![(summary::SURVEY, true), (summary::STATUS, false)],
            Self::Summary => vec![
                (summary::SURVEY, true),
                (summary::LOSS_SUM, true),
                (summary::STATUS, false),
                (summary::SUMMARY, false),
            ],
        }
    }
}
