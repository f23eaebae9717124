//! Identities of the gradient and of the loss that hold whatever the logits are.

use logloss::gpu::Tuning;
use logloss::{CrossEntropy, Reduction};

use crate::case::{Case, IN_PLACE, Loss, SEPARATE, SEPARATE_WITH_DETAILS, plain};

#[test]
fn rows_sum_to_0() {
    // Each entry is within 1e-5 of its size of the truth, and the truth sums to 0: so the entries sum to 1e-5 of their
    // sizes at most. (The entries below the absolute tolerance are exact to a few ULP too, or 0.)
    let smooth = CrossEntropy { reduction: Reduction::Sum, label_smoothing: 0.1, ..CrossEntropy::default() };
    for loss in [plain(), Loss::CrossEntropy(smooth)] {
        for classes in [2, 3, 10, 1003, 32_000] {
            let case = Case::random(loss.clone(), 5, classes);
            for request in [SEPARATE, IN_PLACE] {
                for (r, row) in case.run(request, Tuning::default()).gradient.chunks(classes as usize).enumerate() {
                    let sum: f64 = row.iter().map(|&g| f64::from(g)).sum();
                    let size: f64 = row.iter().map(|&g| f64::from(g).abs()).sum();
                    assert!(sum.abs() <= 1e-5 * size, "{classes} classes, row {r}: {sum:e} of {size:e}");
                }
            }
        }
    }
}

#[test]
fn an_offset_changes_no_bit() {
    // Multiples of 1/8 keep every digit at 1e6, where the spacing of floats is 1/16; all differences are then the same.
    for classes in [2, 5, 64, 1003] {
        let mut case = Case::random(plain(), 9, classes);
        case.logits.iter_mut().for_each(|x| *x = (*x * 8.0).round() / 8.0);
        let want = case.run(SEPARATE_WITH_DETAILS, Tuning::default());
        for offset in [1e6, -1e6, 1000.0] {
            let shifted = Case { logits: case.logits.iter().map(|x| x + offset).collect(), ..case.clone() };
            let got = shifted.run(SEPARATE_WITH_DETAILS, Tuning::default());
            assert_eq!(got.losses, want.losses, "{classes} classes, offset {offset}");
            assert_eq!(got.gradient, want.gradient, "{classes} classes, offset {offset}");
            shifted.check(&[SEPARATE_WITH_DETAILS], &[Tuning::default()]);
        }
    }
}

#[test]
fn confident_and_hopeless_rows_keep_their_digits() {
    // Beyond 1e-5 of 1: the loss of a confident row is 1e-9 and less, relative to itself.
    let want = |case: &Case| case.reference();
    for margin in [5.0, 10.0, 17.0, 20.0, 40.0, 80.0, -20.0, -80.0] {
        for classes in [2, 3, 9, 130] {
            let mut case = Case::random(plain(), 4, classes);
            case.logits.iter_mut().for_each(|x| *x *= 0.1);
            for (r, &t) in case.targets.iter().enumerate() {
                case.logits[r * classes as usize + t as usize] = margin;
            }
            let (got, want) = (case.run(SEPARATE, Tuning::default()), want(&case));
            // Absolute: the smallest normal float32, below which devices may flush.
            let smallest = f64::from(f32::MIN_POSITIVE);
            crate::common::assert_close("losses", &got.losses, &want.losses, 1e-5, smallest);
            let at_target = |g: &[f64]| -> Vec<f64> {
                g.chunks(classes as usize).zip(&case.targets).map(|(row, &t)| row[t as usize]).collect()
            };
            let gradient: Vec<f64> = got.gradient.iter().map(|&g| g.into()).collect();
            crate::common::assert_close("at target", &at_target(&gradient), &at_target(&want.gradient), 1e-5, smallest);
        }
    }
}
