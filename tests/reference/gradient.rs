//! The gradient against finite differences of the loss.

use logloss::reference;
use logloss::{Batch, CrossEntropy, Nll, Reduction, Shape};

use crate::common::assert_close;

const SHAPE: Shape = Shape::new(5, 4);
/// Multiples of 1/4, so that `x + k * STEP` is a float32.
const LOGITS: [f32; 20] = [
    0.25, -1.5, 0.75, 2.0, //
    -0.5, 0.0, 0.0, 1.25, //
    1.75, -2.0, 0.5, -0.25, //
    -1.0, 1.0, 1.5, 0.25, //
    0.0, 0.75, -1.75, -0.75,
];
const TARGETS: [i32; 5] = [0, 3, 2, 1, 2];
const CLASS_WEIGHTS: [f32; 4] = [0.5, 2.0, 1.25, 0.75];
const ROW_WEIGHTS: [f32; 5] = [1.0, 0.25, 2.0, 0.0, 1.5];
const REDUCTIONS: [Reduction; 5] =
    [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(3.5)];
const STEP: f32 = 1.0 / 256.0;

/// Absolute tolerance of the five-point difference, for gradients of about 0.01 to 4.
///
/// - Truncation: `h^4 / 30 * |f'''''|`. The fifth derivative of lse is the fifth cumulant of a Bernoulli variable, at most
///   0.14, over T^5, at most 6 for T = 0.7; it is multiplied by at most `r * (w_t + sum w / K) < 7`. The z-loss of 1/64 adds
///   `2 r z (|lse| 0.14 + 5 / 8 + 10 * 0.1 / 4) / T^5 < 1`. Together below 7, hence `2.3e-10 / 30 * 7 = 5e-11`.
/// - Rounding: the loss is below 100 with some 20 roundings, 2e-13, and the stencil multiplies them by `18 / (12 h) = 384`,
///   hence 9e-11 at the worst.
const TOLERANCE: f64 = 1.5e-10;

/// Derivative of `loss` by each logit, from losses at `x - 2h`, `x - h`, `x + h` and `x + 2h`.
fn five_point_difference(loss: impl Fn(&[f32]) -> f64) -> Vec<f64> {
    let mut logits = LOGITS;
    let mut difference = Vec::new();
    for i in 0..logits.len() {
        let mut at = |steps: f32| {
            logits[i] = LOGITS[i] + steps * STEP;
            loss(&logits)
        };
        let value = at(-2.0) - 8.0 * at(-1.0) + 8.0 * at(1.0) - at(2.0);
        logits[i] = LOGITS[i];
        difference.push(value / (12.0 * f64::from(STEP)));
    }
    difference
}

#[test]
fn cross_entropy_gradient_is_the_derivative() {
    let mut combinations = 0;
    for (reduction, class_weights, row_weights, ignore_index) in inputs() {
        for label_smoothing in [0.0, 0.1, 1.0] {
            for (temperature, z_loss) in
                [(1.0, 0.0), (0.7, 0.0), (1.0, 1.0 / 64.0), (0.7, 1.0 / 64.0), (3.0, 1.0 / 64.0)]
            {
                let ignore_index = ignore_index.clone();
                let options =
                    CrossEntropy { reduction, ignore_index, label_smoothing, temperature, z_loss, softcap: None };
                let evaluate = |logits: &[f32]| {
                    let batch = Batch { class_weights, row_weights, ..Batch::new(SHAPE, logits, &TARGETS) };
                    reference::evaluate(&options, &batch).unwrap()
                };
                let name = format!("{options:?}, class weights {class_weights:?}, row weights {row_weights:?}");
                let want = five_point_difference(|logits| evaluate(logits).loss);
                assert_close(&name, &evaluate(&LOGITS).gradient, &want, 0.0, TOLERANCE);
                combinations += 1;
            }
        }
    }
    assert_eq!(combinations, 5 * 2 * 2 * 2 * 3 * 5);
}

#[test]
fn nll_gradient_is_the_derivative() {
    for (reduction, class_weights, row_weights, ignore_index) in inputs() {
        let options = Nll { reduction, ignore_index };
        let evaluate = |logits: &[f32]| {
            let batch = Batch { class_weights, row_weights, ..Batch::new(SHAPE, logits, &TARGETS) };
            reference::evaluate(&options, &batch).unwrap()
        };
        let want = five_point_difference(|logits| evaluate(logits).loss);
        assert_close(&format!("{options:?}"), &evaluate(&LOGITS).gradient, &want, 0.0, TOLERANCE);
    }
}

type Inputs = (Reduction, Option<&'static [f32]>, Option<&'static [f32]>, Vec<i32>);

/// Reductions x class weights x row weights x ignore index.
fn inputs() -> impl Iterator<Item = Inputs> {
    REDUCTIONS.into_iter().flat_map(|reduction| {
        [None, Some(&CLASS_WEIGHTS[..])].into_iter().flat_map(move |class_weights| {
            [None, Some(&ROW_WEIGHTS[..])].into_iter().flat_map(move |row_weights| {
                [vec![], vec![0, 2]].into_iter().map(move |ignored| (reduction, class_weights, row_weights, ignored))
            })
        })
    })
}
