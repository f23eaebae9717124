//! Every gradient against finite differences of its loss, for every option.

use logloss::reference::{self, ReferenceLoss};
use logloss::{
    Activation, Batch, Bce, BceWithLogits, ClassBalance, CrossEntropy, Definition, Dice, DiceCrossEntropy, DiceFocal,
    Divergence, Domain, Focal, GeneralizedDice, Hinge, KlDiv, Layout, LogitDivergence, Mse, MultiMargin, Nll,
    Reduction, SigmoidFocal, SoftCrossEntropy, SquaredHinge, TargetKind, Targets, Tversky, Unit,
};

use crate::ROUNDING;
use crate::common::any_loss::assert_all;
use crate::common::assert_close;

type AnyLoss = Box<dyn logloss::AnyLoss>;

/// Two samples of two positions, three classes. Multiples of 1/4, so that `x + k * STEP` is a float32, and that
/// `margin - y * x` and `margin + x_c - x_t` are nowhere near 0 for a margin of 0.9 or -0.625.
const LOGITS: [f32; 12] = [0.25, -1.5, 0.75, 2.0, -0.5, 0.0, 1.75, 1.25, -2.0, -0.25, 0.75, -1.0];
const CLASSES: [i32; 4] = [0, 2, -1, 1];
const CLASS_WEIGHTS: [f32; 3] = [0.5, 2.0, 1.25];
const POS_WEIGHTS: [f32; 3] = [3.0, 0.75, 1.5];
const ROW_WEIGHTS: [f32; 4] = [1.5, 0.25, 2.0, 0.0];
const REDUCTIONS: [Reduction; 5] =
    [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(3.5)];
const STEP: f32 = 1.0 / 1024.0;

fn layout() -> Layout {
    Layout::planes(2, 3, 2).expect("a small shape")
}

/// Derivative of `loss` by logit `i`, from losses at `x - 2h`, `x - h`, `x + h` and `x + 2h`.
fn five_point_difference(loss: &dyn Fn(&[f32]) -> f64, logits: &[f32], i: usize, step: f32) -> f64 {
    let mut moved = logits.to_vec();
    let mut at = |steps: f32| {
        moved[i] = logits[i] + steps * step;
        loss(&moved)
    };
    (at(-2.0) - 8.0 * at(-1.0) + 8.0 * at(1.0) - at(2.0)) / (12.0 * f64::from(step))
}

/// Checks the gradient of one loss and batch; the batch's logits are `logits`.
///
/// The tolerance comes from the loss alone:
///
/// - Truncation of a five-point difference falls with `h^4`, so that it is a 15th of what it changes by between `2h` and `h`;
///   twice that, for the next term of the series.
/// - Rounding: 32 roundings of the loss, which the stencil multiplies by up to `18 / (12 h)`.
fn assert_derivative(loss: &dyn ReferenceLoss, batch: &Batch<'_>, logits: &[f32]) {
    let evaluate = |logits: &[f32]| reference::evaluate(loss, &Batch { logits: logits.into(), ..*batch }).unwrap();
    let at = evaluate(logits);
    let reduced = |logits: &[f32]| evaluate(logits).loss;
    let rounding = 32.0 * ROUNDING * at.loss.abs().max(1.0) * 1.5 / f64::from(STEP);
    for (i, gradient) in at.gradient.iter().enumerate() {
        let fine = five_point_difference(&reduced, logits, i, STEP);
        let coarse = five_point_difference(&reduced, logits, i, 2.0 * STEP);
        let tolerance = (fine - coarse).abs() * 2.0 / 15.0 + rounding;
        assert!(tolerance < 1e-7, "the difference is good for something: {loss:?} {i} {tolerance:e}");
        let weights = (batch.class_weights.is_some(), batch.pos_weights.is_some(), batch.row_weights.is_some());
        assert_close(&format!("{loss:?}, weights {weights:?}, logit {i}"), &[*gradient], &[fine], 0.0, tolerance);
    }
}

