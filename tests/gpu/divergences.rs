//! Divergences between two rows of logits on the GPU, where they are easily lost to rounding.

use logloss::{Batch, Divergence, Evaluation, Gradient, LogitDivergence, Reduction, Request, Shape};

use crate::case::close;
use crate::common::assert_close;
use crate::common::random::Random;

const ALL: [Divergence; 3] = [Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon];
const ROWS: u32 = 24;

/// On the GPU and by the reference: each row's loss, and the gradient of their sum.
fn both(
    divergence: Divergence,
    classes: u32,
    logits: &[f32],
    targets: &[f32],
) -> (Evaluation, logloss::reference::Evaluation) {
    let loss = LogitDivergence { reduction: Reduction::Sum, divergence, ..Default::default() };
    let batch = Batch::new(Shape::new(logits.len() as u32 / classes, classes), logits, targets);
    let request = Request { gradient: Gradient::Separate, ..Request::FORWARD };
    let got = crate::gpu().evaluate(&loss, request, &batch).unwrap_or_else(|e| panic!("{loss:?}: {e}"));
    (got, logloss::reference::evaluate(&loss, &batch).expect("a batch"))
}

/// Multiples of 1/16 within four of 0.
fn logits(seed: u64, classes: u32) -> Vec<f32> {
    let mut random = Random(seed);
    (0..ROWS * classes).map(|_| random.below(128) as f32 / 16.0 - 4.0).collect()
}

/// Where the logits of both are all but the same, the divergence is their squared distance, and keeps its digits.
#[test]
fn of_distributions_that_nearly_agree() {
    let targets = logits(8, 11);
    let near: Vec<f32> = targets.iter().enumerate().map(|(i, x)| x + (i % 5) as f32 / 4096.0).collect();
    for divergence in ALL {
        let (got, want) = both(divergence, 11, &near, &targets);
        assert_close(&format!("{divergence:?}"), &got.losses, &want.losses, 1e-3, 0.0);
        assert!(want.losses.iter().all(|&loss| loss < 1e-6), "they are tiny");
    }
}

/// One class has all of the row but a hundredth or much less, and its entry of the gradient is as small. The entry is a sum over
/// the other classes, of their probabilities times logarithms of either sign, so that their probability is the scale of its error.
#[test]
fn of_a_nearly_certain_class() {
    for classes in [2, 3, 40, 2000] {
        let targets = logits(9, classes);
        let mut certain = logits(10, classes);
        for (row, logits) in certain.chunks_exact_mut(classes as usize).enumerate() {
            logits[7 * row % classes as usize] = 10.0 + (classes as f32).ln().round() + (row % 8) as f32;
        }
        // The entries of KL(p || q) are differences of probabilities.
        for divergence in [Divergence::ReverseKl, Divergence::JensenShannon] {
            let (got, want) = both(divergence, classes, &certain, &targets);
            for (row, logits) in certain.chunks_exact(classes as usize).enumerate() {
                let top = 7 * row % classes as usize;
                let entry = row * classes as usize + top;
                let odds = |c: usize| f64::from(logits[c] - logits[top]).exp();
                let others: f64 = (0..classes as usize).filter(|&c| c != top).map(odds).sum();
                let (got, want) = (&got.gradient[entry..=entry], &want.gradient[entry..=entry]);
                assert_close(&format!("{divergence:?}, row {row} of {classes}"), got, want, 1e-5, 1e-5 * others);
                assert!(others < 2e-2, "the class is nearly certain: {others}");
            }
        }
    }
}

/// Classes without probability in either row, at the top of the other too.
#[test]
fn of_rows_with_masks() {
    const INF: f32 = f32::INFINITY;
    let rows: [([f32; 3], [f32; 3]); 5] = [
        ([0.0, 0.5, -INF], [1.0, 0.0, 0.25]),
        ([0.0, 0.5, 1.5], [1.0, 0.0, -INF]),
        ([0.0, 0.5, 0.25], [-INF, 1.0, 0.0]),
        ([0.5, 0.0, -INF], [-1.0, 0.25, -INF]),
        ([0.0, -INF, -INF], [-INF, 0.5, 0.0]),
    ];
    for divergence in ALL {
        for (logits, targets) in &rows {
            let (got, want) = both(divergence, 3, logits, targets);
            let name = format!("{divergence:?} of {logits:?} and {targets:?}");
            close(&format!("{name}: loss"), &got.losses, &want.losses);
            close(&format!("{name}: gradient"), &got.gradient, &want.gradient);
            assert_eq!(got.summary.non_finite, want.non_finite, "{name}");
        }
    }
}
