//! lse, log-probability, argmax and rank of each row, ties above all.

use logloss::gpu::{Team, Tuning};
use logloss::{CrossEntropy, Nll, Reduction};

use crate::case::{Case, IN_PLACE_WITH_DETAILS, Loss, SEPARATE_WITH_DETAILS, plain, reductions};
use crate::common::random::Random;

/// Logits of three values only: nearly every row has ties, at the top and with the target.
fn tied(loss: Loss, rows: u32, classes: u32) -> Case {
    let mut random = Random(classes.into());
    let mut case = Case::random(loss, rows, classes);
    case.logits.iter_mut().for_each(|x| *x = random.below(3) as f32 - 1.0);
    case
}

#[test]
fn ties() {
    let nll = Loss::Nll(Nll { reduction: Reduction::Sum, ..Nll::default() });
    for classes in (1..=20).chain([33, 130, 515]) {
        for loss in [plain(), nll.clone()] {
            tied(loss, 41, classes).check(&[SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS], &[Tuning::default()]);
        }
    }
}

#[test]
fn ties_across_lanes() {
    for reduce in reductions() {
        let tuning = Tuning { lanes: Some(64), reduce: Some(reduce), ..Tuning::default() };
        for classes in [257, 1024, 3001] {
            tied(plain(), 13, classes).check(&[SEPARATE_WITH_DETAILS], &[tuning]);
        }
    }
}

#[test]
fn every_class_equal() {
    for (classes, rows) in [(5, 5), (8, 8), (33, 33)] {
        let mut case = Case::random(plain(), rows, classes);
        case.logits.fill(0.25);
        case.targets = (0..rows as i32).collect();
        case.check(&[SEPARATE_WITH_DETAILS], &[Tuning::default()]);
    }
}

/// In the row of a log-probability that is NaN, but is not the target's.
#[test]
fn nan_stands_where_minus_infinity_does() {
    let mut random = Random(7);
    let nll = Loss::Nll(Nll { reduction: Reduction::Sum, ..Nll::default() });
    for team in [None, Some(Team::Lane), Some(Team::Workgroup), Some(Team::Slices)] {
        for classes in [3, 20, 130] {
            let mut case = Case::random(nll.clone(), 41, classes);
            case.logits
                .iter_mut()
                .for_each(|x| *x = random.pick(&[f32::NAN, f32::NEG_INFINITY, f32::NEG_INFINITY, -1.0]));
            let tuning = Tuning { team, ..Tuning::default() };
            case.check(&[SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS], &[tuning]);
        }
    }
}

#[test]
fn temperature() {
    for temperature in [0.1, 0.7, 3.0] {
        let options = CrossEntropy { reduction: Reduction::Sum, temperature, z_loss: 1e-2, ..CrossEntropy::default() };
        for classes in [3, 64, 1003] {
            Case::random(Loss::CrossEntropy(options.clone()), 9, classes)
                .check(&[SEPARATE_WITH_DETAILS], &[Tuning::default()]);
        }
    }
}
