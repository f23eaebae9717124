//! Losses that are one another's special cases.

use logloss::reference::{self, Evaluation, ReferenceLoss};
use logloss::{
    Activation, Batch, BceWithLogits, ClassBalance, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Divergence, Focal,
    GeneralizedDice, Hinge, KlDiv, Layout, LogitDivergence, Logits, Mse, Reduction, Shape, SigmoidFocal,
    SoftCrossEntropy, SquaredHinge, Targets, Tversky, half,
};

use crate::common::assert_close;
use crate::common::random::Random;
use crate::{FEW_ROUNDINGS, ROUNDING};

const SHAPE: Shape = Shape::new(6, 5);
const CLASSES: [i32; 6] = [0, 4, 2, 3, 1, 4];
const CLASS_WEIGHTS: [f32; 5] = [1.0, 0.5, 0.25, 2.0, 1.25];

/// Multiples of 1/16 in [-8, 8), so that `x + 1e6` is a float32.
fn logits(seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..SHAPE.elements()).map(|_| random.below(256) as f32 / 16.0 - 8.0).collect()
}

/// In [0, 1], shape as the logits.
fn soft() -> Vec<f32> {
    let mut random = Random(7);
    (0..SHAPE.elements()).map(|_| random.uniform(0.0, 1.0)).collect()
}

fn one_hot() -> Vec<f32> {
    CLASSES.iter().flat_map(|&t| (0..5).map(move |c| f32::from(u8::from(c == t)))).collect()
}

fn evaluate<'a>(loss: &dyn ReferenceLoss, logits: &'a [f32], targets: impl Into<Targets<'a>>) -> Evaluation {
    reference::evaluate(loss, &Batch::new(SHAPE, logits, targets)).unwrap()
}

#[track_caller]
fn assert_same(name: &str, got: &Evaluation, want: &Evaluation, roundings: f64) {
    assert_close(&format!("{name}: loss"), &[got.loss], &[want.loss], roundings * ROUNDING, 0.0);
    assert_close(&format!("{name}: losses"), &got.losses, &want.losses, roundings * ROUNDING, 0.0);
    let absolute = roundings * ROUNDING * want.gradient.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
    assert_close(&format!("{name}: gradient"), &got.gradient, &want.gradient, roundings * ROUNDING, absolute);
}

#[test]
fn a_shift_of_all_logits_changes_no_bit() {
    // float32 logits and their differences are exact in float64, whatever the temperature is.
    let dice = || Dice { batch: true, ..Dice::default() };
    let temperature = 0.7;
    let losses: Vec<Box<dyn ReferenceLoss>> = vec![
        Box::new(CrossEntropy { label_smoothing: 0.1, temperature, ..CrossEntropy::default() }),
        Box::new(Focal { temperature, ..Focal::default() }),
        Box::new(SoftCrossEntropy { label_smoothing: 0.1, temperature, ..SoftCrossEntropy::default() }),
        Box::new(KlDiv { temperature, ..KlDiv::default() }),
        Box::new(LogitDivergence { temperature, ..LogitDivergence::default() }),
        Box::new(LogitDivergence { divergence: Divergence::ReverseKl, temperature, ..LogitDivergence::default() }),
        Box::new(LogitDivergence { divergence: Divergence::JensenShannon, temperature, ..LogitDivergence::default() }),
        Box::new(dice()),
        Box::new(GeneralizedDice { batch: true, ..GeneralizedDice::default() }),
        Box::new(Tversky { batch: true, ..Tversky::default() }),
        Box::new(DiceCrossEntropy { dice: dice(), ..DiceCrossEntropy::default() }),
        Box::new(DiceFocal { dice: dice(), ..DiceFocal::default() }),
    ];
    let (base, soft) = (logits(1), soft());
    for loss in losses {
        let targets = match loss.definition().targets {
            logloss::TargetKind::Dense => Targets::from(&soft),
            _ => Targets::from(&CLASSES),
        };
        let want = evaluate(loss.as_ref(), &base, targets);
        for offset in [-1e6_f32, -100.0, 0.5, 1e4, 1e6] {
            let shifted: Vec<f32> = base.iter().map(|x| x + offset).collect();
            assert!(shifted.iter().zip(&base).all(|(s, x)| s - offset == *x), "the shift by {offset} is exact");
            assert_same(&format!("{loss:?} at {offset}"), &evaluate(loss.as_ref(), &shifted, targets), &want, 0.0);
        }
    }
}

