//! What holds of every batch.

use logloss::reference::{self, Evaluation};
use logloss::{Batch, CrossEntropy, Reduction, Shape};

use crate::common::assert_close;
use crate::{FEW_ROUNDINGS, ROUNDING};

/// Multiples of 1/16 in [-8, 8), so that `x + 1e6` is a float32: 1e6 needs 20 bits, and 4 bits remain.
fn logits(count: usize) -> Vec<f32> {
    // A linear congruential generator; its upper bits are well mixed.
    let mut state = 2026_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as f32 / 16.0 - 8.0
    };
    (0..count).map(|_| next()).collect()
}

const CLASS_WEIGHTS: [f32; 7] = [1.0, 0.5, 0.0, 2.0, 1.25, 0.75, 3.0];

fn smoothed(reduction: Reduction) -> CrossEntropy {
    CrossEntropy { reduction, label_smoothing: 0.1, ignore_index: vec![-1], ..CrossEntropy::default() }
}

fn evaluate(options: &CrossEntropy, logits: &[f32], targets: &[i32], row_weights: Option<&[f32]>) -> Evaluation {
    let shape = Shape::new(targets.len() as u32, CLASS_WEIGHTS.len() as u32);
    let class_weights = Some(&CLASS_WEIGHTS[..]);
    reference::evaluate(options, &Batch { class_weights, row_weights, ..Batch::new(shape, logits, targets) }).unwrap()
}

#[test]
fn gradient_rows_sum_to_zero() {
    // A shift of a row changes nothing, so its derivative along the shift is 0. K = 7 terms of at most the row's weight, 4, with
    // some 10 roundings each.
    let (logits, targets) = (logits(42), [0, 6, 2, 3, -1, 5]);
    let got = evaluate(&smoothed(Reduction::Sum), &logits, &targets, None);
    let sums: Vec<f64> = got.gradient.chunks_exact(7).map(|row| row.iter().sum()).collect();
    assert_close("sums", &sums, &[0.0; 6], 0.0, 7.0 * 4.0 * 10.0 * ROUNDING);
    let largest = got.gradient.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
    assert!(largest > 0.1, "the gradient itself is not 0: {largest}");
}

#[test]
fn z_loss_gradient_rows_sum_to_twice_lse() {
    // d(z lse^2)/dx_j = 2 z lse p_j, and the rest of a row sums to 0: roundings as above, and of lse < 10.
    let (logits, targets) = (logits(21), [1, 2, 3]);
    let options = CrossEntropy { z_loss: 0.25, ..smoothed(Reduction::Sum) };
    let got = evaluate(&options, &logits, &targets, None);
    let sums: Vec<f64> = got.gradient.chunks_exact(7).map(|row| row.iter().sum()).collect();
    let want: Vec<f64> = got.lse.iter().map(|lse| 2.0 * 0.25 * lse).collect();
    assert_close("sums", &sums, &want, 0.0, 7.0 * 10.0 * 10.0 * ROUNDING);
}

#[test]
fn a_shift_of_all_logits_changes_nothing() {
    // float32 logits and their differences are exact in float64, so the bits are the same; only lse moves, by the offset.
    let (base, targets) = (logits(42), [0, 6, 2, 3, -1, 5]);
    let options = smoothed(Reduction::Mean);
    let want = evaluate(&options, &base, &targets, None);
    for offset in [-1e6_f32, -1e4, -100.0, 0.5, 1e4, 1e6] {
        let shifted: Vec<f32> = base.iter().map(|x| x + offset).collect();
        assert!(shifted.iter().zip(&base).all(|(s, x)| s - offset == *x), "the shift by {offset} is exact");
        let got = evaluate(&options, &shifted, &targets, None);
        assert_close(&format!("loss at {offset}"), &[got.loss], &[want.loss], 0.0, 0.0);
        assert_close(&format!("losses at {offset}"), &got.losses, &want.losses, 0.0, 0.0);
        assert_close(&format!("gradient at {offset}"), &got.gradient, &want.gradient, 0.0, 0.0);
        // One rounding of lse at each side; the unshifted one is below 16.
        let lse: Vec<f64> = want.lse.iter().map(|lse| lse + f64::from(offset)).collect();
        assert_close(&format!("lse at {offset}"), &got.lse, &lse, 2.0 * ROUNDING, 16.0 * ROUNDING);
        assert_eq!((&got.argmax, &got.rank), (&want.argmax, &want.rank), "at {offset}");
    }
}

