//! Every golden case of PyTorch.

use logloss::Nll;
use logloss::reference::{self, Evaluation};

use crate::ROUNDING;
use crate::common::assert_close;
use crate::common::golden::{Arrangement, GoldenCase, GoldenLoss, class_axis_to_last, for_each_golden_case};

#[test]
fn every_case_in_every_arrangement() {
    let mut worst: f64 = 0.0;
    let count = for_each_golden_case(
        |_| true,
        |case| {
            for arrangement in case.arrangements() {
                worst = worst.max(assert_matches(case, *arrangement));
            }
        },
    );
    assert_eq!(count, 162);
    println!("largest error: {worst:.3} times the tolerance");
}

/// Compares loss and gradient with PyTorch's. Returns the largest error in units of the tolerance.
fn assert_matches(case: &GoldenCase, arrangement: Arrangement) -> f64 {
    let arranged = case.arranged(arrangement);
    let mut losses = vec![0.0; arranged.want_loss.len()];
    let mut gradient = vec![0.0; arranged.want_gradient.len()];
    for (weight, loss) in &case.exact {
        let got = reference::evaluate(loss.any(), &arranged.batch()).unwrap();
        let add = |sum: &mut [f64], values: &[f64]| {
            assert_eq!(sum.len(), values.len(), "{}", case.name);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        };
        add(&mut losses, &case.comparable(got.loss, &got.losses));
        add(&mut gradient, &got.gradient);
    }

    // PyTorch's log(sum of exp) has an absolute error: the sum is 1 or more, and rounds to a multiple of the rounding.
    let relative = tolerance(case);
    let name = format!("{} in {arrangement:?}", case.name);
    let loss = assert_close(&format!("{name}: loss"), &losses, &arranged.want_loss, relative, relative);
    let absolute = gradient_absolute(&arranged.want_gradient);
    loss.max(assert_close(&format!("{name}: gradient"), &gradient, &arranged.want_gradient, relative, absolute))
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