#[test]
fn bce_with_logits_is_cross_entropy_of_two_classes() {
    // Of the logits (x, 0): class 0 is the positive.
    let (x, labels) = (logits(2), soft().into_iter().map(f32::round).collect::<Vec<_>>());
    let pairs: Vec<f32> = x.iter().flat_map(|&x| [x, 0.0]).collect();
    let classes: Vec<i32> = labels.iter().map(|&t| i32::from(t == 0.0)).collect();
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean] {
        let got = evaluate(&BceWithLogits { reduction }, &x, &labels);
        let loss = CrossEntropy { reduction, ..CrossEntropy::default() };
        let want = reference::evaluate(&loss, &Batch::new(Shape::new(30, 2), &pairs, &classes)).unwrap();
        let gradient: Vec<f64> = want.gradient.iter().step_by(2).copied().collect();
        assert_close("loss", &[got.loss], &[want.loss], FEW_ROUNDINGS, 0.0);
        assert_close("losses", &got.losses, &want.losses, FEW_ROUNDINGS, 0.0);
        assert_close("gradient", &got.gradient, &gradient, FEW_ROUNDINGS, 0.0);
    }
}

#[test]
fn a_positive_weight_is_that_of_a_repeated_positive() {
    // t = 1 everywhere: q times the loss. t = 0 everywhere: no effect.
    let x = logits(3);
    let q = [3.0, 0.5, 0.0, 1.0, 2.0];
    for (t, factor) in [(1.0, q), (0.0, [1.0; 5])] {
        let targets = [t; 30];
        let plain = Batch::new(SHAPE, &x, &targets);
        let loss = BceWithLogits { reduction: Reduction::None };
        let got = reference::evaluate(&loss, &Batch { pos_weights: Some(&q), ..plain }).unwrap();
        let want = reference::evaluate(&loss, &Batch { class_weights: Some(&factor), ..plain }).unwrap();
        assert_same(&format!("target {t}"), &got, &want, 0.0);
    }
}

#[test]
fn focal_with_gamma_0_is_cross_entropy() {
    let (x, soft) = (logits(4), soft());
    let (temperature, z_loss, softcap) = (0.7, 0.1, Some(5.0));
    for class_weights in [None, Some(&CLASS_WEIGHTS[..])] {
        let batch = Batch { class_weights, ..Batch::new(SHAPE, &x, &CLASSES) };
        let focal = Focal { gamma: 0.0, temperature, z_loss, softcap, ..Focal::default() };
        let cross_entropy = CrossEntropy { temperature, z_loss, softcap, ..CrossEntropy::default() };
        let got = reference::evaluate(&focal, &batch).unwrap();
        let want = reference::evaluate(&cross_entropy, &batch).unwrap();
        assert_eq!(got, want);
    }
    let sigmoid = SigmoidFocal { gamma: 0.0, ..SigmoidFocal::default() };
    assert_same("sigmoid", &evaluate(&sigmoid, &x, &soft), &evaluate(&BceWithLogits::default(), &x, &soft), 0.0);
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        let dice = || Dice { activation, batch: true, ..Dice::default() };
        let got = evaluate(&DiceFocal { dice: dice(), gamma: 0.0, ..DiceFocal::default() }, &x, &soft);
        let want = evaluate(&DiceCrossEntropy { dice: dice(), ..DiceCrossEntropy::default() }, &x, &soft);
        assert_same(&format!("{activation:?}"), &got, &want, 0.0);
    }
}

#[test]
fn soft_cross_entropy_of_a_one_hot_target_is_cross_entropy() {
    let (x, one_hot) = (logits(5), one_hot());
    for label_smoothing in [0.0, 0.25] {
        for class_weights in [None, Some(&CLASS_WEIGHTS[..])] {
            let batch = Batch { class_weights, ..Batch::new(SHAPE, &x, &CLASSES) };
            let hard = CrossEntropy { reduction: Reduction::None, label_smoothing, ..CrossEntropy::default() };
            let soft = SoftCrossEntropy { reduction: Reduction::None, label_smoothing, ..SoftCrossEntropy::default() };
            let want = reference::evaluate(&hard, &batch).unwrap();
            let got = reference::evaluate(&soft, &Batch { targets: (&one_hot).into(), ..batch }).unwrap();
            assert_same(&format!("smoothing {label_smoothing}"), &got, &want, 16.0);
            assert_eq!(got.weight_sum, 6.0, "the number of rows");
        }
    }
}

