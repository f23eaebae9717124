//! Losses that must agree with one another, on the GPU.

use logloss::{
    Activation, AnyLoss, Batch, BceWithLogits, CrossEntropy, Dice, Divergence, Evaluation, Focal, Gradient, KlDiv,
    LogitDivergence, MultiMargin, Reduction, Request, Shape, SoftCrossEntropy, Tversky,
};

use crate::case::close;
use crate::common::random::Random;
use crate::stored::planes;

const GRADIENT: Request = Request { gradient: Gradient::Separate, ..Request::FORWARD };
const ROWS: u32 = 24;
const CLASSES: u32 = 11;

fn evaluate(loss: &dyn AnyLoss, batch: &Batch<'_>) -> Evaluation {
    crate::gpu().evaluate(loss, GRADIENT, batch).unwrap_or_else(|e| panic!("{loss:?}: {e}"))
}

/// Multiples of 1/16, which float32 holds at an offset of 1e6 too.
fn logits(seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..ROWS * CLASSES).map(|_| random.below(128) as f32 / 16.0 - 4.0).collect()
}

fn distributions() -> Vec<f32> {
    let mut random = Random(7);
    let mut all = Vec::new();
    for _ in 0..ROWS {
        let row: Vec<f32> = (0..CLASSES).map(|_| random.uniform(0.0, 1.0)).collect();
        let sum: f32 = row.iter().sum();
        all.extend(row.iter().map(|t| t / sum));
    }
    all
}