/// Without weights and with every kind that the loss takes.
fn assert_derivative_with_weights(loss: &dyn ReferenceLoss, logits: &[f32], targets: Targets<'_>) {
    let plain = Batch::new(layout(), logits, targets);
    assert_derivative(loss, &plain, logits);
    let weights = loss.definition().weights;
    let weighted = Batch {
        class_weights: weights.class.then_some(&CLASS_WEIGHTS[..]),
        pos_weights: weights.positive.then_some(&POS_WEIGHTS[..]),
        row_weights: weights.row.then_some(&ROW_WEIGHTS[..]),
        ..plain
    };
    if weighted != plain {
        assert_derivative(loss, &weighted, logits);
    }
}

/// Shape as the logits: `value(i)` for element `i` of 12.
fn dense(value: impl Fn(usize) -> f32) -> Vec<f32> {
    (0..LOGITS.len()).map(value).collect()
}

/// In [0, 1], with both ends, unnormalised.
fn soft() -> Vec<f32> {
    dense(|i| (i * 7 % 9) as f32 / 8.0)
}

/// The capped, tempered and z-lossed ways of a softmax: (temperature, z_loss, softcap).
const SCALES: [(f32, f32, Option<f32>); 5] =
    [(1.0, 0.0, None), (0.7, 0.0, None), (1.0, 0.125, None), (1.0, 0.0, Some(1.5)), (3.0, 0.125, Some(2.5))];

#[test]
fn rows_against_class_indices() {
    let mut losses: Vec<AnyLoss> = Vec::new();
    for reduction in REDUCTIONS {
        for ignore_index in [vec![-1], vec![-1, 2]] {
            let ignore_index = || ignore_index.clone();
            losses.push(Box::new(Nll { reduction, ignore_index: ignore_index() }));
            for (temperature, z_loss, softcap) in SCALES {
                for label_smoothing in [0.0, 0.1, 1.0] {
                    let ignore_index = ignore_index();
                    let loss = CrossEntropy { reduction, ignore_index, label_smoothing, temperature, z_loss, softcap };
                    losses.push(Box::new(loss));
                }
                for gamma in [0.0, 0.5, 1.0, 2.0, 3.5] {
                    let ignore_index = ignore_index();
                    losses.push(Box::new(Focal { reduction, ignore_index, gamma, temperature, z_loss, softcap }));
                }
            }
            for p in [1, 2] {
                losses.push(Box::new(MultiMargin { reduction, ignore_index: ignore_index(), margin: 0.9, p }));
            }
        }
    }
    assert_eq!(losses.len(), 5 * 2 * (1 + 5 * (3 + 5) + 2));
    assert_all(&losses, |definition| definition.targets == TargetKind::Classes);
    for loss in losses {
        assert_derivative_with_weights(loss.as_ref(), &LOGITS, (&CLASSES).into());
    }
}

/// Of single logits, with no softmax between them.
fn is_of_elements(definition: &Definition<'_>) -> bool {
    definition.unit == Unit::Element && definition.name != "kl_div"
}

#[test]
fn rows_against_values() {
    // (loss, targets)
    let mut cases: Vec<(AnyLoss, Vec<f32>)> = Vec::new();
    let logs = dense(|i| soft()[i] - 1.5);
    let logits = dense(|i| (i * 5 % 11) as f32 / 4.0 - 1.25);
    for (temperature, z_loss, softcap) in SCALES {
        for reduction in REDUCTIONS {
            for label_smoothing in [0.0, 0.1, 1.0] {
                let loss = SoftCrossEntropy { reduction, label_smoothing, temperature, z_loss, softcap };
                cases.push((Box::new(loss), soft()));
            }
            for divergence in [Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon] {
                let loss = LogitDivergence { reduction, divergence, temperature, z_loss, softcap };
                cases.push((Box::new(loss), logits.clone()));
            }
        }
        for reduction in REDUCTIONS.into_iter().chain([Reduction::BatchMean]) {
            for (log_target, targets) in [(false, soft()), (true, logs.clone())] {
                cases.push((Box::new(KlDiv { reduction, log_target, temperature, z_loss, softcap }), targets));
            }
        }
    }
    assert_eq!(cases.len(), 5 * (5 * 6 + 6 * 2));
    assert_all(cases.iter().map(|(loss, _)| loss), |definition| {
        definition.targets == TargetKind::Dense && !is_of_elements(definition)
    });
    for (loss, targets) in cases {
        assert_derivative_with_weights(loss.as_ref(), &LOGITS, (&targets).into());
    }
}

