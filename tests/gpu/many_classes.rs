//! As many classes as a lane can go through on a software adapter, which ends longer loops without a word, and one more.

use logloss::gpu::Caps;
use logloss::{
    AnyLoss, Batch, DType, Dice, Divergence, Error, Gradient, LogitDivergence, Request, Shape, Unit, reference,
};

use crate::common::any_loss::{Case, compare, losses};
use crate::common::random::Random;
use crate::every_loss::ABSOLUTE;
use crate::stored::{assert_gradient, planes, strided};

/// Of planes, and of regions, on a software adapter.
pub const MOST: [u32; 2] = [65_536, 12_288];

#[test]
fn no_loop_ends_early() {
    let mut random = Random(1);
    // Rows that are read twice, and a softmax before regions.
    let divergence = LogitDivergence { divergence: Divergence::JensenShannon, ..LogitDivergence::default() };
    let more: [Box<dyn AnyLoss>; 2] = [Box::new(divergence), Box::new(Dice::default())];
    for loss in losses(&mut random).into_iter().chain(more) {
        let definition = loss.definition();
        let most = MOST[usize::from(matches!(definition.unit, Unit::Region(_)))];
        // Planes that start in the middle of a chunk are written word by word.
        for (layout, dtype) in [
            (planes(1, most, 3), DType::F16),
            (planes(1, most, 4), DType::F32),
            (strided(2, most, 3), DType::F32),
            (Shape::new(1, most).into(), DType::F16),
        ] {
            let case = Case::of_layout(&mut random, loss.as_ref(), layout, dtype, false);
            let batch = case.batch();
            let dense_targets = case.classes.is_none();
            let request = Request { dtype, gradient: Gradient::Separate, dense_targets, ..Request::FORWARD };
            let name = format!("{loss:?} {layout:?} {dtype}");
            let got = crate::gpu().evaluate(loss.as_ref(), request, &batch).unwrap_or_else(|e| panic!("{name}: {e}"));
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a valid batch");
            compare(&name, loss.as_ref(), &got, &want, 1e-5, ABSOLUTE);
            assert_gradient(&name, request, &got.gradient, &want.gradient, ABSOLUTE);
        }
    }
}

#[test]
fn more_are_an_error() {
    if !Caps::of(&crate::gpu().device).software {
        return;
    }
    let classes = MOST[1] + 1;
    let logits = vec![0.0; classes as usize];
    let batch = Batch::new(Shape::new(1, classes), &logits, &[0]);
    let got = crate::gpu().evaluate(&Dice::default(), Request::FORWARD, &batch);
    let is_too_large = matches!(got, Err(Error::TooLarge { size: 12_289, limit: 12_288, .. }));
    assert!(is_too_large, "{got:?}");
}
