//! Empty regions, ignored positions, NaN and empty batches in the losses of regions.

use logloss::reference::{self, Evaluation, ReferenceLoss};
use logloss::{
    Activation, Batch, ClassBalance, Dice, DiceCrossEntropy, DiceFocal, Error, GeneralizedDice, Layout, Reduction,
    Targets, Tversky,
};

use crate::FEW_ROUNDINGS;
use crate::common::assert_close;

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;
const NONE: Reduction = Reduction::None;

/// Samples of two positions and three classes.
fn evaluate<'a>(loss: &dyn ReferenceLoss, logits: &'a [f32], targets: impl Into<Targets<'a>>) -> Evaluation {
    let layout = Layout::planes(logits.len() as u32 / 6, 3, 2).unwrap();
    reference::evaluate(loss, &Batch::new(layout, logits, targets)).unwrap()
}

fn dice(reduction: Reduction) -> Dice {
    Dice { reduction, ignore_index: vec![-1], ..Dice::default() }
}

fn every_loss(reduction: Reduction, activation: Activation) -> Vec<Box<dyn ReferenceLoss>> {
    let ignore_index = || vec![-1];
    let dice = || Dice { activation, ..dice(reduction) };
    let mut losses: Vec<Box<dyn ReferenceLoss>> = vec![
        Box::new(dice()),
        Box::new(GeneralizedDice { reduction, activation, ignore_index: ignore_index(), ..GeneralizedDice::default() }),
        Box::new(Tversky { reduction, activation, ignore_index: ignore_index(), ..Tversky::default() }),
    ];
    if matches!(reduction, Reduction::Mean | Reduction::Sum) {
        losses.push(Box::new(DiceCrossEntropy { dice: dice(), ..DiceCrossEntropy::default() }));
        losses.push(Box::new(DiceFocal { dice: dice(), ..DiceFocal::default() }));
    }
    losses
}

#[test]
fn an_empty_prediction_of_an_empty_truth_costs_nothing() {
    // Class 2 is neither predicted nor present; without smoothing it would be 0/0.
    let got = evaluate(&dice(NONE), &[0.0, 0.0, 0.0, 0.0, -INF, -INF], &[0, 1]);
    // tp = 1/2, fp = fn = 1/2: (1 + 1e-5) / (2 + 1e-5).
    let smooth = f64::from(1e-5_f32);
    let half = 1.0 / (2.0 + smooth);
    assert_close("losses", &got.losses, &[half, half, 0.0], FEW_ROUNDINGS, 0.0);
    assert_eq!((got.gradient[4], got.gradient[5], got.non_finite), (0.0, 0.0, 0));
    let unsmoothed = Dice { smooth_nr: 0.0, smooth_dr: 0.0, ..dice(NONE) };
    let got = evaluate(&unsmoothed, &[0.0, 0.0, 0.0, 0.0, -INF, -INF], &[0, 1]);
    assert_close("unsmoothed", &got.losses, &[0.5, 0.5, f64::NAN], FEW_ROUNDINGS, 0.0);
}

#[test]
fn a_confident_and_right_prediction_keeps_every_digit() {
    // miss = exp(-40) at either position: class 0 has fn = miss, class 1 fp = fn = 0 but for miss.
    let got = evaluate(&dice(NONE), &[40.0, 0.0, 0.0, 40.0, -INF, -INF], &[0, 1]);
    let miss = (-40_f64).exp();
    // fp and fn are miss, the denominator 2 + 1e-5.
    let want = 2.0 * miss / (2.0 + f64::from(1e-5_f32));
    assert_close("losses", &got.losses[..2], &[want, want], FEW_ROUNDINGS, 0.0);
    assert!(got.gradient[..4].iter().all(|g| *g != 0.0 && g.abs() < 4.0 * miss), "{:?}", got.gradient);
}

#[test]
fn ignored_positions_are_as_if_they_were_not_there() {
    // Whatever they hold. Two samples of four positions against the same without the ignored ones.
    let sample = |a: f32, x: [f32; 2], y: [f32; 2], z: [f32; 2]| vec![x[0], a, x[1], y[0], a, y[1], z[0], a, z[1]];
    let (x, y, z) = ([0.5, -1.0], [0.25, 2.0], [-0.5, 0.75]);
    let without = [x, y, z, y, z, x].concat();
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        for reduction in [NONE, Reduction::Sum, Reduction::Mean] {
            for loss in every_loss(reduction, activation) {
                let want = evaluate(loss.as_ref(), &without, &[0, 1, 2, 2]);
                for bad in [0.5, NAN, INF, -INF] {
                    let with = [sample(bad, x, y, z), sample(bad, y, z, x)].concat();
                    let batch = Batch::new(Layout::planes(2, 3, 3).unwrap(), &with, &[0, -1, 1, 2, -1, 2]);
                    let got = reference::evaluate(loss.as_ref(), &batch).unwrap();
                    assert_eq!((got.loss, &got.losses), (want.loss, &want.losses), "{loss:?}");
                    assert_eq!((got.ignored, got.first_ignored, got.non_finite), (2, Some(1), 0));
                    let (ignored, kept): (Vec<_>, Vec<_>) = (0..18).partition(|i| i % 3 == 1);
                    assert!(ignored.iter().all(|&i| got.gradient[i] == 0.0), "{loss:?}");
                    let kept: Vec<f64> = kept.iter().map(|&i| got.gradient[i]).collect();
                    assert_eq!(kept, want.gradient, "{loss:?}");
                }
            }
        }
    }
}