#[test]
fn elements() {
    let labels = dense(|i| if i * 7 % 5 < 2 { 1.0 } else { -1.0 });
    for reduction in REDUCTIONS {
        let mut losses: Vec<(AnyLoss, &[f32])> = Vec::new();
        let soft = soft();
        losses.push((Box::new(Bce { reduction }), &soft));
        losses.push((Box::new(BceWithLogits { reduction }), &soft));
        losses.push((Box::new(Mse { reduction }), &soft));
        for margin in [0.9, -0.625] {
            losses.push((Box::new(Hinge { reduction, margin }), &labels));
            losses.push((Box::new(SquaredHinge { reduction, margin }), &labels));
        }
        for gamma in [0.0, 0.5, 1.0, 2.0, 3.5] {
            for alpha in [None, Some(0.25)] {
                losses.push((Box::new(SigmoidFocal { reduction, gamma, alpha }), &soft));
            }
        }
        assert_all(losses.iter().map(|(loss, _)| loss), is_of_elements);
        let probabilities = dense(|i| 0.5 + LOGITS[i] / 8.0);
        for (loss, targets) in losses {
            let takes_any = loss.definition().domains.input == Domain::Any;
            let logits = if takes_any { &LOGITS } else { &probabilities[..] };
            assert_derivative_with_weights(loss.as_ref(), logits, targets.into());
        }
    }
}

#[test]
fn regions() {
    let mut losses: Vec<AnyLoss> = Vec::new();
    let flags = [false, true];
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        for (include_background, batch) in flags.into_iter().flat_map(|b| flags.map(|s| (b, s))) {
            for (smooth_nr, smooth_dr) in [(1e-5, 1e-5), (0.0, 0.25)] {
                for reduction in REDUCTIONS {
                    let ignore_index = || vec![-1];
                    for (squared_pred, jaccard) in flags.into_iter().flat_map(|q| flags.map(|j| (q, j))) {
                        let dice = Dice {
                            reduction,
                            ignore_index: ignore_index(),
                            activation,
                            include_background,
                            squared_pred,
                            jaccard,
                            batch,
                            smooth_nr,
                            smooth_dr,
                        };
                        if matches!(reduction, Reduction::Mean | Reduction::Sum) {
                            let dice = || dice.clone();
                            let (lambda_dice, lambda_cross_entropy, lambda_focal) = (0.75, 1.5, 2.5);
                            losses.push(Box::new(DiceCrossEntropy { dice: dice(), lambda_dice, lambda_cross_entropy }));
                            for gamma in [0.5, 2.0] {
                                losses.push(Box::new(DiceFocal { dice: dice(), gamma, lambda_dice, lambda_focal }));
                            }
                        }
                        losses.push(Box::new(dice));
                    }
                    for balance in [ClassBalance::Square, ClassBalance::Simple, ClassBalance::Uniform] {
                        losses.push(Box::new(GeneralizedDice {
                            reduction,
                            ignore_index: ignore_index(),
                            activation,
                            include_background,
                            balance,
                            batch,
                            smooth_nr,
                            smooth_dr,
                        }));
                    }
                    for (alpha, beta) in [(0.5, 0.5), (0.25, 1.5)] {
                        losses.push(Box::new(Tversky {
                            reduction,
                            ignore_index: ignore_index(),
                            activation,
                            include_background,
                            alpha,
                            beta,
                            batch,
                            smooth_nr,
                            smooth_dr,
                        }));
                    }
                }
            }
        }
    }
    assert_eq!(losses.len(), 2 * 4 * 2 * (5 * (4 + 3 + 2) + 2 * 4 * 3));
    assert_all(&losses, |definition| matches!(definition.unit, Unit::Region(_)));
    let soft = soft();
    for loss in losses {
        assert_eq!(loss.definition().targets, TargetKind::Either);
        for targets in [Targets::from(&CLASSES), Targets::from(&soft)] {
            assert_derivative_with_weights(loss.as_ref(), &LOGITS, targets);
        }
    }
}
