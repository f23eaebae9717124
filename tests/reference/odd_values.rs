//! Infinities, NaN, ignored rows, empty batches, weights of 0 and bad targets: one test for each row of the table of meanings.

use logloss::reference::{self, Evaluation};
use logloss::{Batch, CrossEntropy, Error, Nll, Reduction, Shape};

use crate::common::assert_close;
use crate::{FEW_ROUNDINGS, batch, evaluate};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn ignoring(reduction: Reduction, logits: &[f32], targets: &[i32]) -> Evaluation {
    let options = CrossEntropy { reduction, ignore_index: vec![-100, -1], ..CrossEntropy::default() };
    reference::evaluate(&options, &batch(logits, targets)).unwrap()
}

fn smoothing(label_smoothing: f32, class_weights: Option<&[f32]>, logits: &[f32], target: i32) -> Evaluation {
    let options = CrossEntropy { label_smoothing, reduction: Reduction::Sum, ..CrossEntropy::default() };
    let targets = [target];
    reference::evaluate(&options, &Batch { class_weights, ..batch(logits, &targets) }).unwrap()
}

#[test]
fn every_row_ignored() {
    for (reduction, want) in [
        (Reduction::None, 0.0),
        (Reduction::Sum, 0.0),
        (Reduction::Mean, f64::NAN),
        (Reduction::MeanOrZero, 0.0),
        (Reduction::MeanOver(4.0), 0.0),
    ] {
        let got = ignoring(reduction, &[1.0, 2.0, 3.0, 4.0], &[-100, -1]);
        assert_close(&format!("{reduction:?}"), &[got.loss], &[want], 0.0, 0.0);
        assert_eq!(got.losses, [0.0; 2]);
        assert_eq!(got.gradient, [0.0; 4]);
        assert_eq!((got.weight_sum, got.ignored, got.non_finite), (0.0, 2, 0));
        assert_eq!((got.log_prob, got.rank), (vec![0.0; 2], vec![u32::MAX; 2]));
        // log(e + e^2) = 2 + log(1 + 1/e); lse and argmax need no target.
        let log_sum = (-1_f64).exp().ln_1p();
        assert_close("lse", &got.lse, &[2.0 + log_sum, 4.0 + log_sum], FEW_ROUNDINGS, 0.0);
        assert_eq!(got.argmax, [1, 1]);
    }
}

#[test]
fn every_weight_zero() {
    for (reduction, want) in [(Reduction::Mean, f64::NAN), (Reduction::MeanOrZero, 0.0), (Reduction::Sum, 0.0)] {
        let options = CrossEntropy { reduction, ..CrossEntropy::default() };
        let unweighted = batch(&[1.0, 2.0, 3.0, 4.0], &[0, 1]);
        for weighted in [
            Batch { class_weights: Some(&[0.0, 0.0]), ..unweighted },
            Batch { row_weights: Some(&[0.0, 0.0]), ..unweighted },
        ] {
            let got = reference::evaluate(&options, &weighted).unwrap();
            assert_close(&format!("{reduction:?}"), &[got.loss], &[want], 0.0, 0.0);
            assert_eq!(got.gradient, [0.0; 4]);
            assert_eq!(got.weight_sum, 0.0);
        }
    }
}

#[test]
fn empty_batch() {
    for classes in [3, 0] {
        let empty = Batch::new(Shape::new(0, classes), &[0.0_f32; 0], &[0_i32; 0]);
        for (reduction, want) in [
            (Reduction::None, 0.0),
            (Reduction::Sum, 0.0),
            (Reduction::Mean, f64::NAN),
            (Reduction::MeanOrZero, 0.0),
            (Reduction::MeanOver(2.0), 0.0),
        ] {
            let options = CrossEntropy { reduction, ..CrossEntropy::default() };
            let got = reference::evaluate(&options, &empty).unwrap();
            assert_close(&format!("{reduction:?}"), &[got.loss], &[want], 0.0, 0.0);
            assert_eq!((got.losses, got.gradient), (vec![], vec![]));
            let got = reference::evaluate(&Nll { reduction, ..Nll::default() }, &empty).unwrap();
            assert_close(&format!("nll {reduction:?}"), &[got.loss], &[want], 0.0, 0.0);
        }
    }
}

