//! Shapes on both sides of every boundary that the schedule has: chunks, groups, lanes, blocks, strips, dispatch dimensions
//! and binding limits.

use logloss::gpu::{Team, Tuning};
use logloss::{CrossEntropy, Nll, Reduction, Shape};

use crate::case::{
    Case, FORWARD, IN_PLACE, IN_PLACE_WITH_DETAILS, Loss, SEPARATE, SEPARATE_WITH_DETAILS, plain, reductions,
};

const PLANNED: Tuning = Tuning::PLANNED;
const LANE: Tuning = Tuning { team: Some(Team::Lane), ..PLANNED };
const WORKGROUP: Tuning = Tuning { team: Some(Team::Workgroup), ..PLANNED };

fn forced(lanes: u32, classes: u32) -> Vec<Tuning> {
    let forced = |reduce| Tuning { lanes: Some(lanes), reduce: Some(reduce), ..WORKGROUP };
    let lane = Tuning { lanes: Some(lanes), team: Some(Team::Lane), ..PLANNED };
    // A lane by itself takes no row as long as that on a software adapter.
    let lane = (classes <= 20_000).then_some(lane);
    reductions().into_iter().map(forced).chain(lane).collect()
}

fn nll() -> Loss {
    Loss::Nll(Nll { reduction: Reduction::Sum, ..Nll::default() })
}

#[test]
fn few_classes_and_few_rows() {
    for classes in 1..=20 {
        for rows in 0..=6 {
            Case::random(plain(), rows, classes).check(&[FORWARD, SEPARATE, IN_PLACE], &[WORKGROUP, LANE]);
        }
        let everything = [SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS];
        Case::random(plain(), 11, classes).with_everything().check(&everything, &[WORKGROUP, LANE]);
        Case::random(nll(), 11, classes).check(&[FORWARD, SEPARATE, IN_PLACE], &[WORKGROUP, LANE]);
        Case::random(nll(), 11, classes).with_everything().check(&everything, &[WORKGROUP, LANE]);
    }
}

/// One chunk a lane, one block of four chunks a lane, and a strip of 64 blocks a lane.
fn boundaries(lanes: u32) {
    for length in [4 * lanes, 16 * lanes, 64 * 16 * lanes] {
        for classes in [length - 1, length, length + 1] {
            // A group of four rows and one more, or single rows.
            let rows = if classes > 20_000 { 2 } else { 5 };
            let case = Case::random(plain(), rows, classes);
            case.check(&[IN_PLACE], &forced(lanes, classes));
            if classes <= 20_000 {
                case.with_everything().check(&[SEPARATE_WITH_DETAILS], &forced(lanes, classes));
            }
        }
    }
}

#[test]
fn four_lanes() {
    boundaries(4);
}

#[test]
fn eight_lanes() {
    boundaries(8);
}

#[test]
fn sixteen_lanes() {
    boundaries(16);
}

#[test]
fn sixty_four_lanes() {
    boundaries(64);
}

#[test]
fn two_hundred_and_fifty_six_lanes() {
    boundaries(256);
}

#[test]
fn as_many_classes_as_a_large_vocabulary_has() {
    for classes in [262_144, 262_145] {
        Case::random(plain(), 3, classes).check(&[SEPARATE], &[PLANNED]);
    }
}

#[test]
fn dispatches_of_two_dimensions() {
    // A row a workgroup, and four.
    for (rows, classes) in [(65_534, 4), (65_535, 4), (65_536, 4), (65_537, 4), (4 * 65_535 + 1, 1), (4 * 65_536, 1)] {
        Case::random(plain(), rows, classes).check(&[SEPARATE], &[PLANNED]);
    }
    for max_workgroups in [1, 2, 3, 7] {
        let tuning = Tuning { max_workgroups: Some(max_workgroups), ..PLANNED };
        for classes in [1, 3, 4, 6] {
            Case::random(plain(), 29, classes).check(&[SEPARATE, IN_PLACE], &[tuning]);
        }
        // Several blocks of the vector passes.
        Case::random(plain(), 5000, 1).with_everything().check(&[SEPARATE], &[tuning]);
    }
}

