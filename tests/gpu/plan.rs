//! The plan, a pure function: no device is asked.

use logloss::gpu::{Caps, Footprint, Plan, Reduce, RowSchedule, Tuning, plan};
use logloss::{Error, Layout, Shape};

/// A GPU with WebGPU's default limits and subgroups.
const GPU: Caps = Caps {
    software: false,
    subgroups: true,
    f16: true,
    min_subgroup_size: 32,
    max_invocations: 256,
    max_workgroups: 65_535,
    max_binding: 128 << 20,
    max_buffer: 256 << 20,
    max_storage_buffers: 8,
    storage_alignment: 256,
    uniform_alignment: 256,
};

#[track_caller]
fn planned(layout: impl Into<Layout>, caps: &Caps) -> Plan {
    plan(layout, Footprint::F32, caps, Tuning::PLANNED).expect("a plan")
}

const WORKGROUP: RowSchedule = RowSchedule::Workgroup(Reduce::Subgroup);

#[test]
fn classes_decide_who_owns_a_row_on_a_gpu() {
    // Classes, schedule, lanes, chunks that a lane holds, slices.
    for (classes, schedule, lanes, held, slices) in [
        (1, RowSchedule::Lane, 64, 0, None),
        (15, RowSchedule::Lane, 64, 0, None),
        (16, RowSchedule::Lane, 64, 0, None),
        (32, RowSchedule::Lane, 64, 0, None),
        (33, WORKGROUP, 32, 1, None),
        (131, WORKGROUP, 32, 1, None),
        (132, WORKGROUP, 32, 2, None),
        (256, WORKGROUP, 32, 2, None),
        (257, WORKGROUP, 32, 2, None),
        (1000, WORKGROUP, 32, 8, None),
        (1024, WORKGROUP, 32, 8, None),
        (1025, WORKGROUP, 128, 2, None),
        (4096, WORKGROUP, 128, 8, None),
        (4097, WORKGROUP, 256, 4, None),
        (8192, WORKGROUP, 256, 8, None),
        (8195, WORKGROUP, 256, 8, None),
        (8196, WORKGROUP, 256, 0, None),
        (32_768, WORKGROUP, 256, 0, None),
        (32_769, RowSchedule::Slices, 256, 0, Some(5)),
        (262_144, RowSchedule::Slices, 256, 0, Some(32)),
    ] {
        let plan = planned(Shape::new(16, classes), &GPU);
        let got = (plan.schedule, plan.lanes, plan.held, plan.slicing.map(|slicing| slicing.count));
        assert_eq!(got, (schedule, lanes, held, slices), "{classes} classes");
        // A block has four chunks of four.
        assert_eq!(plan.short, classes < 16, "{classes} classes");
    }
}

/// One subgroup holds a row where subgroups are wide; where they are narrow, or absent, a workgroup is wider.
#[test]
fn subgroups_decide_how_wide_a_workgroup_is() {
    let narrow = Caps { min_subgroup_size: 8, ..GPU };
    let none = Caps { subgroups: false, ..GPU };
    let wide = Caps { min_subgroup_size: 64, ..GPU };
    for (caps, classes, lanes, held) in [
        (&narrow, 256, 32, 2),
        (&narrow, 1000, 64, 4),
        (&none, 1000, 64, 4),
        (&wide, 1000, 64, 4),
        (&wide, 2048, 64, 8),
        (&wide, 2052, 128, 8),
    ] {
        let plan = planned(Shape::new(16, classes), caps);
        assert_eq!((plan.lanes, plan.held), (lanes, held), "{classes} classes, {caps:?}");
    }
}

