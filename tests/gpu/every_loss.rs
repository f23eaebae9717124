//! Every loss with random options over random batches of any layout and dtype, odd values included.

use logloss::gpu::{Evaluator, Team, Tuning};
use logloss::{Error, Request, reference};

use crate::common::any_loss::{Case, LARGEST_SCALE, LARGEST_WEIGHT, compare, losses, trials};
use crate::many_classes::MOST;
use crate::stored::{GRADIENTS, assert_gradient};

/// The contract's 1e-7 is for weights of 1.
pub const ABSOLUTE: f64 = 1e-7 * (LARGEST_WEIGHT * LARGEST_WEIGHT * LARGEST_SCALE) as f64;

#[test]
fn every_loss_meets_the_reference() {
    for (trial, mut random) in trials(4) {
        for loss in losses(&mut random) {
            let (most, odd) = (random.pick(&[300, 3000, 30_000]), random.chance(33));
            let case = Case::new(&mut random, loss.as_ref(), most, odd);
            let batch = case.batch();
            let request = Request {
                dtype: batch.logits.dtype(),
                gradient: random.pick(&GRADIENTS),
                details: loss.definition().has_details() && random.chance(50),
                dense_targets: case.classes.is_none(),
            };
            let tuning = Tuning {
                team: random.pick(&[None, None, Some(Team::Lane), Some(Team::Workgroup), Some(Team::Slices)]),
                max_binding: random.pick(&[None, None, Some(64 << 10)]),
                ..Tuning::PLANNED
            };
            let name = format!("{trial}: {loss:?}, {request:?}, {tuning:?}, {:?}", case.layout);
            let evaluator = Evaluator::with_tuning(crate::gpu(), loss.as_ref(), request, tuning);
            let got = match evaluator.and_then(|mut evaluator| evaluator.evaluate(&batch)) {
                Ok(got) => got,
                // What is forced may not fit, and a software adapter takes fewer classes.
                Err(Error::Unsupported { .. } | Error::TooLarge { .. }) if tuning != Tuning::PLANNED => continue,
                Err(Error::TooLarge { .. }) if case.layout.classes() > MOST[1] => continue,
                Err(error) => panic!("{name}: {error}"),
            };
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a valid batch");
            compare(&name, loss.as_ref(), &got, &want, 1e-5, ABSOLUTE);
            assert_gradient(&name, request, &got.gradient, &want.gradient, ABSOLUTE);
        }
    }
}