#[test]
fn class_indices_are_one_hot_targets() {
    let logits = [0.5, -1.0, 0.25, 2.0, -0.5, 0.75, 0.0, 1.0, -2.0, 0.25, 1.5, 0.5];
    // Elements (sample, class, position).
    let one_hot = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        for loss in every_loss(Reduction::Mean, activation) {
            let (got, want) =
                (evaluate(loss.as_ref(), &logits, &[0, 2, 1, 1]), evaluate(loss.as_ref(), &logits, &one_hot));
            assert_eq!(got, want, "{loss:?}");
        }
    }
    let batch = Batch::new(Layout::planes(1, 3, 2).unwrap(), &logits[..6], &[0, 3]);
    let want = Error::BadTarget { row: 1, value: 3, classes: 3, count: 1 };
    assert_eq!(reference::evaluate(&Dice::default(), &batch), Err(want));
}

#[test]
fn a_non_finite_position_spoils_its_regions() {
    // Two samples; the second is bad. A softmax spoils all its classes, a sigmoid one.
    let logits = [0.5, -1.0, 0.25, 2.0, -0.5, 0.75, 0.0, 1.0, NAN, 0.25, 1.5, 0.5];
    let nan = |values: &[f64]| values.iter().map(|value| value.is_nan()).collect::<Vec<_>>();
    for (activation, bad_regions, bad_logits) in [
        (Activation::Softmax, [false, false, false, true, true, true], vec![6, 7, 8, 9, 10, 11]),
        (Activation::Sigmoid, [false, false, false, false, true, false], vec![8, 9]),
    ] {
        let want: Vec<bool> = (0..12).map(|i| bad_logits.contains(&i)).collect();
        let loss = Dice { activation, ..dice(NONE) };
        let got = evaluate(&loss, &logits, &[0, 1, 2, 1]);
        assert_eq!((nan(&got.losses), nan(&got.gradient)), (bad_regions.to_vec(), want));
        assert_eq!((got.non_finite, got.first_non_finite), (1, Some(2)));
        // Regions of both samples are spoilt in both.
        let got = evaluate(&Dice { batch: true, ..loss }, &logits, &[0, 1, 2, 1]);
        assert_eq!(nan(&got.losses), bad_regions[3..]);
        for loss in every_loss(Reduction::Mean, activation) {
            let got = evaluate(loss.as_ref(), &logits, &[0, 1, 2, 1]);
            assert_eq!((got.loss.is_nan(), got.non_finite, got.first_non_finite), (true, 1, Some(2)), "{loss:?}");
        }
    }
    // So is a masked logit, whose own prediction is 0.
    let masked = [NAN, 0.25, 1.0, -INF, 0.5, 0.75];
    let got = evaluate(&Dice { batch: true, ..dice(NONE) }, &masked, &[0, 1]);
    assert!(got.gradient.iter().all(|g| g.is_nan()), "{:?}", got.gradient);
    // Infinite logits of sigmoids are certain.
    let sigmoid = Dice { activation: Activation::Sigmoid, ..dice(NONE) };
    let got = evaluate(&sigmoid, &[INF, -INF, -INF, INF, -INF, -INF], &[0, 1]);
    assert_eq!((got.losses, got.gradient, got.non_finite), (vec![0.0; 3], vec![0.0; 6], 0));
}

