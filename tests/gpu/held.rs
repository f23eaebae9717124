//! Rows whose lanes hold them in registers: on both sides of every number of chunks that a lane holds.

use logloss::gpu::{Team, Tuning};
use logloss::{DType, Error, Gradient};

use crate::case::{
    Case, FORWARD, IN_PLACE, IN_PLACE_WITH_DETAILS, SEPARATE, SEPARATE_WITH_DETAILS, bits, plain, reductions,
};
use crate::rows::{check, losses};
use crate::stored::{GRADIENTS, strided};

const fn held(lanes: u32) -> Tuning {
    Tuning { team: Some(Team::Workgroup), held: Some(true), lanes: Some(lanes), ..Tuning::PLANNED }
}

/// At most eight chunks a lane: a row of one more class has no more.
#[test]
fn chunks_of_a_lane() {
    let lanes = 8;
    for chunks in [1, 2, 4, 8] {
        let length = 4 * lanes * chunks;
        for classes in [length - 1, length, length + 1] {
            Case::random(plain(), 5, classes).check(&[IN_PLACE], &[held(lanes)]);
        }
    }
}

#[test]
fn every_reduction_and_request() {
    for reduce in reductions() {
        let tuning = Tuning { reduce: Some(reduce), ..held(8) };
        Case::random(plain(), 7, 123).with_everything().check(&[FORWARD, SEPARATE_WITH_DETAILS], &[tuning]);
    }
}

#[test]
fn a_row_that_does_not_fit_is_an_error() {
    let run = |classes| Case::random(plain(), 2, classes).run_on(crate::gpu(), SEPARATE, held(8));
    assert!(run(259).is_ok());
    assert!(matches!(run(260), Err(Error::Unsupported { .. })));
}

#[test]
fn every_loss_element_type_and_place() {
    let layout = strided(5, 23, 3);
    for dtype in DType::ALL {
        for gradient in GRADIENTS {
            check(losses()[0].as_ref(), layout, dtype, gradient, held(4));
        }
    }
    for loss in &losses()[1..] {
        check(loss.as_ref(), layout, DType::F32, Gradient::InPlace, held(4));
    }
}

#[test]
fn the_same_bits_on_every_run_and_for_every_binding_limit() {
    let case = Case::random(plain(), 29, 61).with_everything();
    for request in [SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS] {
        let want = bits(&case.run(request, held(8)));
        for max_binding in [None, Some(2048), Some(5000)] {
            let tuning = Tuning { max_binding, ..held(8) };
            assert!(want == bits(&case.run(request, tuning)), "{request:?} {tuning:?}");
        }
    }
}
