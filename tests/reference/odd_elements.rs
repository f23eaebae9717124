//! Infinities, NaN, saturation and values outside the domain in the losses of elements.

use logloss::reference::{self, Evaluation, ReferenceLoss};
use logloss::{Batch, Bce, BceWithLogits, Error, Hinge, Layout, Mse, Reduction, Shape, SigmoidFocal, SquaredHinge};

use crate::FEW_ROUNDINGS;
use crate::common::assert_close;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const NONE: Reduction = Reduction::None;

/// One row.
fn row(loss: &dyn ReferenceLoss, logits: &[f32], targets: &[f32]) -> Evaluation {
    reference::evaluate(loss, &Batch::new(Shape::new(1, logits.len() as u32), logits, targets)).unwrap()
}

#[track_caller]
fn assert_element(loss: &dyn ReferenceLoss, logit: f32, target: f32, want: (f64, f64)) {
    let got = row(loss, &[logit], &[target]);
    let name = format!("{loss:?} at {logit}, {target}");
    assert_close(&name, &got.losses, &[want.0], FEW_ROUNDINGS, 0.0);
    assert_close(&name, &got.gradient, &[want.1], FEW_ROUNDINGS, 0.0);
    assert_eq!(got.non_finite, u32::from(want.0.is_nan()), "{name}");
}

#[test]
fn infinite_logits_take_the_limit() {
    const F64_INF: f64 = f64::INFINITY;
    let bce = BceWithLogits { reduction: NONE };
    assert_element(&bce, INF, 1.0, (0.0, 0.0));
    assert_element(&bce, INF, 0.0, (F64_INF, 1.0));
    assert_element(&bce, -INF, 1.0, (F64_INF, -1.0));
    assert_element(&bce, -INF, 0.0, (0.0, 0.0));
    assert_element(&bce, INF, 0.5, (F64_INF, 0.5));
    for gamma in [0.0, 0.5, 1.0, 2.0] {
        let focal = SigmoidFocal { reduction: NONE, gamma, alpha: Some(0.25) };
        assert_element(&focal, INF, 1.0, (0.0, 0.0));
        assert_element(&focal, INF, 0.0, (F64_INF, 0.75));
        assert_element(&focal, -INF, 1.0, (F64_INF, -0.25));
        assert_element(&focal, -INF, 0.0, (0.0, 0.0));
    }
    let hinge = Hinge { reduction: NONE, margin: 1.0 };
    assert_element(&hinge, INF, 1.0, (0.0, 0.0));
    assert_element(&hinge, INF, -1.0, (F64_INF, 1.0));
    assert_element(&hinge, -INF, 1.0, (F64_INF, -1.0));
    let squared = SquaredHinge { reduction: NONE, margin: 1.0 };
    assert_element(&squared, INF, 1.0, (0.0, 0.0));
    assert_element(&squared, INF, -1.0, (F64_INF, F64_INF));
    let mse = Mse { reduction: NONE };
    assert_element(&mse, INF, 0.0, (F64_INF, F64_INF));
    assert_element(&mse, 0.0, INF, (F64_INF, -F64_INF));
    assert_element(&mse, INF, INF, (f64::NAN, f64::NAN));
}

#[test]
fn confident_logits_keep_every_digit() {
    // log(1 + exp(-40)) = exp(-40) (1 - exp(-40)/2), and sigmoid(-40) = exp(-40) (1 - exp(-40)).
    let tiny = (-40_f64).exp();
    let loss = BceWithLogits { reduction: NONE };
    assert_element(&loss, 40.0, 1.0, (tiny, -tiny));
    assert_element(&loss, -40.0, 0.0, (tiny, tiny));
    assert_element(&loss, -40.0, 1.0, (40.0, -1.0));
    let loss = SigmoidFocal { reduction: NONE, gamma: 0.5, alpha: None };
    assert_element(&loss, 40.0, 1.0, (tiny.powf(1.5), -1.5 * tiny.powf(1.5)));
}

