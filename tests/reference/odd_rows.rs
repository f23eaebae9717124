//! Infinities, NaN, ignored rows and empty batches in the losses of rows other than cross-entropy.

use logloss::reference::{self, Evaluation, ReferenceLoss};
use logloss::{
    Batch, CrossEntropy, Divergence, Focal, KlDiv, Layout, LogitDivergence, MultiMargin, Nll, Reduction, Shape,
    SoftCrossEntropy,
};

use crate::FEW_ROUNDINGS;
use crate::common::assert_close;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const SUM: Reduction = Reduction::Sum;

/// `targets.len()` rows against class indices.
fn classes(loss: &dyn ReferenceLoss, logits: &[f32], targets: &[i32]) -> Evaluation {
    let shape = Shape::new(targets.len() as u32, (logits.len() / targets.len()) as u32);
    reference::evaluate(loss, &Batch::new(shape, logits, targets)).unwrap()
}

/// Rows of three classes against one value a logit.
fn values(loss: &dyn ReferenceLoss, logits: &[f32], targets: &[f32]) -> Evaluation {
    reference::evaluate(loss, &Batch::new(Shape::new(logits.len() as u32 / 3, 3), logits, targets)).unwrap()
}

/// The losses against one value a logit, with targets that they take.
fn against_values(reduction: Reduction) -> Vec<Box<dyn ReferenceLoss>> {
    let divergence = |divergence| LogitDivergence { reduction, divergence, ..LogitDivergence::default() };
    vec![
        Box::new(SoftCrossEntropy { reduction, ..SoftCrossEntropy::default() }),
        Box::new(KlDiv { reduction, ..KlDiv::default() }),
        Box::new(divergence(Divergence::Kl)),
        Box::new(divergence(Divergence::ReverseKl)),
        Box::new(divergence(Divergence::JensenShannon)),
    ]
}

#[test]
fn non_finite_rows_are_nan_and_counted() {
    let targets = [0.25, 0.5, 0.25];
    for loss in against_values(Reduction::Mean) {
        let good = values(loss.as_ref(), &[1.0, 2.0, 3.0], &targets);
        for bad in [[INF, 0.0, 0.0], [0.0, NAN, 0.0], [-INF; 3], [NAN, INF, -INF]] {
            let got = values(loss.as_ref(), &[[1.0, 2.0, 3.0], bad].concat(), &targets.repeat(2));
            let name = format!("{loss:?}: {bad:?}");
            let units = good.losses.len();
            assert_eq!((got.non_finite, got.first_non_finite), (units as u32, Some(1)), "{name}");
            assert_eq!(got.losses[..units], good.losses, "{name}");
            assert_close(&name, &got.losses[units..], &vec![f64::NAN; units], 0.0, 0.0);
            assert_close(&name, &got.gradient[3..], &[f64::NAN; 3], 0.0, 0.0);
            assert!(got.loss.is_nan() && got.gradient[..3].iter().all(|g| g.is_finite()), "{name}");
        }
    }
    for loss in [&Focal::default() as &dyn ReferenceLoss, &MultiMargin::default()] {
        for bad in [[INF, 0.0, 0.0], [0.0, NAN, 0.0], [-INF; 3]] {
            let got = classes(loss, &[[1.0, 2.0, 3.0], bad].concat(), &[2, 1]);
            assert_eq!((got.non_finite, got.first_non_finite), (1, Some(1)));
            assert_eq!(got.rank, [0, u32::MAX]);
            assert_close("loss", &[got.losses[1], got.loss], &[f64::NAN; 2], 0.0, 0.0);
            assert_close("gradient", &got.gradient[3..], &[f64::NAN; 3], 0.0, 0.0);
        }
    }
}

#[test]
fn targets_without_a_softmax_make_a_row_non_finite() {
    for divergence in [Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon] {
        let loss = LogitDivergence { divergence, ..LogitDivergence::default() };
        for bad in [[INF, 0.0, 0.0], [0.0, NAN, 0.0], [-INF; 3]] {
            let got = values(&loss, &[0.0; 3], &bad);
            assert_eq!((got.loss.is_nan(), got.non_finite), (true, 1));
        }
    }
}