#[test]
fn kl_div_is_soft_cross_entropy_less_entropy() {
    // Of unnormalised targets too; the terms of either side are below 8.
    let (x, targets) = (logits(6), soft());
    let entropy: f64 = targets.iter().map(|&t| -f64::from(t) * f64::from(t).ln()).sum::<f64>() / 6.0;
    let kl = evaluate(&KlDiv { reduction: Reduction::BatchMean, ..KlDiv::default() }, &x, &targets);
    let cross_entropy = evaluate(&SoftCrossEntropy::default(), &x, &targets);
    assert_close("loss", &[kl.loss], &[cross_entropy.loss - entropy], FEW_ROUNDINGS, 0.0);
    assert_close("gradient", &kl.gradient, &cross_entropy.gradient, FEW_ROUNDINGS, ROUNDING);
    // The mean divides by the number of logits instead.
    let mean = evaluate(&KlDiv::default(), &x, &targets);
    assert_close("mean", &[mean.loss * 5.0], &[kl.loss], FEW_ROUNDINGS, 0.0);
    assert_eq!((mean.weight_sum, mean.losses.len()), (30.0, 30));
    // Of log-targets: float32 logarithms are off by 2^-25 of at most 17.
    let logs: Vec<f32> = targets.iter().map(|t| f64::from(*t).ln() as f32).collect();
    let kl_of_logs = evaluate(&KlDiv { log_target: true, ..KlDiv::default() }, &x, &logs);
    assert_close("log_target", &kl_of_logs.losses, &mean.losses, 0.0, 17.0 * f64::from(f32::EPSILON));
}

#[test]
fn batch_mean_divides_by_the_samples() {
    // Two samples of three positions.
    let (x, targets) = (logits(8), soft());
    let layout = Layout::planes(2, 5, 3).unwrap();
    let with = |reduction| {
        let loss = KlDiv { reduction, ..KlDiv::default() };
        reference::evaluate(&loss, &Batch::new(layout, &x, &targets)).unwrap()
    };
    let (sum, mean) = (with(Reduction::Sum), with(Reduction::BatchMean));
    assert_eq!(mean.loss, sum.loss / 2.0);
    assert!(mean.gradient.iter().zip(&sum.gradient).all(|(mean, sum)| *mean == sum / 2.0));
}

#[test]
fn squared_losses_are_squares() {
    let (x, labels) = (logits(9), soft().iter().map(|t| t.round() * 2.0 - 1.0).collect::<Vec<_>>());
    let hinge = evaluate(&Hinge { reduction: Reduction::None, margin: 1.0 }, &x, &labels);
    let squared = evaluate(&SquaredHinge { reduction: Reduction::None, margin: 1.0 }, &x, &labels);
    let mse = evaluate(&Mse { reduction: Reduction::None }, &x, &labels);
    for i in 0..x.len() {
        // (1 - y x)^2 = (y - x)^2 for y = -1 or +1.
        let (x, y) = (f64::from(x[i]), f64::from(labels[i]));
        let want = if y * x < 1.0 { (mse.losses[i], mse.gradient[i]) } else { (0.0, 0.0) };
        assert_eq!((squared.losses[i], squared.gradient[i]), want);
        assert_eq!(hinge.losses[i], want.0.sqrt());
    }
}

#[test]
fn tversky_with_halves_is_dice() {
    let (x, soft) = (logits(10), soft());
    let layout = Layout::planes(2, 5, 3).unwrap();
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        let (smooth_nr, smooth_dr, reduction) = (0.25, 0.5, Reduction::None);
        let dice = Dice { smooth_nr, smooth_dr, activation, reduction, ..Dice::default() };
        let (smooth_nr, smooth_dr) = (smooth_nr / 2.0, smooth_dr / 2.0);
        let tversky = Tversky { smooth_nr, smooth_dr, activation, reduction, ..Tversky::default() };
        // With alpha = beta = 1 it is the Jaccard index, whose numerator and denominator MONAI doubles.
        let jaccard = Dice { jaccard: true, ..dice.clone() };
        let unit = Tversky { alpha: 1.0, beta: 1.0, ..tversky.clone() };
        for targets in [Targets::from(&CLASSES), Targets::from(&soft)] {
            let evaluate = |loss: &dyn ReferenceLoss| {
                reference::evaluate(loss, &Batch::new(layout, &x, targets)).expect("a valid batch")
            };
            assert_same(&format!("{activation:?} dice"), &evaluate(&tversky), &evaluate(&dice), 16.0);
            assert_same(&format!("{activation:?} jaccard"), &evaluate(&unit), &evaluate(&jaccard), 16.0);
        }
    }
}