#[test]
fn background_belongs_to_no_region() {
    let logits = [0.5, -1.0, 0.25, 2.0, -0.5, 0.75];
    let whole = evaluate(&dice(NONE), &logits, &[0, 2]);
    let without = evaluate(&Dice { include_background: false, ..dice(NONE) }, &logits, &[0, 2]);
    assert_eq!((without.losses.clone(), without.weight_sum), (whole.losses[1..].to_vec(), 2.0));
    // The logit of the background still moves the other classes' softmax, but not their sigmoids, which may even be NaN.
    assert!(without.gradient[..2].iter().all(|g| *g != 0.0));
    let sigmoid = Dice { activation: Activation::Sigmoid, include_background: false, ..dice(NONE) };
    let got = evaluate(&sigmoid, &[NAN, NAN, 0.25, 2.0, -0.5, 0.75], &[0, 2]);
    assert_eq!((&got.gradient[..2], got.non_finite), (&[0.0; 2][..], 0));
    assert!(got.loss.is_finite());
    // Cross-entropy reads the background.
    let dice = Dice { reduction: Reduction::Mean, ..sigmoid };
    let got = evaluate(
        &DiceCrossEntropy { dice, ..DiceCrossEntropy::default() },
        &[NAN, NAN, 0.25, 2.0, -0.5, 0.75],
        &[0, 2],
    );
    assert_eq!((got.loss.is_nan(), got.non_finite), (true, 2));
    // A class weight of the first class of a region is that of its own class.
    let batch = Batch::new(Layout::planes(1, 3, 2).unwrap(), &logits, &[0, 2]);
    let weighted = Batch { class_weights: Some(&[9.0, 2.0, 0.0]), ..batch };
    let loss = Dice { include_background: false, ..Dice { reduction: NONE, ..Dice::default() } };
    let got = reference::evaluate(&loss, &weighted).unwrap();
    assert_eq!(got.losses, [whole.losses[1] * 2.0, 0.0]);
}

#[test]
fn weights_of_absent_classes() {
    // Logits of equal classes: p = 1/3. Sums of targets 2, 0, 0; without smoothing.
    let with = |balance, targets: [i32; 2], include_background| {
        let loss = GeneralizedDice {
            balance,
            include_background,
            smooth_nr: 0.0,
            smooth_dr: 0.0,
            ..GeneralizedDice::default()
        };
        evaluate(&loss, &[0.0; 6], &targets).loss
    };
    // tp = (2/3, 0, 0), mass = (8/3, 2/3, 2/3); equal weights cancel.
    for balance in [ClassBalance::Square, ClassBalance::Simple, ClassBalance::Uniform] {
        assert_close("one class", &[with(balance, [0, 0], true)], &[1.0 - (4.0 / 3.0) / 4.0], FEW_ROUNDINGS, 0.0);
        // No class is present but the background: weight 1 each, and no overlap.
        assert_close("no class", &[with(balance, [0, 0], false)], &[1.0], FEW_ROUNDINGS, 0.0);
    }
    // Sums 1, 1, 0: the absent class has the largest weight, 1.
    assert_close("two", &[with(ClassBalance::Square, [0, 1], true)], &[1.0 - (4.0 / 3.0) / 4.0], FEW_ROUNDINGS, 0.0);
}

#[test]
fn every_position_ignored() {
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        for (reduction, mean) in [(Reduction::Mean, f64::NAN), (Reduction::Sum, 0.0)] {
            for loss in every_loss(reduction, activation) {
                let got = evaluate(loss.as_ref(), &[0.5; 6], &[-1, -1]);
                // Regions are there all the same, and empty; the mean over no position is NaN.
                let of_regions = matches!(loss.definition().name, "dice" | "generalized_dice" | "tversky");
                let want = if of_regions { 0.0 } else { mean };
                assert_close(&format!("{loss:?}"), &[got.loss], &[want], 0.0, 0.0);
                assert_eq!((got.gradient, got.ignored), (vec![0.0; 6], 2), "{loss:?}");
            }
        }
    }
}

#[test]
fn empty_batches() {
    let with = |reduction, batch| {
        let empty = Batch::new(Layout::planes(0, 3, 4).unwrap(), &[0.0_f32; 0], &[0_i32; 0]);
        reference::evaluate(&Dice { batch, ..dice(reduction) }, &empty).unwrap()
    };
    for (reduction, want) in [
        (NONE, 0.0),
        (Reduction::Sum, 0.0),
        (Reduction::Mean, f64::NAN),
        (Reduction::MeanOrZero, 0.0),
        (Reduction::MeanOver(2.0), 0.0),
    ] {
        let got = with(reduction, false);
        assert_close(&format!("{reduction:?}"), &[got.loss], &[want], 0.0, 0.0);
        assert_eq!((got.losses, got.weight_sum), (vec![], 0.0));
        // A region of all samples is there even if they are none, and empty.
        let got = with(reduction, true);
        assert_eq!((got.loss, got.losses, got.weight_sum), (0.0, vec![0.0; 3], 3.0));
    }
    // Without a class but the background there is no region.
    let background = Batch::new(Layout::planes(2, 1, 1).unwrap(), &[0.5, 0.25], &[0, 0]);
    let got = reference::evaluate(&Dice { include_background: false, ..Dice::default() }, &background).unwrap();
    assert_eq!((got.loss.is_nan(), got.gradient), (true, vec![0.0; 2]));
}
