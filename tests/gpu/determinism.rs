//! The same input gives the same bits: on every run, for every binding limit, in every batch.

use logloss::Shape;
use logloss::gpu::Tuning;

use crate::case::{Case, IN_PLACE_WITH_DETAILS, SEPARATE_WITH_DETAILS, bits, plain, reductions};

#[test]
fn two_runs() {
    for reduce in reductions() {
        let tuning = Tuning { reduce: Some(reduce), lanes: Some(64), ..Tuning::default() };
        for (rows, classes) in [(2500, 7), (9, 5003)] {
            let case = Case::random(plain(), rows, classes).with_everything();
            for request in [SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS] {
                let first = bits(&case.run(request, tuning));
                assert!(first == bits(&case.run(request, tuning)), "{:?} {request:?} {tuning:?}", case.shape);
            }
        }
    }
}

#[test]
fn every_binding_limit() {
    for (rows, classes) in [(5000, 7), (300, 64), (9, 5003)] {
        let case = Case::random(plain(), rows, classes).with_everything();
        let want = bits(&case.run(SEPARATE_WITH_DETAILS, Tuning::default()));
        // Above the binding that a group of rows, or a block of 1024 row losses, needs.
        for max_binding in [90_000, 100_000, 123_456] {
            let tuning = Tuning { max_binding: Some(max_binding), ..Tuning::default() };
            assert!(want == bits(&case.run(SEPARATE_WITH_DETAILS, tuning)), "{:?} {tuning:?}", case.shape);
        }
    }
}

#[test]
fn a_row_in_any_batch() {
    // Rows that start at the same place within a chunk; another place groups the sum of exponentials differently.
    for classes in [7, 64, 1003] {
        let case = Case::random(plain(), 23, classes).with_everything();
        let all = case.run(SEPARATE_WITH_DETAILS, Tuning::default());
        for (first, rows) in [(0, 1), (0, 4), (4, 5), (8, 15), (20, 3)] {
            let (r, c) = (first as usize, classes as usize);
            let n = rows as usize;
            let part = Case {
                shape: Shape::new(rows, classes),
                logits: case.logits[r * c..(r + n) * c].to_vec(),
                targets: case.targets[r..r + n].to_vec(),
                row_weights: case.row_weights.as_ref().map(|w| w[r..r + n].to_vec()),
                ..case.clone()
            };
            let got = part.run(SEPARATE_WITH_DETAILS, Tuning::default());
            let name = format!("rows {first}.. of {rows} x {classes}");
            assert_eq!(got.losses, all.losses[r..r + n], "{name}");
            assert_eq!(got.gradient, all.gradient[r * c..(r + n) * c], "{name}");
            assert_eq!(got.details, all.details[r..r + n], "{name}");
        }
    }
}
