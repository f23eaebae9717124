//! The plan, a pure function: no device is asked.

use logloss::gpu::{Caps, Footprint, Plan, Reduce, RowSchedule, Tuning, plan};
use logloss::{Error, Layout, Shape};

/// A GPU with WebGPU's default limits and subgroups.
const GPU: Caps = Caps {
    software: false,
    subgroups: true,
    f16: true,
    int64: true,
    min_subgroup_size: 32,
    max_subgroup_size: 32,
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
        (33, RowSchedule::Subgroup, 128, 1, None),
        (131, RowSchedule::Subgroup, 128, 1, None),
        (132, RowSchedule::Subgroup, 128, 2, None),
        (256, RowSchedule::Subgroup, 128, 2, None),
        (257, RowSchedule::Subgroup, 128, 2, None),
        (1000, RowSchedule::Subgroup, 128, 8, None),
        (1024, RowSchedule::Subgroup, 128, 8, None),
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

/// A subgroup owns a row that it holds, if subgroups are wide and all of one size; else a workgroup, which is one subgroup if that
/// is surely wide, and wider where subgroups are narrow or absent.
#[test]
fn subgroups_decide_who_owns_a_row() {
    let none = Caps { subgroups: false, ..GPU };
    let sized = |min_subgroup_size, max_subgroup_size| Caps { min_subgroup_size, max_subgroup_size, ..GPU };
    let workgroup = RowSchedule::Workgroup(Reduce::Workgroup);
    for (caps, classes, schedule, lanes, teams, held) in [
        (&GPU, 1000, RowSchedule::Subgroup, 128, 4, 8),
        (&sized(64, 64), 1000, RowSchedule::Subgroup, 256, 4, 4),
        (&sized(64, 64), 2048, RowSchedule::Subgroup, 256, 4, 8),
        (&sized(64, 64), 2052, WORKGROUP, 128, 1, 8),
        (&sized(128, 128), 2052, RowSchedule::Subgroup, 256, 2, 8),
        (&sized(32, 64), 1000, WORKGROUP, 32, 1, 8),
        (&sized(8, 8), 256, WORKGROUP, 32, 1, 2),
        (&sized(8, 32), 1000, WORKGROUP, 64, 1, 4),
        (&none, 1000, workgroup, 64, 1, 4),
    ] {
        let plan = planned(Shape::new(16, classes), caps);
        let got = (plan.schedule, plan.lanes, plan.teams, plan.held);
        assert_eq!(got, (schedule, lanes, teams, held), "{classes} classes, {caps:?}");
    }
}

#[test]
fn a_subgroup_owns_a_row_only_where_all_are_of_one_size() {
    let forced = |caps: &Caps, lanes| {
        let tuning = Tuning { team: Some(logloss::gpu::Team::Subgroup), lanes, ..Tuning::PLANNED };
        plan(Shape::new(16, 5000), Footprint::F32, caps, tuning).map(|plan| (plan.schedule, plan.lanes, plan.teams))
    };
    assert_eq!(forced(&GPU, None).ok(), Some((RowSchedule::Subgroup, 128, 4)));
    assert_eq!(forced(&GPU, Some(32)).ok(), Some((RowSchedule::Subgroup, 32, 1)));
    for (caps, lanes) in
        [(GPU, Some(16)), (Caps { subgroups: false, ..GPU }, None), (Caps { max_subgroup_size: 64, ..GPU }, None)]
    {
        let got = forced(&caps, lanes);
        assert!(matches!(got, Err(Error::Unsupported { .. })), "{got:?}");
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

/// Where the last row of a batch ends within a chunk, and a gap would have been behind it, nothing is read past its end.
#[test]
fn what_ends_within_a_chunk_goes_word_by_word() {
    for (rows, classes, stride, words) in
        [(2, 4, 6, 2), (4, 8, 9, 4), (5, 8, 9, 1), (4, 6, 8, 1), (4, 3, 7, 0), (4, 8, 12, 0)]
    {
        let layout = Layout::strided(Shape::new(rows, classes), stride).expect("a small layout");
        let plan = planned(layout, &GPU);
        assert_eq!(plan.tail.map_or(0, |tail| tail.count), words, "{layout:?}");
    }
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
fn a_software_adapter_takes_no_more_planes_than_its_loops_reach() {
    let software = Caps { software: true, ..GPU };
    let of_planes = |classes, caps| {
        let layout = Layout::planes(1, classes, 4).expect("a layout");
        plan(layout, Footprint::F32, caps, Tuning::PLANNED)
    };
    assert!(of_planes(65_536, &software).is_ok() && of_planes(1 << 20, &GPU).is_ok());
    let got = of_planes(65_537, &software);
    assert!(matches!(got, Err(Error::TooLarge { size: 65_537, limit: 65_536, .. })), "{got:?}");
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
