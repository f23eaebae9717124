//! The fragments of each shader, in order.

use std::borrow::Cow;

use super::fragment::{Fragment, fragment};
use super::{Elements, LossFragment, Reduce, RowSchedule, Shader};

const MATH: Fragment = fragment!("math/elementary.wgsl");
const SOFTCAP: Fragment = fragment!("math/softcap.wgsl");
const WEIGHTS: Fragment = fragment!("row/weights.wgsl");
const IGNORE: Fragment = fragment!("row/ignore.wgsl");
const TARGET: Fragment = fragment!("row/target.wgsl");
const STATUS: Fragment = fragment!("row/status.wgsl");
const QUADS: Fragment = fragment!("schedule/quads.wgsl");
const UNIT_CHUNK: Fragment = fragment!("schedule/unit_chunk.wgsl");
const UNIT_PAIR: Fragment = fragment!("schedule/unit_pair.wgsl");
const CHUNKS: Fragment = fragment!("schedule/row_chunks.wgsl");
const HELD: Fragment = fragment!("schedule/held.wgsl");
const ROWS: Fragment = fragment!("schedule/rows.wgsl");
const REGION: [Fragment; 4] =
    [IGNORE, fragment!("region/targets.wgsl"), fragment!("region/prediction.wgsl"), fragment!("region/pointwise.wgsl")];

impl Shader {
    /// The composed WGSL, each fragment under a comment that names it.
    #[must_use]
    pub fn source(self) -> Cow<'static, str> {
        let mut source = String::from("override WORKGROUP_SIZE: u32 = 64u;\n");
        for part in self.parts() {
            source.push_str(&format!("\n// ---- {} ----\n\n{}", part.path, part.source));
        }
        source.into()
    }

    fn parts(self) -> Vec<Fragment> {
        let mut parts = vec![fragment!("params.wgsl")];
        match self {
            Self::Rows { fragment, elements, schedule } => parts.extend(of_rows(fragment, elements, schedule)),
            Self::RegionSums { elements, reduce } => {
                parts.extend(elements.fragments(RowSchedule::Planes));
                parts.extend([reduce.fragment(), MATH, QUADS]);
                parts.extend(REGION);
                parts.extend([STATUS, fragment!("schedule/region_sums.wgsl")]);
            }
            Self::RegionFold { reduce } => parts.extend([reduce.fragment(), fragment!("pass/region_fold.wgsl")]),
            Self::RegionFinish { fragment, reduce } => {
                parts.extend([reduce.fragment(), MATH, WEIGHTS, STATUS]);
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
        parts
    }
}

/// Of a loss of rows or elements: what stands in front of the loss and behind it is the schedule's.
fn of_rows(loss: LossFragment, elements: Elements, schedule: RowSchedule) -> Vec<Fragment> {
    let unit = if elements.in_pairs(schedule) { UNIT_PAIR } else { UNIT_CHUNK };
    let (front, behind) = match schedule {
        RowSchedule::Workgroup(reduce) => (
            vec![reduce.fragment(), MATH, SOFTCAP],
            vec![unit, fragment!("schedule/team_workgroup.wgsl"), CHUNKS, HELD, ROWS],
        ),
        RowSchedule::Subgroup => (
            vec![fragment!("reduce/one_subgroup.wgsl"), MATH, SOFTCAP],
            vec![unit, fragment!("schedule/team_subgroup.wgsl"), CHUNKS, HELD, ROWS],
        ),
        RowSchedule::Lane => (
            vec![fragment!("reduce/lane.wgsl"), MATH, SOFTCAP],
            vec![unit, fragment!("schedule/team_lane.wgsl"), CHUNKS, fragment!("schedule/reread.wgsl"), ROWS],
        ),
        RowSchedule::Slices => {
            (vec![Reduce::Workgroup.fragment(), MATH, SOFTCAP], vec![unit, CHUNKS, fragment!("schedule/slices.wgsl")])
        }
        RowSchedule::Planes => {
            (vec![fragment!("reduce/lane.wgsl"), MATH, SOFTCAP], vec![QUADS, fragment!("schedule/planes.wgsl")])
        }
        RowSchedule::Blocks { entries } => {
            let dense = if entries { fragment!("element/entries.wgsl") } else { fragment!("element/chunks.wgsl") };
            (vec![Reduce::Workgroup.fragment(), MATH, dense], vec![fragment!("schedule/elements.wgsl")])
        }
    };
    [&elements.fragments(schedule), &front, loss.family().parts(), loss.parts(), &behind].concat()
}