#[test]
fn target_out_of_range() {
    let logits = [0.0; 15];
    for (targets, row, value, count) in
        [([0, 1, 3, -1, 2], 2, 3, 2), ([0, -7, 1, 1, 1], 1, -7, 1), ([i32::MAX, 0, i32::MIN, 9, -100], 0, i32::MAX, 3)]
    {
        let want = Error::BadTarget { row, value: value.into(), classes: 3, count };
        let options = CrossEntropy { ignore_index: vec![-100], ..CrossEntropy::default() };
        assert_eq!(reference::evaluate(&options, &batch(&logits, &targets)), Err(want.clone()));
        let options = Nll { ignore_index: vec![-100], ..Nll::default() };
        assert_eq!(reference::evaluate(&options, &batch(&logits, &targets)), Err(want));
    }
}

#[test]
fn ignored_class_index_and_several_ignore_indices() {
    let options =
        CrossEntropy { reduction: Reduction::Mean, ignore_index: vec![1, 7, -100], ..CrossEntropy::default() };
    let got = reference::evaluate(&options, &batch(&[0.0; 10], &[0, 1, 7, -100, 0])).unwrap();
    let ln_2 = 2_f64.ln();
    assert_close("losses", &got.losses, &[ln_2, 0.0, 0.0, 0.0, ln_2], FEW_ROUNDINGS, 0.0);
    assert_close("loss", &[got.loss], &[ln_2], FEW_ROUNDINGS, 0.0);
    assert_eq!((got.ignored, got.weight_sum), (3, 2.0));
    assert_eq!(got.rank, [0, u32::MAX, u32::MAX, u32::MAX, 0]);
}