fn indices() -> Vec<i32> {
    (0..ROWS).map(|row| (5 * row % CLASSES) as i32).collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

#[track_caller]
fn agree(name: &str, got: &Evaluation, want: &Evaluation) {
    close(&format!("{name} losses"), &got.losses, &widened(&want.losses));
    close(&format!("{name} gradient"), &got.gradient, &widened(&want.gradient));
}

#[test]
fn a_shift_of_all_logits_changes_no_bit() {
    let shape = Shape::new(ROWS, CLASSES);
    let (dense, classes, teacher) = (distributions(), indices(), logits(3));
    let reduction = Reduction::Sum;
    let labelled: [Box<dyn AnyLoss>; 4] = [
        Box::new(CrossEntropy { reduction, label_smoothing: 0.1, ..Default::default() }),
        Box::new(CrossEntropy { reduction, temperature: 0.5, ..Default::default() }),
        Box::new(Focal { reduction, ..Default::default() }),
        Box::new(MultiMargin { reduction, ..Default::default() }),
    ];
    let soft: [Box<dyn AnyLoss>; 2] = [
        Box::new(SoftCrossEntropy { reduction, label_smoothing: 0.1, ..Default::default() }),
        Box::new(KlDiv { reduction, ..Default::default() }),
    ];
    let divergences = [Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon];
    let logits = logits(1);
    for offset in [1e4, 1e6, -1e6] {
        let shifted: Vec<f32> = logits.iter().map(|x| x + offset).collect();
        let same = |loss: &dyn AnyLoss, here: &Batch<'_>, there: &Batch<'_>| {
            let (here, there) = (evaluate(loss, here), evaluate(loss, there));
            assert_eq!(here.losses, there.losses, "{loss:?} at {offset}");
            assert_eq!(here.gradient, there.gradient, "{loss:?} at {offset}");
        };
        for loss in &labelled {
            same(loss.as_ref(), &Batch::new(shape, &logits, &classes), &Batch::new(shape, &shifted, &classes));
        }
        for loss in &soft {
            same(loss.as_ref(), &Batch::new(shape, &logits, &dense), &Batch::new(shape, &shifted, &dense));
        }
        for divergence in divergences {
            let loss = LogitDivergence { reduction, divergence, ..Default::default() };
            same(&loss, &Batch::new(shape, &logits, &teacher), &Batch::new(shape, &shifted, &teacher));
        }
        let dice = Dice::default();
        let planes = planes(2, CLASSES, ROWS / 2);
        same(&dice, &Batch::new(planes, &logits, &classes), &Batch::new(planes, &shifted, &classes));
    }
}

#[test]
fn binary_cross_entropy_is_that_of_two_classes() {
    let x = logits(2);
    let targets: Vec<f32> = (0..x.len()).map(|i| (i % 3 == 0) as u8 as f32).collect();
    let pairs: Vec<f32> = x.iter().flat_map(|&x| [0.0, x]).collect();
    let classes: Vec<i32> = targets.iter().map(|&t| t as i32).collect();
    let reduction = Reduction::Sum;
    let rows = x.len() as u32;
    let binary = evaluate(&BceWithLogits { reduction }, &Batch::new(Shape::new(rows, 1), &x, &targets));
    let loss = CrossEntropy { reduction, ..Default::default() };
    let two = evaluate(&loss, &Batch::new(Shape::new(rows, 2), &pairs, &classes));
    close("losses", &binary.losses, &widened(&two.losses));
    let second: Vec<f64> = two.gradient.iter().skip(1).step_by(2).map(|&g| g.into()).collect();
    close("gradient", &binary.gradient, &second);
}

#[test]
fn focal_without_gamma_is_cross_entropy() {
    let (logits, classes) = (logits(4), indices());
    let weights: Vec<f32> = (0..CLASSES).map(|c| 0.5 + c as f32 / 8.0).collect();
    let batch = Batch { class_weights: Some(&weights), ..Batch::new(Shape::new(ROWS, CLASSES), &logits, &classes) };
    let focal = Focal { gamma: 0.0, z_loss: 1e-3, ..Default::default() };
    let plain = CrossEntropy { z_loss: 1e-3, ..Default::default() };
    agree("focal", &evaluate(&focal, &batch), &evaluate(&plain, &batch));
}

#[test]
fn divergence_is_cross_entropy_less_entropy() {
    let (logits, dense) = (logits(5), distributions());
    let batch = Batch::new(Shape::new(ROWS, CLASSES), &logits, &dense);
    let reduction = Reduction::Sum;
    let kl = evaluate(&KlDiv { reduction, ..Default::default() }, &batch);
    let soft = evaluate(&SoftCrossEntropy { reduction, ..Default::default() }, &batch);
    let entropy: f64 = dense.iter().map(|&t| f64::from(t) * -f64::from(t).ln()).sum();
    close("divergence", &[kl.summary.loss], &[f64::from(soft.summary.loss) - entropy]);
    close("gradient", &kl.gradient, &widened(&soft.gradient));
}

#[test]
fn divergence_of_logits_is_that_of_their_softmax() {
    let (logits, teacher) = (logits(6), logits(7));
    let shape = Shape::new(ROWS, CLASSES);
    let mut dense = Vec::new();
    for row in teacher.chunks(CLASSES as usize) {
        let sum: f64 = row.iter().map(|&y| f64::from(y).exp()).sum();
        dense.extend(row.iter().map(|&y| (f64::from(y).exp() / sum) as f32));
    }
    let reduction = Reduction::Sum;
    let of_logits =
        evaluate(&LogitDivergence { reduction, ..Default::default() }, &Batch::new(shape, &logits, &teacher));
    let of_softmax = evaluate(&KlDiv { reduction, ..Default::default() }, &Batch::new(shape, &logits, &dense));
    close("loss", &[of_logits.summary.loss], &[f64::from(of_softmax.summary.loss)]);
    close("gradient", &of_logits.gradient, &widened(&of_softmax.gradient));
}

#[test]
fn tversky_in_balance_is_dice() {
    let (logits, classes) = (logits(9), indices());
    let batch = Batch::new(planes(2, CLASSES, ROWS / 2), &logits, &classes);
    for activation in [Activation::Softmax, Activation::Sigmoid] {
        // Both parts of Dice's fraction are twice those of Tversky's.
        let dice = Dice { activation, smooth_nr: 0.5, smooth_dr: 0.5, ..Default::default() };
        let tversky = Tversky { activation, smooth_nr: 0.25, smooth_dr: 0.25, ..Default::default() };
        agree("tversky", &evaluate(&tversky, &batch), &evaluate(&dice, &batch));
    }
}
