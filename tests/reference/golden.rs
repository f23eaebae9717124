//! Every golden case of PyTorch.

use logloss::reference::{self, Evaluation};
use logloss::{CrossEntropy, Nll};

use crate::ROUNDING;
use crate::common::assert_close;
use crate::common::golden::{GoldenCase, GoldenLoss, class_axis_to_last, for_each_golden_case};

#[test]
fn cross_entropy_matches_pytorch() {
    let count = for_each_golden_case(
        |name| name.starts_with("cross_entropy-"),
        |case| {
            let GoldenLoss::CrossEntropy(options) = &case.loss else { panic!("{}: {:?}", case.name, case.loss) };
            let (losses, gradient) = with_pytorch_smoothing(case, options);
            assert_matches(case, &losses, &gradient);
        },
    );
    assert_eq!(count, 62);
}

#[test]
fn nll_matches_pytorch() {
    let count = for_each_golden_case(
        |name| name.starts_with("nll-"),
        |case| {
            let GoldenLoss::Nll(options) = &case.loss else { panic!("{}: {:?}", case.name, case.loss) };
            let got = reference::evaluate(options, &case.batch()).unwrap();
            assert_matches(case, &case.comparable(got.loss, &got.losses), &got.gradient);
        },
    );
    assert_eq!(count, 3);
}

/// Loss and gradient with PyTorch's float64 smoothing, which the float32 option rounds by up to 2^-25: both are linear in the
/// smoothing, so they follow from smoothing 0 and 1. The option's own value must lie on the same line.
fn with_pytorch_smoothing(case: &GoldenCase, options: &CrossEntropy) -> (Vec<f64>, Vec<f64>) {
    let with = |label_smoothing| {
        let got = reference::evaluate(&CrossEntropy { label_smoothing, ..options.clone() }, &case.batch()).unwrap();
        (case.comparable(got.loss, &got.losses), got.gradient)
    };
    let direct = with(options.label_smoothing);
    if options.label_smoothing == 0.0 {
        return direct;
    }
    let (hard, uniform) = (with(0.0), with(1.0));
    let blend = |e: f64| {
        let line = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (1.0 - e) * a + e * b).collect::<Vec<_>>();
        (line(&hard.0, &uniform.0), line(&hard.1, &uniform.1))
    };
    let (losses, gradient) = blend(options.label_smoothing.into());
    assert_close(&format!("{} loss, linear", case.name), &direct.0, &losses, tolerance(case), 0.0);
    let absolute = gradient_absolute(&gradient);
    assert_close(&format!("{} gradient, linear", case.name), &direct.1, &gradient, tolerance(case), absolute);
    blend(case.label_smoothing)
}

fn assert_matches(case: &GoldenCase, losses: &[f64], gradient: &[f64]) {
    // PyTorch's log(sum of exp) has an absolute error: the sum is 1 or more, and rounds to a multiple of the rounding.
    let relative = tolerance(case);
    assert_close(&format!("{} loss", case.name), losses, &case.want_loss, relative, relative);
    let absolute = gradient_absolute(&case.want_gradient);
    assert_close(&format!("{} gradient", case.name), gradient, &case.want_gradient, relative, absolute);
}

/// Relative: a sum over K classes and then over N rows has a relative error of at most N + K roundings; exp of a difference of
/// up to 160 has 160, and some 40 remain for the rest. Twice, since both sides round.
fn tolerance(case: &GoldenCase) -> f64 {
    2.0 * f64::from(case.shape.rows + case.shape.classes + 200) * ROUNDING
}

/// Absolute: `p_t - 1`, and smoothing's `p_j W - w_j`, are differences of terms that are near the largest gradient of the case.
fn gradient_absolute(gradient: &[f64]) -> f64 {
    32.0 * ROUNDING * gradient.iter().fold(0.0, |max: f64, g| max.max(g.abs()))
}

#[test]
fn nll_of_log_softmax_is_cross_entropy() {
    // Log-probabilities as float32 are off by up to 2^-24 relative, a loss of at most 25 nats by 25 * 2^-24.
    for_each_golden_case(
        |name| name.starts_with("cross_entropy-ignore-") || name.starts_with("cross_entropy-weight-mean"),
        |case| {
            let GoldenLoss::CrossEntropy(options) = &case.loss else { panic!("{}: {:?}", case.name, case.loss) };
            let want = reference::evaluate(options, &case.batch()).unwrap();
            let log_probs: Vec<f32> = (case.logits.chunks_exact(case.shape.classes as usize).zip(&want.lse))
                .flat_map(|(row, lse)| row.iter().map(move |&x| (f64::from(x) - lse) as f32))
                .collect();
            let options = Nll { reduction: options.reduction, ignore_index: options.ignore_index.clone() };
            let got: Evaluation =
                reference::evaluate(&options, &logloss::Batch { logits: (&log_probs).into(), ..case.batch() }).unwrap();
            let absolute = 25.0 * f64::from(f32::EPSILON) / 2.0;
            assert_close(&case.name, &got.losses, &want.losses, 0.0, absolute);
            assert_close(&case.name, &got.log_prob, &want.log_prob, 0.0, absolute);
            // Rounded log-probabilities of K <= 13 classes sum to 1 within 25 * 2^-24.
            assert_close(&case.name, &got.lse, &vec![0.0; got.lse.len()], 0.0, absolute);
        },
    );
}

#[test]
fn moving_the_class_axis_has_an_inverse() {
    // Element (n, c, d) of the shape (2, 3, 4) holds 100 n + 10 c + d.
    let input: Vec<i32> =
        (0..2).flat_map(|n| (0..3).flat_map(move |c| (0..4).map(move |d| 100 * n + 10 * c + d))).collect();
    let rows = class_axis_to_last(&[2, 3, 2, 2], &input);
    assert_eq!(rows[..6], [0, 10, 20, 1, 11, 21]);
    assert_eq!(rows[12..15], [100, 110, 120]);
    assert_eq!(crate::common::golden::class_axis_to_1(&[2, 3, 2, 2], &rows), input);
}

#[test]
fn comparison_has_the_tolerance_it_says() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let passes = |got: f64, want, relative, absolute| {
        std::panic::catch_unwind(|| assert_close("comparison", &[got], &[want], relative, absolute)).is_ok()
    };
    for (got, want) in [(nan, nan), (inf, inf), (-inf, -inf), (0.0, -0.0), (8.0, 8.25), (-8.0, -7.75), (0.125, 0.0)] {
        assert!(passes(got, want, 1.0 / 31.0, 0.125), "{got} is near {want}");
    }
    for (got, want) in [(nan, 0.0), (0.0, nan), (inf, -inf), (inf, 1e300), (1e300, inf), (8.0, 8.5), (0.126, 0.0)] {
        assert!(!passes(got, want, 1.0 / 31.0, 0.125), "{got} is far from {want}");
    }
}