#[test]
fn a_class_with_target_0_contributes_nothing() {
    // PyTorch has 0 * -inf = NaN.
    let (logits, targets) = ([0.0, -INF, 0.0], [0.5, 0.0, 0.5]);
    let got = values(&SoftCrossEntropy::default(), &logits, &targets);
    assert_close("soft_cross_entropy", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
    assert_eq!(got.gradient, [0.0; 3]);
    let got = values(&KlDiv { reduction: Reduction::None, ..KlDiv::default() }, &logits, &targets);
    assert_eq!((got.losses, got.gradient), (vec![0.0; 3], vec![0.0; 3]));
    let log_target = KlDiv { log_target: true, reduction: Reduction::None, ..KlDiv::default() };
    let got = values(&log_target, &logits, &[0.0, -INF, -INF]);
    assert_close("log_target", &got.losses, &[2_f64.ln(), 0.0, 0.0], FEW_ROUNDINGS, 0.0);
    assert_close("log_target", &got.gradient, &[-0.5, 0.0, 0.5], FEW_ROUNDINGS, 0.0);
}

#[test]
fn a_class_without_probability_but_with_a_target_costs_infinity() {
    let (logits, targets) = ([0.0, -INF, 0.0], [0.25, 0.5, 0.25]);
    for loss in [&SoftCrossEntropy::default() as &dyn ReferenceLoss, &KlDiv { reduction: SUM, ..KlDiv::default() }] {
        let got = values(loss, &logits, &targets);
        assert_eq!((got.loss, got.non_finite), (f64::INFINITY, 0));
        assert_close("gradient", &got.gradient, &[0.25, -0.5, 0.25], FEW_ROUNDINGS, 0.0);
    }
    // Unless its weight is 0, or the row's.
    let batch = Batch::new(Shape::new(1, 3), &logits, &targets);
    for batch in
        [Batch { class_weights: Some(&[1.0, 0.0, 1.0]), ..batch }, Batch { row_weights: Some(&[0.0]), ..batch }]
    {
        let got = reference::evaluate(&SoftCrossEntropy::default(), &batch).unwrap();
        assert!(got.loss.is_finite() && got.gradient.iter().all(|g| g.is_finite()));
    }
    // Smoothing gives every class a target.
    let smooth = SoftCrossEntropy { label_smoothing: 0.5, ..SoftCrossEntropy::default() };
    assert_eq!(values(&smooth, &logits, &[1.0, 0.0, 0.0]).loss, f64::INFINITY);
}

#[test]
fn focal_of_a_certain_row_is_0_and_so_is_its_gradient() {
    // exp(-800) is 0 in float64: the probability is 1.
    for gamma in [0.0, 0.5, 1.0, 2.0] {
        let loss = Focal { gamma, reduction: SUM, ..Focal::default() };
        for logits in [[800.0, 0.0], [0.0, -INF]] {
            let got = classes(&loss, &logits, &[0]);
            assert_eq!((got.loss, got.gradient), (0.0, vec![0.0; 2]), "gamma {gamma}");
        }
        // A row that is certainly wrong is cross-entropy, for every gamma.
        let got = classes(&loss, &[0.0, 800.0], &[0]);
        assert_eq!((got.loss, got.gradient), (800.0, vec![-1.0, 1.0]), "gamma {gamma}");
        let got = classes(&loss, &[-INF, 0.0], &[0]);
        assert_eq!((got.loss, got.gradient), (f64::INFINITY, vec![-1.0, 1.0]), "gamma {gamma}");
    }
    // A confident row: (1 - p)^gamma * -log p is miss^(gamma + 1) up to a factor of 1 + miss/2.
    let got = classes(&Focal { gamma: 0.5, reduction: SUM, ..Focal::default() }, &[40.0, 0.0], &[0]);
    let miss = (-40_f64).exp();
    assert_close("loss", &[got.loss], &[miss.powf(1.5)], 2.0 * FEW_ROUNDINGS, 0.0);
    assert_close("gradient", &got.gradient, &[-1.5 * miss.powf(1.5), 1.5 * miss.powf(1.5)], 2.0 * FEW_ROUNDINGS, 0.0);
}

#[test]
fn focal_takes_weights_as_cross_entropy_does() {
    // An infinite loss of weight 0 is 0; ignored rows are 0, whatever they hold.
    let loss = Focal { ignore_index: vec![-1], ..Focal::default() };
    let logits = [-INF, 0.0, 0.0, 0.0, NAN, 0.0];
    let batch = Batch::new(Shape::new(3, 2), &logits, &[0, 0, -1]);
    let got = reference::evaluate(&loss, &Batch { row_weights: Some(&[0.0, 2.0, 5.0]), ..batch }).unwrap();
    assert_close("loss", &[got.loss], &[2_f64.ln() / 4.0], FEW_ROUNDINGS, 0.0);
    assert_eq!((got.weight_sum, got.ignored, got.first_ignored, got.non_finite), (2.0, 1, Some(2), 0));
    assert_eq!((&got.gradient[..2], &got.gradient[4..]), (&[0.0; 2][..], &[0.0; 2][..]));
}

#[test]
fn multi_margin_by_hand() {
    // Margin 1: violations 1.5 and 0.25 in the first row, none in the second; a corner, which has gradient 0, in the third.
    let logits = [0.0, 0.5, -0.75, 3.0, 1.0, 0.0, 1.0, 0.0, -1.0];
    let loss = MultiMargin { reduction: Reduction::None, ..MultiMargin::default() };
    let got = classes(&loss, &logits, &[0, 0, 0]);
    assert_close("p = 1", &got.losses, &[1.75 / 3.0, 0.0, 0.0], FEW_ROUNDINGS, 0.0);
    let third = 1.0 / 3.0;
    let want = [-2.0 * third, third, third, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_close("p = 1", &got.gradient, &want, FEW_ROUNDINGS, 0.0);
    let got = classes(&MultiMargin { p: 2, ..loss.clone() }, &logits, &[0, 0, 0]);
    assert_close("p = 2", &got.losses, &[(2.25 + 0.0625) / 3.0, 0.0, 0.0], FEW_ROUNDINGS, 0.0);

    // The mean divides by the weights of rows, not of classes.
    let mean = MultiMargin { reduction: Reduction::Mean, ..loss.clone() };
    let batch = Batch::new(Shape::new(3, 3), &logits, &[0, 0, 0]);
    let weighted = Batch { class_weights: Some(&[2.0, 1.0, 1.0]), row_weights: Some(&[1.0, 0.5, 0.5]), ..batch };
    let got = reference::evaluate(&mean, &weighted).unwrap();
    assert_eq!(got.weight_sum, 2.0);
    assert_close("mean", &[got.loss], &[1.75 / 3.0], FEW_ROUNDINGS, 0.0);

    // -inf beside the target violates nothing; at the target, everything.
    let got = classes(&loss, &[0.0, -INF, -3.0], &[0]);
    assert_eq!((got.losses[0], got.gradient, got.non_finite), (0.0, vec![0.0; 3], 0));
    let got = classes(&loss, &[-INF, 0.0, 0.0], &[0]);
    assert_eq!((got.losses[0], got.non_finite), (f64::INFINITY, 0));
    assert_close("-inf", &got.gradient, &[-2.0 * third, third, third], FEW_ROUNDINGS, 0.0);
    // One class has nothing beside it.
    assert_eq!(classes(&loss, &[3.0], &[0]).losses, [0.0]);
}

#[test]
fn a_soft_cap_makes_infinities_finite() {
    // tanh is 1 at +inf, and its slope 0.
    let loss = CrossEntropy { softcap: Some(2.0), reduction: SUM, ..CrossEntropy::default() };
    let got = classes(&loss, &[INF, 0.0, -INF], &[1]);
    let want = (2_f64.exp() + 1.0 + (-2_f64).exp()).ln();
    assert_close("loss", &[got.loss], &[want], FEW_ROUNDINGS, 0.0);
    assert_eq!((got.non_finite, got.gradient[0], got.gradient[2]), (0, 0.0, 0.0));
    assert_close("gradient", &[got.gradient[1]], &[(-want).exp() - 1.0], FEW_ROUNDINGS, 0.0);
    assert_eq!(classes(&loss, &[NAN, 0.0], &[1]).non_finite, 1);
    // A cap far above the logits is no cap: tanh(u) = u - u^3 / 3, and u < 1e-9.
    let wide = CrossEntropy { softcap: Some(1e9), ..loss };
    let none = CrossEntropy { softcap: None, ..wide.clone() };
    let logits = [0.5, -0.25, 0.75];
    let (got, want) = (classes(&wide, &logits, &[0]), classes(&none, &logits, &[0]));
    assert_close("loss", &[got.loss], &[want.loss], FEW_ROUNDINGS, 0.0);
    assert_close("gradient", &got.gradient, &want.gradient, FEW_ROUNDINGS, 0.0);
}

#[test]
fn empty_batches() {
    let reductions = [(Reduction::None, 0.0), (SUM, 0.0), (Reduction::Mean, f64::NAN), (Reduction::MeanOrZero, 0.0)];
    for (reduction, want) in reductions.into_iter().chain([(Reduction::MeanOver(2.0), 0.0)]) {
        for loss in against_values(reduction) {
            let got = values(loss.as_ref(), &[], &[]);
            assert_close(&format!("{loss:?}"), &[got.loss], &[want], 0.0, 0.0);
            assert_eq!((got.losses, got.gradient, got.weight_sum), (vec![], vec![], 0.0));
        }
        let empty = Batch::new(Shape::new(0, 3), &[0.0_f32; 0], &[0_i32; 0]);
        for loss in [
            &Focal { reduction, ..Focal::default() } as &dyn ReferenceLoss,
            &MultiMargin { reduction, ..MultiMargin::default() },
        ] {
            assert_close("empty", &[reference::evaluate(loss, &empty).unwrap().loss], &[want], 0.0, 0.0);
        }
    }
    let batch_mean = KlDiv { reduction: Reduction::BatchMean, ..KlDiv::default() };
    assert!(values(&batch_mean, &[], &[]).loss.is_nan());
    // Samples without positions.
    let empty = Batch::new(Layout::planes(2, 3, 0).unwrap(), &[0.0_f32; 0], &[0.0_f32; 0]);
    assert_eq!(reference::evaluate(&batch_mean, &empty).unwrap().loss, 0.0);
}

#[test]
fn nan_stands_where_minus_infinity_does() {
    let rows = [[NAN, -INF, 1.0], [-INF, NAN, 1.0], [NAN, -INF, -INF], [1.0, NAN, -INF]];
    let got = classes(&Nll::default(), &rows.concat(), &[1, 0, 1, 2]);
    assert_eq!((got.rank, got.argmax), (vec![2, 1, 1, 2], vec![2, 2, 0, 0]));
}
