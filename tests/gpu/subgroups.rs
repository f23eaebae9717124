//! Subgroups that own rows, several to a workgroup: idle ones in the last, every loss, and the bits of a workgroup that is one.

use logloss::gpu::{Caps, Reduce, Team, Tuning};
use logloss::{DType, Error, Gradient, Shape};

use crate::case::{Case, FORWARD, IN_PLACE, IN_PLACE_WITH_DETAILS, SEPARATE, SEPARATE_WITH_DETAILS, bits, plain};
use crate::rows::{check, losses};
use crate::stored::{GRADIENTS, strided};

/// Lanes of a subgroup of the adapter under test, and workgroups of four of them.
fn four() -> Option<(u32, Tuning)> {
    let caps = Caps::of(&crate::gpu().device);
    let tuning = |lanes| Tuning { team: Some(Team::Subgroup), lanes, ..Tuning::PLANNED };
    if !caps.subgroups || caps.min_subgroup_size != caps.max_subgroup_size {
        // Of several sizes, or none: an error that says so.
        let got = Case::random(plain(), 2, 5).run_on(crate::gpu(), FORWARD, tuning(None));
        assert!(matches!(got, Err(Error::Unsupported { .. })), "{got:?}");
        return None;
    }
    Some((caps.min_subgroup_size, tuning(Some(4 * caps.min_subgroup_size))))
}

#[test]
fn few_classes_and_few_rows() {
    let Some((_, tuning)) = four() else { return };
    for classes in [1, 2, 3, 4, 5, 7, 16, 37] {
        // Groups of one, two and four rows, and every number of idle subgroups.
        for rows in [1, 2, 3, 4, 5, 7, 11, 16, 17] {
            Case::random(plain(), rows, classes).check(&[FORWARD, SEPARATE, IN_PLACE], &[tuning]);
        }
    }
}

/// Chunks that a lane holds, and rows that it reads again: blocks and strips.
#[test]
fn lengths_of_rows() {
    let Some((size, tuning)) = four() else { return };
    let reread = Tuning { held: Some(false), ..tuning };
    let held = Tuning { held: Some(true), ..tuning };
    for length in [4 * size, 16 * size, 32 * size] {
        for classes in [length - 1, length, length + 1] {
            let case = Case::random(plain(), 6, classes).with_everything();
            case.check(&[SEPARATE_WITH_DETAILS, IN_PLACE], &[reread, held]);
        }
    }
    let strip = 64 * 16 * size;
    Case::random(plain(), 3, strip + 1).check(&[SEPARATE], &[tuning]);
}

#[test]
fn every_loss_element_type_and_place() {
    let Some((_, tuning)) = four() else { return };
    let strided = strided(9, 23, 3);
    for dtype in DType::ALL {
        for gradient in GRADIENTS {
            check(losses()[0].as_ref(), strided, dtype, gradient, tuning);
            check(losses()[0].as_ref(), Shape::new(9, 40).into(), dtype, gradient, tuning);
        }
    }
    for loss in &losses()[1..] {
        check(loss.as_ref(), strided, DType::F32, Gradient::InPlace, tuning);
    }
}

/// What a workgroup of one subgroup computes, for every window and grid.
#[test]
fn the_bits_of_a_workgroup_that_is_one_subgroup() {
    let Some((size, tuning)) = four() else { return };
    let one = Tuning { team: Some(Team::Workgroup), reduce: Some(Reduce::Subgroup), lanes: Some(size), ..tuning };
    for (rows, classes) in [(29, 61), (23, 64), (9, 1003)] {
        let case = Case::random(plain(), rows, classes).with_everything();
        for request in [SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS] {
            let want = case.run(request, one);
            // Totals of a batch fold in another tree.
            let rows_of = |e: &logloss::Evaluation| {
                let (losses, gradient, details, _) = bits(e);
                (losses, gradient, details)
            };
            for other in [
                tuning,
                Tuning { lanes: Some(size), ..tuning },
                Tuning { max_binding: Some(20_000), ..tuning },
                Tuning { max_workgroups: Some(2), ..tuning },
                Tuning { checked: true, ..tuning },
            ] {
                let got = case.run(request, other);
                assert!(rows_of(&got) == rows_of(&want), "{rows} x {classes} {request:?} {other:?}");
            }
        }
    }
}