#[test]
fn negative_infinity_beside_the_target() {
    let got = evaluate(Reduction::Sum, &[0.0, -INF, 0.0], &[0]);
    assert_close("loss", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
    assert_close("gradient", &got.gradient, &[-0.5, 0.0, 0.5], FEW_ROUNDINGS, 0.0);
    assert_eq!((got.non_finite, got.rank[0]), (0, 0));
}

#[test]
fn negative_infinity_everywhere_but_at_the_target() {
    let got = evaluate(Reduction::Sum, &[-INF, 5.0, -INF], &[1]);
    assert_eq!((got.loss, got.lse[0], got.log_prob[0]), (0.0, 5.0, 0.0));
    assert_eq!(got.gradient, [0.0; 3]);
    assert_eq!((got.non_finite, got.argmax[0], got.rank[0]), (0, 1, 0));
}

#[test]
fn negative_infinity_at_the_target() {
    let got = evaluate(Reduction::Mean, &[-INF, 0.0, 0.0, 0.0, 0.0, 0.0], &[0, 0]);
    assert_close("losses", &got.losses, &[f64::INFINITY, 3_f64.ln()], FEW_ROUNDINGS, 0.0);
    assert_eq!((got.loss, got.log_prob[0]), (f64::INFINITY, f64::NEG_INFINITY));
    let want = [-1.0, 0.5, 0.5, -2.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0].map(|g| g / 2.0);
    assert_close("gradient", &got.gradient, &want, FEW_ROUNDINGS, 0.0);
    assert_eq!((got.non_finite, got.rank[0]), (0, 2));
}

#[test]
fn negative_infinity_with_smoothing() {
    let got = smoothing(0.3, None, &[0.0, -INF, 0.0], 0);
    assert_eq!((got.loss, got.non_finite), (f64::INFINITY, 0));
    // p - q, where q = (1 - e) [c = t] + e/K and e is a float32.
    let e = f64::from(0.3_f32);
    let want = [0.5 - (1.0 - e) - e / 3.0, -e / 3.0, 0.5 - e / 3.0];
    assert_close("gradient", &got.gradient, &want, FEW_ROUNDINGS, FEW_ROUNDINGS);
}

#[test]
fn negative_infinity_with_smoothing_in_a_class_of_weight_0() {
    // p = [1/2, 0, 1/2]: 0.5 ln 2 at the target, and 0.5/3 (1 + 0 + 2) ln 2 over the classes.
    let got = smoothing(0.5, Some(&[1.0, 0.0, 2.0]), &[0.0, -INF, 0.0], 0);
    assert_close("loss", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
    // 0.5 (p - [c = t]) + 0.5/3 (3 p - w).
    let want = [-0.25 + (1.5 - 1.0) / 6.0, 0.0, 0.25 + (1.5 - 2.0) / 6.0];
    assert_close("gradient", &got.gradient, &want, FEW_ROUNDINGS, FEW_ROUNDINGS);
}

#[test]
fn weight_0_at_a_target_of_negative_infinity() {
    let options = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
    let unweighted = batch(&[-INF, 0.0], &[0]);
    for weighted in
        [Batch { class_weights: Some(&[0.0, 1.0]), ..unweighted }, Batch { row_weights: Some(&[0.0]), ..unweighted }]
    {
        let got = reference::evaluate(&options, &weighted).unwrap();
        assert_eq!((got.loss, got.losses, got.gradient), (0.0, vec![0.0], vec![0.0; 2]));
        assert_eq!(got.log_prob, [f64::NEG_INFINITY]);
        let got = reference::evaluate(&Nll { reduction: Reduction::Sum, ..Nll::default() }, &weighted).unwrap();
        assert_eq!((got.loss, got.gradient), (0.0, vec![0.0; 2]));
    }
}

#[test]
fn smoothing_1_ignores_a_target_of_class_weight_0_at_negative_infinity() {
    // e = 1 takes the factor 1 - e from the target, w_t = 0 its share of the rest: 1/2 (0 + 1) 0 nats remain.
    let got = smoothing(1.0, Some(&[0.0, 1.0]), &[-INF, 0.0], 0);
    assert_eq!((got.loss, got.gradient), (0.0, vec![0.0; 2]));
}

#[test]
fn non_finite_rows_are_nan_and_counted() {
    // The rows between are finite: their losses and gradients are as if they were alone.
    for bad in [[INF, 0.0, 0.0], [0.0, NAN, 0.0], [NAN, NAN, NAN], [-INF, -INF, -INF], [NAN, INF, -INF]] {
        for target in 0..3 {
            let logits = [[1.0, 2.0, 3.0], bad, [0.5, 0.0, -1.0]].concat();
            let got = evaluate(Reduction::Mean, &logits, &[2, target, 1]);
            let good = [evaluate(Reduction::Sum, &logits[..3], &[2]), evaluate(Reduction::Sum, &logits[6..], &[1])];
            let name = format!("{bad:?}, target {target}");
            let nan = f64::NAN;
            assert_close(&name, &[got.loss], &[nan], 0.0, 0.0);
            assert_close(&name, &got.losses, &[good[0].loss, nan, good[1].loss], 0.0, 0.0);
            assert_close(&name, &got.lse, &[good[0].lse[0], nan, good[1].lse[0]], 0.0, 0.0);
            assert_close(&name, &got.log_prob, &[good[0].log_prob[0], nan, good[1].log_prob[0]], 0.0, 0.0);
            let mean = |g: &f64| g / 3.0;
            let want: Vec<f64> =
                (good[0].gradient.iter().map(mean)).chain([nan; 3]).chain(good[1].gradient.iter().map(mean)).collect();
            assert_close(&name, &got.gradient, &want, FEW_ROUNDINGS, 0.0);
            assert_eq!((got.non_finite, got.ignored, got.weight_sum), (1, 0, 3.0));
            assert_eq!(got.rank, [0, u32::MAX, 1]);
        }
    }
}

#[test]
fn a_weight_of_0_does_not_hide_a_non_finite_row() {
    let options = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
    let row = Batch { class_weights: Some(&[0.0, 0.0]), row_weights: Some(&[0.0]), ..batch(&[NAN, 0.0], &[1]) };
    let got = reference::evaluate(&options, &row).unwrap();
    assert_close("loss", &[got.loss], &[f64::NAN], 0.0, 0.0);
    assert_close("gradient", &got.gradient, &[f64::NAN; 2], 0.0, 0.0);
    assert_eq!(got.non_finite, 1);

    // Nor does a mean that is 0 where nothing counts; only its gradient is 0.
    let got = reference::evaluate(&CrossEntropy { reduction: Reduction::MeanOrZero, ..options }, &row).unwrap();
    assert_close("loss", &[got.loss], &[f64::NAN], 0.0, 0.0);
    assert_eq!((got.gradient, got.non_finite), (vec![0.0; 2], 1));
}

#[test]
fn nan_in_an_ignored_row() {
    for bad in [[NAN, 0.0], [INF, 0.0], [-INF, -INF]] {
        let got = ignoring(Reduction::Mean, &[[0.0, 0.0], bad].concat(), &[0, -100]);
        assert_close("loss", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
        assert_close("gradient", &got.gradient, &[-0.5, 0.5, 0.0, 0.0], FEW_ROUNDINGS, 0.0);
        assert_close("lse", &got.lse, &[2_f64.ln(), f64::NAN], FEW_ROUNDINGS, 0.0);
        assert_eq!((got.losses[1], got.non_finite, got.ignored), (0.0, 0, 1));
    }
}

#[test]
fn argmax_of_non_finite_rows_counts_nan_as_negative_infinity() {
    let logits = [[NAN, -1.0, 2.0], [NAN, NAN, NAN], [-INF, -INF, -INF], [0.0, INF, INF], [NAN, -INF, -INF]].concat();
    let got = ignoring(Reduction::Sum, &logits, &[0, 1, 2, 0, -1]);
    assert_eq!(got.argmax, [2, 0, 0, 1, 0]);
    assert_eq!((got.non_finite, got.ignored), (4, 1));
}

#[test]
fn largest_float32_logits() {
    // The margin 2 * 3.4e38 is beyond float32, not beyond float64.
    let got = evaluate(Reduction::Sum, &[f32::MIN, f32::MAX], &[0]);
    assert_eq!(got.loss, 2.0 * f64::from(f32::MAX));
    assert_eq!(got.gradient, [-1.0, 1.0]);
    assert_eq!(got.non_finite, 0);
}

#[test]
fn options_and_lengths_are_checked() {
    let logits = [0.0; 6];
    let good = batch(&logits, &[0, 1]);
    for (options, option) in [
        (CrossEntropy { label_smoothing: -0.1, ..CrossEntropy::default() }, "label_smoothing"),
        (CrossEntropy { label_smoothing: 1.5, ..CrossEntropy::default() }, "label_smoothing"),
        (CrossEntropy { temperature: 0.0, ..CrossEntropy::default() }, "temperature"),
        (CrossEntropy { z_loss: NAN, ..CrossEntropy::default() }, "z_loss"),
    ] {
        let got = reference::evaluate(&options, &good);
        assert!(matches!(&got, Err(Error::InvalidOption { option: name, .. }) if *name == option), "{got:?}");
    }
    let short = Batch { class_weights: Some(&[1.0; 2]), ..good };
    let want = Error::LengthMismatch { name: "class_weights", expected: 3, got: 2 };
    assert_eq!(reference::evaluate(&CrossEntropy::default(), &short), Err(want.clone()));
    assert_eq!(reference::evaluate(&Nll::default(), &short), Err(want));
}

#[test]
fn nll_reads_only_the_target() {
    let one = |logits: &[f32]| {
        reference::evaluate(&Nll { reduction: Reduction::Sum, ..Nll::default() }, &batch(logits, &[0])).unwrap()
    };
    // Whatever stands beside the target.
    for other in [-INF, INF, NAN] {
        let got = one(&[-0.5, other]);
        assert_eq!((got.loss, got.gradient, got.log_prob), (0.5, vec![-1.0, 0.0], vec![-0.5]));
        assert_eq!((got.non_finite, got.rank), (0, vec![u32::from(other == INF)]));
    }
    // -inf at the target is a loss of +inf; +inf or NaN there is NaN and counted.
    for other in [0.0, -INF] {
        let got = one(&[-INF, other]);
        assert_eq!((got.loss, got.gradient, got.non_finite), (f64::INFINITY, vec![-1.0, 0.0], 0));
    }
    for bad in [NAN, INF] {
        let got = one(&[bad, -1.0]);
        assert_close("nll", &[got.loss], &[f64::NAN], 0.0, 0.0);
        assert_close("nll", &got.gradient, &[f64::NAN; 2], 0.0, 0.0);
        assert_eq!((got.log_prob[0].is_nan(), got.non_finite, got.rank), (true, 1, vec![u32::MAX]));
    }
}
