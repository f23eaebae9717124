//! Regions that are nearly right or empty, infinities, NaN, and bad targets.

use logloss::gpu::Tuning;
use logloss::reference;
use logloss::{Dice, DiceFocal, Error, Logits, Reduction, Shape};

use super::{SUM, Tensors, losses};
use crate::case::{IN_PLACE, SEPARATE};
use crate::common::assert_close;
use crate::stored::planes;

/// A segmentation that is nearly right has a loss far below the rounding of 1, with all its digits.
#[test]
fn confident_positions_keep_their_digits() {
    for loss in losses() {
        for margin in [8.0_f32, 20.0, 40.0] {
            for layout in [planes(2, 3, 33), planes(1, 5, 8)] {
                let mut tensors = Tensors::new(layout);
                for row in 0..layout.rows() {
                    for class in 0..layout.classes() {
                        let sign = if tensors.classes[row as usize] == class as i32 { 1.0 } else { -1.0 };
                        let x = &mut tensors.logits[layout.element(row, class) as usize];
                        *x = 0.1 * *x + 0.5 * sign * margin;
                    }
                }
                let batch = tensors.batch(loss.as_ref(), false, Logits::F32(&tensors.logits));
                let want = reference::evaluate(loss.as_ref(), &batch).unwrap();
                let got = tensors.run(loss.as_ref(), false, SEPARATE, Tuning::PLANNED);
                let name = format!("{loss:?} {layout:?} {margin}");
                assert_close(&format!("{name} losses"), &got.losses, &want.losses, 1e-5, 1e-30);
                assert_close(&format!("{name} loss"), &[got.summary.loss], &[want.loss], 1e-5, 1e-30);
                assert_close(&format!("{name} gradient"), &got.gradient, &want.gradient, 1e-5, 1e-30);
            }
        }
    }
}

/// A class that nobody has and nobody predicts costs next to nothing, though its loss is a quotient of small numbers.
#[test]
fn empty_regions() {
    for loss in losses() {
        let mut tensors = Tensors::new(planes(2, 4, 50));
        for (i, t) in tensors.classes.iter_mut().enumerate() {
            *t = if i < 50 { 2 } else { 0 };
        }
        tensors.logits.iter_mut().for_each(|x| *x *= 8.0);
        tensors.check(loss.as_ref(), false, SEPARATE, Tuning::PLANNED);
        // Every position of the second sample ignored; then every one.
        let loss = Dice { reduction: SUM, ignore_index: vec![0], ..Dice::default() };
        tensors.check(&loss, false, SEPARATE, Tuning::PLANNED);
        for reduction in [SUM, Reduction::Mean] {
            let dice = Dice { reduction, ignore_index: vec![0, 2], ..Dice::default() };
            tensors.check(&dice, false, SEPARATE, Tuning::PLANNED);
            tensors.check(&DiceFocal { dice, ..DiceFocal::default() }, false, SEPARATE, Tuning::PLANNED);
        }
    }
}

#[test]
fn odd_logits() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for loss in losses() {
        for (layout, dense) in [(planes(3, 4, 9), false), (planes(3, 4, 9), true), (Shape::new(27, 4).into(), false)] {
            let clean = Tensors::new(layout);
            let set = |values: &[(u32, u32, f32)]| {
                let mut tensors = clean.clone();
                tensors.classes[11] = 1;
                for &(row, class, x) in values {
                    tensors.logits[layout.element(row, class) as usize] = x;
                }
                tensors.check(loss.as_ref(), dense, SEPARATE, Tuning::PLANNED);
                tensors.check(loss.as_ref(), dense, IN_PLACE, Tuning::PLANNED);
            };
            set(&[(3, 1, nan)]);
            set(&[(2, 0, -nan), (11, 3, nan), (12, 2, nan)]);
            set(&[(10, 2, -inf), (3, 0, -inf), (3, 1, -inf)]);
            set(&[(10, 2, inf)]);
            set(&[(20, 0, -inf), (20, 1, -inf), (20, 2, -inf), (20, 3, -inf)]);
            set(&[(1, 3, f32::MIN), (5, 2, f32::MAX), (6, 0, -1e30), (7, 1, 1e30)]);
        }
    }
}

#[test]
fn bad_targets() {
    for loss in losses() {
        let mut tensors = Tensors::new(planes(2, 3, 70));
        (tensors.classes[100], tensors.classes[90]) = (3, -7);
        let batch = tensors.batch(loss.as_ref(), false, Logits::F32(&tensors.logits));
        let want = Error::BadTarget { row: 90, value: -7, classes: 3, count: 2 };
        assert_eq!(crate::gpu().evaluate(loss.as_ref(), SEPARATE, &batch), Err(want));
    }
}