#[test]
fn the_subgradient_at_the_corner_is_0() {
    for (margin, x, y) in [(1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (0.5, 0.5, 1.0), (0.0, 0.0, -1.0)] {
        assert_element(&Hinge { reduction: NONE, margin }, x, y, (0.0, 0.0));
        assert_element(&SquaredHinge { reduction: NONE, margin }, x, y, (0.0, 0.0));
    }
    assert_element(&Hinge { reduction: NONE, margin: 1.0 }, -0.5, 1.0, (1.5, -1.0));
    assert_element(&SquaredHinge { reduction: NONE, margin: 1.0 }, 0.5, -1.0, (2.25, 3.0));
}

#[test]
fn bce_clamps_its_logarithms_and_its_denominator() {
    let loss = Bce { reduction: NONE };
    let clamp = 1.0 / f64::from(1e-12_f32);
    assert_element(&loss, 0.0, 0.0, (0.0, 0.0));
    assert_element(&loss, 1.0, 1.0, (0.0, 0.0));
    assert_element(&loss, 0.0, 1.0, (100.0, -clamp));
    assert_element(&loss, 1.0, 0.0, (100.0, clamp));
    assert_element(&loss, 0.0, 0.25, (25.0, -0.25 * clamp));
    // 1e-30 is above exp(-100), but p (1 - p) is below 1e-12.
    let p = f64::from(1e-30_f32);
    assert_element(&loss, 1e-30, 1.0, (-p.ln(), -clamp));
    assert_element(&loss, 1e-30, 0.0, (p, p * clamp));
    assert_element(&loss, 0.25, 1.0, (4_f64.ln(), -4.0));
}

#[test]
fn nan_spoils_its_element_which_is_counted() {
    let losses: [Box<dyn ReferenceLoss>; 5] = [
        Box::new(BceWithLogits { reduction: NONE }),
        Box::new(SigmoidFocal { reduction: NONE, gamma: 0.0, alpha: None }),
        Box::new(Hinge { reduction: NONE, margin: 1.0 }),
        Box::new(SquaredHinge { reduction: NONE, margin: 1.0 }),
        Box::new(Mse { reduction: NONE }),
    ];
    for loss in losses {
        // Two samples of two positions, two classes; positions 1 and 2 are bad, the second in both classes.
        let logits = [0.5, NAN, 0.25, 0.125, NAN, 0.5, NAN, 0.25];
        let layout = Layout::planes(2, 2, 2).unwrap();
        let targets = [1.0; 8];
        let batch = Batch { row_weights: Some(&[1.0, 0.0, 0.0, 1.0]), ..Batch::new(layout, &logits, &targets) };
        let got = reference::evaluate(loss.as_ref(), &batch).unwrap();
        let nan = |values: &[f64]| values.iter().map(|value| value.is_nan()).collect::<Vec<_>>();
        let want: Vec<bool> = logits.iter().map(|x| x.is_nan()).collect();
        assert_eq!((nan(&got.losses), nan(&got.gradient)), (want.clone(), want), "{loss:?}");
        assert_eq!((got.non_finite, got.first_non_finite, got.loss.is_nan()), (3, Some(1), true), "{loss:?}");
    }
}

#[test]
fn a_weight_of_0_removes_an_infinite_loss() {
    let loss = BceWithLogits { reduction: Reduction::Sum };
    let logits = [INF, 0.0];
    let batch = Batch::new(Shape::new(1, 2), &logits, &[0.0_f32, 0.0]);
    let got = reference::evaluate(&loss, &Batch { class_weights: Some(&[0.0, 1.0]), ..batch }).unwrap();
    assert_close("loss", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
    assert_close("gradient", &got.gradient, &[0.0, 0.5], FEW_ROUNDINGS, 0.0);
    let positive = Batch::new(Shape::new(1, 2), &[-INF, 0.0], &[1.0_f32, 0.0]);
    let got = reference::evaluate(&loss, &Batch { pos_weights: Some(&[0.0, 1.0]), ..positive }).unwrap();
    assert_close("loss", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
}

/// The error of rows of two classes, two positions a sample.
fn error(loss: &dyn ReferenceLoss, logits: &[f32], targets: &[f32]) -> Error {
    let layout = Layout::planes(logits.len() as u32 / 4, 2, 2).unwrap();
    reference::evaluate(loss, &Batch::new(layout, logits, targets)).unwrap_err()
}

#[test]
fn values_outside_the_domain_are_named() {
    let fine = [0.5; 8];
    // Elements of the first sample: (row 0, class 0), (1, 0), (0, 1), (1, 1).
    let bad = [0.5, 1.5, -0.25, 0.5, 0.5, 0.5, 2.0, 0.5];
    let value = |tensor, row, class, value, domain, count| Error::BadValue { tensor, row, class, value, domain, count };
    let bce = Bce::default();
    assert_eq!(error(&bce, &bad, &fine), value("input", 0, 1, -0.25, "in [0, 1]", 3));
    assert_eq!(error(&bce, &fine, &bad), value("target", 0, 1, -0.25, "in [0, 1]", 3));
    assert_eq!(error(&bce, &bad, &bad), value("input", 0, 1, -0.25, "in [0, 1]", 3));
    let labels = [1.0, -1.0, 1.0, 0.0, 1.0, 0.5, 1.0, -1.0];
    for loss in [&Hinge::default() as &dyn ReferenceLoss, &SquaredHinge::default()] {
        assert_eq!(error(loss, &fine, &labels), value("target", 1, 1, 0.0, "-1 or +1", 2));
    }
    for (logits, targets, tensor) in [([NAN; 4], [0.5; 4], "input"), ([0.5; 4], [NAN; 4], "target")] {
        let got = error(&bce, &logits, &targets);
        assert!(matches!(got, Error::BadValue { tensor: name, count: 4, .. } if name == tensor), "{got:?}");
    }
}

#[test]
fn empty_batches() {
    for (reduction, want) in [
        (NONE, 0.0),
        (Reduction::Sum, 0.0),
        (Reduction::Mean, f64::NAN),
        (Reduction::MeanOrZero, 0.0),
        (Reduction::MeanOver(2.0), 0.0),
    ] {
        let losses: [Box<dyn ReferenceLoss>; 3] =
            [Box::new(Bce { reduction }), Box::new(Mse { reduction }), Box::new(Hinge { reduction, margin: 1.0 })];
        for loss in losses {
            let got = row(loss.as_ref(), &[], &[]);
            assert_close(&format!("{loss:?}"), &[got.loss], &[want], 0.0, 0.0);
            assert_eq!((got.losses, got.gradient, got.weight_sum), (vec![], vec![], 0.0));
        }
    }
}