/// Lanes of a team load 16-bit logits eight at once: they hold pairs of chunks, windows start and end with pairs, and what is left
/// at the end goes word by word. A lane by itself loads four.
#[test]
fn halves_are_loaded_in_pairs() {
    let halves = Footprint { logit: 2, element: 2, row: 4 };
    let of = |layout: Layout| plan(layout, halves, &GPU, Tuning::PLANNED).expect("a plan");
    let strided = |rows, classes, stride| Layout::strided(Shape::new(rows, classes), stride).expect("a small layout");
    // Layout, chunks that a lane holds, rows of a group, rows word by word, aligned.
    for (layout, held, group, words, aligned) in [
        (Shape::new(16, 1000).into(), 8, 1, 0, true),
        (Shape::new(16, 64).into(), 2, 1, 0, true),
        (Shape::new(16, 512).into(), 4, 1, 0, true),
        (Shape::new(15, 100).into(), 2, 1, 1, false),
        (Shape::new(15, 102).into(), 2, 2, 3, false),
        (Shape::new(15, 203).into(), 2, 4, 7, false),
        (strided(8, 40, 44), 2, 1, 2, false),
        (strided(8, 44, 52), 2, 1, 0, false),
        // Lanes by themselves.
        (Shape::new(15, 12).into(), 0, 1, 0, true),
        (Shape::new(15, 13).into(), 0, 4, 3, false),
    ] {
        let plan = of(layout);
        let tail = plan.tail.map_or(0, |tail| tail.count);
        let got = (plan.held, plan.group_rows, tail, plan.aligned);
        assert_eq!(got, (held, group, words, aligned), "{layout:?}");
    }
    let slices = of(Shape::new(3, 50_257).into());
    assert_eq!(slices.slicing.map(|slicing| (slicing.classes, slicing.unit)), Some((8192, 8)));
}

/// So that a row's bits do not depend on how many rows come with it.
#[test]
fn rows_have_no_say() {
    for caps in [GPU, Caps { software: true, ..GPU }] {
        for classes in [1, 32, 33, 1000, 4097, 16_385, 32_769, 50_257, 262_144, 40_000_000] {
            let one = planned(Shape::new(1, classes), &caps);
            for rows in [2, 3, 4, 63, 64, 1024] {
                let many = planned(Shape::new(rows, classes), &caps);
                let of = |p: &Plan| (p.schedule, p.lanes, p.held, p.reduce, p.slicing.map(|s| (s.classes, s.count)));
                assert_eq!(of(&many), of(&one), "{rows} x {classes}");
            }
        }
    }
}

#[test]
fn a_row_beyond_a_binding_is_cut() {
    // 256 MiB a row, in bindings of 128.
    let plan = planned(Shape::new(3, 1 << 26), &GPU);
    assert_eq!((plan.schedule, plan.windows.len()), (RowSchedule::Slices, 3));
    let bound = plan.slicing.expect("slices").bound.expect("less than a row");
    // Room for all but the alignment of 256 bytes in front, and a chunk at each end.
    assert_eq!(bound, 4095);
    // As for a small row, if a binding is as small.
    let tuning = Tuning { max_binding: Some(64 << 10), ..Tuning::PLANNED };
    let plan = logloss::gpu::plan(Shape::new(1, 20_000), Footprint::F32, &GPU, tuning).expect("a plan");
    assert_eq!(plan.slicing.and_then(|slicing| slicing.bound), Some(1));
}

#[test]
fn what_cannot_be_counted_is_an_error() {
    // Four rows of an odd length are a group, whose elements a 32-bit index does not reach.
    for (rows, classes) in [(1, u32::MAX), (4, (1 << 30) + 1), (u32::MAX, 1 << 30)] {
        let got = plan(Shape::new(rows, classes), Footprint::F32, &GPU, Tuning::PLANNED);
        assert!(matches!(got, Err(Error::TooLarge { .. })), "{rows} x {classes}: {got:?}");
    }
}

#[test]
fn a_forced_variant_that_cannot_run_is_an_error() {
    let forced = |tuning| plan(Shape::new(4, 100_000), Footprint::F32, &GPU, tuning);
    let team = Some(logloss::gpu::Team::Slices);
    for tuning in [
        Tuning { team, slice: Some(0), ..Tuning::PLANNED },
        Tuning { team, slice: Some(6), ..Tuning::PLANNED },
        Tuning { team: Some(logloss::gpu::Team::Workgroup), held: Some(true), ..Tuning::PLANNED },
        Tuning { lanes: Some(512), ..Tuning::PLANNED },
    ] {
        assert!(matches!(forced(tuning), Err(Error::Unsupported { .. })), "{tuning:?}");
    }
}