#[test]
fn windows() {
    for (rows, classes) in [(257, 5), (64, 33), (11, 1003), (40, 64), (9, 1028)] {
        let case = Case::random(plain(), rows, classes).with_everything();
        let bytes = 4 * case.shape.elements();
        let tunings = [bytes - 4, bytes, bytes + 4, bytes + 256, bytes / 2, 256 + 16 * u64::from(classes)]
            .map(|max_binding| Tuning { max_binding: Some(max_binding), ..PLANNED });
        case.check(&[FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE], &tunings);
    }
}

#[test]
fn windows_of_a_few_rows_of_a_long_batch() {
    // 47 pieces, each with partial sums of its own.
    let case = Case::random(plain(), 3001, 3).with_everything();
    let tuning = Tuning { max_binding: Some(512), ..PLANNED };
    case.check(&[SEPARATE, IN_PLACE_WITH_DETAILS], &[tuning]);
    case.check(&[FORWARD], &[Tuning { max_workgroups: Some(2), ..tuning }]);
}

#[test]
fn a_slice_beyond_the_binding_limit_is_an_error() {
    for (rows, classes) in [(1, 1003), (3, 1003), (4, 1003), (1, 1024), (7, 1003)] {
        let case = Case::random(plain(), rows, classes);
        let tuning = Tuning { max_binding: Some(4000), ..PLANNED };
        let got = case.run_on(crate::gpu(), SEPARATE, tuning);
        assert!(matches!(got, Err(logloss::Error::TooLarge { .. })), "{rows} x {classes}: {got:?}");
        crate::gpu().check().expect("no error that wgpu reported");
    }
}

#[test]
fn a_batch_beyond_the_default_binding_limit() {
    // 136 MB: two windows of 128 MiB at most. The rows repeat, in whole groups, so that a few say what all must be.
    let (rows, classes, period) = (1039_u32, 32_771_u32, 8);
    let few = Case::random(plain(), period, classes);
    let cycle = |r: u32| (r % period) as usize;
    let row = |r| &few.logits[cycle(r) * classes as usize..][..classes as usize];
    let many = Case {
        shape: Shape::new(rows, classes),
        logits: (0..rows).flat_map(row).copied().collect(),
        targets: (0..rows).map(|r| few.targets[cycle(r)]).collect(),
        ..few.clone()
    };
    let want = few.reference();
    let tuning = Tuning { max_binding: Some(128 << 20), ..PLANNED };
    let got = many.run(IN_PLACE, tuning);
    let first = few.run(IN_PLACE, tuning);
    few.compare("the first rows", IN_PLACE, &first, &want);
    for r in 0..rows {
        let gradient =
            |e: &logloss::Evaluation, r: usize| e.gradient[r * classes as usize..][..classes as usize].to_vec();
        assert_eq!(got.losses[r as usize].to_bits(), first.losses[cycle(r)].to_bits(), "loss of row {r}");
        assert!(gradient(&got, r as usize) == gradient(&first, cycle(r)), "gradient of row {r}");
    }
    let sum: f64 = (0..rows).map(|r| want.losses[cycle(r)]).sum();
    crate::case::close("loss", &[got.summary.loss], &[sum]);
}

#[test]
fn a_mean_divides_by_the_weights_of_every_window() {
    let mean = Loss::CrossEntropy(CrossEntropy { ignore_index: vec![2], ..CrossEntropy::default() });
    let case = Case::random(mean, 2500, 6).with_everything();
    case.check(&[SEPARATE], &[PLANNED, Tuning { max_binding: Some(1000), ..PLANNED }]);
    let over = Loss::CrossEntropy(CrossEntropy { reduction: Reduction::MeanOver(37.5), ..CrossEntropy::default() });
    Case::random(over, 100, 6).check(&[SEPARATE], &[PLANNED]);
}