#[test]
fn uniform_generalized_dice_of_one_class_is_dice() {
    let (x, soft) = (logits(11), soft());
    for (layout, samples) in [(Layout::planes(2, 1, 15).unwrap(), 2), (Layout::planes(5, 1, 6).unwrap(), 5)] {
        let batch = Batch::new(layout, &x, &soft);
        for balance in [ClassBalance::Uniform, ClassBalance::Simple, ClassBalance::Square] {
            // Without smoothing, one class's weight cancels.
            let (activation, smooth_nr, smooth_dr) = (Activation::Sigmoid, 0.0, 0.0);
            let loss = GeneralizedDice { activation, balance, smooth_nr, smooth_dr, ..GeneralizedDice::default() };
            let got = reference::evaluate(&loss, &batch).unwrap();
            let loss = Dice { activation, smooth_nr, smooth_dr, ..Dice::default() };
            assert_same(&format!("{balance:?}"), &got, &reference::evaluate(&loss, &batch).unwrap(), 16.0);
            assert_eq!(got.losses.len(), samples);
        }
    }
}

#[test]
fn a_region_knows_no_order_of_positions_and_no_gaps() {
    // Regions of all samples are the same with the class axis last, with gaps that hold NaN, and in 16 bits.
    let x = logits(12);
    let soft: Vec<f32> = soft().iter().map(|t| (t * 8.0).round() / 8.0).collect();
    let loss = Dice { batch: true, squared_pred: true, reduction: Reduction::None, ..Dice::default() };
    let want = reference::evaluate(&loss, &Batch::new(SHAPE, &x, &soft)).unwrap();

    let strided = Layout::strided(SHAPE, 7).unwrap();
    let gaps: Vec<f32> = x.chunks_exact(5).flat_map(|row| [row, &[f32::NAN; 2]].concat()).collect();
    // The last gap may be there or not.
    for length in [strided.span() as usize, gaps.len()] {
        let got = reference::evaluate(&loss, &Batch::new(strided, &gaps[..length], &soft)).unwrap();
        assert_eq!((got.losses.clone(), got.gradient.len()), (want.losses.clone(), length));
        for (row, chunk) in got.gradient.chunks(7).enumerate() {
            assert_eq!(chunk[..5], want.gradient[row * 5..][..5]);
            assert!(chunk[5..].iter().all(|g| *g == 0.0), "gaps are 0");
        }
    }

    let bf16: Vec<half::bf16> = x.iter().map(|x| half::bf16::from_f32(*x)).collect();
    assert!(bf16.iter().zip(&x).all(|(b, x)| b.to_f32() == *x), "8 bits suffice");
    let got = reference::evaluate(&loss, &Batch::new(SHAPE, Logits::from(&bf16), &soft)).unwrap();
    assert_eq!(got, want);
}

#[test]
fn reductions_of_elements_and_regions_are_the_sum_over_a_denominator() {
    let (x, soft) = (logits(13), soft());
    let layout = Layout::planes(2, 5, 3).unwrap();
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(3.5)]
    {
        let losses: [(Box<dyn ReferenceLoss>, f64); 4] = [
            (Box::new(SoftCrossEntropy { reduction, ..SoftCrossEntropy::default() }), 6.0),
            (Box::new(BceWithLogits { reduction }), 30.0),
            (Box::new(Dice { reduction, include_background: false, ..Dice::default() }), 8.0),
            (Box::new(GeneralizedDice { reduction, ..GeneralizedDice::default() }), 2.0),
        ];
        for (loss, units) in losses {
            let got = reference::evaluate(loss.as_ref(), &Batch::new(layout, &x, &soft)).unwrap();
            let denominator = match reduction {
                Reduction::Mean | Reduction::MeanOrZero => units,
                Reduction::MeanOver(denominator) => denominator.into(),
                _ => 1.0,
            };
            assert_eq!((got.losses.len() as f64, got.weight_sum), (units, units), "{loss:?}");
            assert_close("loss", &[got.loss * denominator], &[got.losses.iter().sum()], FEW_ROUNDINGS, 0.0);
            assert_eq!(loss.definition().denominator(&layout), Some(denominator), "{loss:?}");
        }
    }
}