#[test]
fn temperature_divides_the_logits() {
    // A power of 2 divides exactly, so all but the gradient by x, which has another 1/T, has the same bits.
    let (base, targets) = (logits(42), [0, 6, 2, 3, -1, 5]);
    let want = evaluate(&smoothed(Reduction::Mean), &base.iter().map(|x| x * 4.0).collect::<Vec<_>>(), &targets, None);
    let got = evaluate(&CrossEntropy { temperature: 0.25, ..smoothed(Reduction::Mean) }, &base, &targets, None);
    assert_close("losses", &got.losses, &want.losses, 0.0, 0.0);
    assert_close("loss", &[got.loss], &[want.loss], 0.0, 0.0);
    assert_close("lse", &got.lse, &want.lse, 0.0, 0.0);
    assert_close("log_prob", &got.log_prob, &want.log_prob, 0.0, 0.0);
    let gradient: Vec<f64> = want.gradient.iter().map(|g| g * 4.0).collect();
    assert_close("gradient", &got.gradient, &gradient, 0.0, 0.0);
}

#[test]
fn row_weights_repeat_rows() {
    let (base, targets) = (logits(21), [0, 6, 3]);
    let repeats = [3, 0, 2];
    let repeated: Vec<f32> = base.chunks_exact(7).zip(repeats).flat_map(|(row, n)| row.repeat(n)).collect();
    let repeated_targets: Vec<i32> = targets.iter().zip(repeats).flat_map(|(&t, n)| vec![t; n]).collect();
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::MeanOver(5.0)] {
        let options = CrossEntropy { z_loss: 0.01, ..smoothed(reduction) };
        let want = evaluate(&options, &repeated, &repeated_targets, None);
        let got = evaluate(&options, &base, &targets, Some(&[3.0, 0.0, 2.0]));
        let name = format!("{reduction:?}");
        assert_close(&name, &[got.loss], &[want.loss], FEW_ROUNDINGS, 0.0);
        assert_close(&name, &[got.weight_sum], &[want.weight_sum], 0.0, 0.0);
        // The gradient by the one row is that by its copies together.
        let mut rows = want.gradient.chunks_exact(7);
        for (r, n) in repeats.into_iter().enumerate() {
            let mut sum = [0.0; 7];
            for row in rows.by_ref().take(n) {
                sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
            // Smoothing's p_j W - w_j cancels: terms of at most 9 * 0.1 a row.
            assert_close(&name, &got.gradient[r * 7..][..7], &sum, FEW_ROUNDINGS, FEW_ROUNDINGS);
        }
    }
}

#[test]
fn reductions_are_the_sum_over_a_denominator() {
    let (base, targets) = (logits(42), [0, 6, 2, 3, -1, 5]);
    let sum = evaluate(&smoothed(Reduction::Sum), &base, &targets, None);
    // Weights of classes 0, 6, 2, 3 and 5.
    assert_eq!(sum.weight_sum, 1.0 + 3.0 + 0.0 + 2.0 + 0.75);
    assert_close("sum", &[sum.loss], &[sum.losses.iter().sum()], FEW_ROUNDINGS, 0.0);
    for (reduction, denominator) in [
        (Reduction::None, 1.0),
        (Reduction::Mean, 6.75),
        (Reduction::MeanOrZero, 6.75),
        (Reduction::MeanOver(3.3), f64::from(3.3_f32)),
    ] {
        let got = evaluate(&smoothed(reduction), &base, &targets, None);
        let name = format!("{reduction:?}");
        assert_close(&name, &got.losses, &sum.losses, 0.0, 0.0);
        assert_close(&name, &[got.loss * denominator], &[sum.loss], FEW_ROUNDINGS, 0.0);
        let scaled: Vec<f64> = got.gradient.iter().map(|g| g * denominator).collect();
        assert_close(&name, &scaled, &sum.gradient, FEW_ROUNDINGS, 0.0);
    }
}

#[test]
fn batches_merge() {
    // The sum of a batch is the sum of its halves, and rows do not see each other.
    let (base, targets) = (logits(42), [0, 6, 2, 3, -1, 5]);
    let options = smoothed(Reduction::Sum);
    let whole = evaluate(&options, &base, &targets, None);
    let first = evaluate(&options, &base[..14], &targets[..2], None);
    let second = evaluate(&options, &base[14..], &targets[2..], None);
    assert_close("sum", &[first.loss + second.loss], &[whole.loss], FEW_ROUNDINGS, 0.0);
    assert_close("losses", &[first.losses, second.losses].concat(), &whole.losses, 0.0, 0.0);
    assert_close("gradient", &[first.gradient, second.gradient].concat(), &whole.gradient, 0.0, 0.0);
    assert_eq!(first.ignored + second.ignored, whole.ignored);
}
