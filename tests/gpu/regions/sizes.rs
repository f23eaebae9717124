//! Batches of many blocks: the tree that folds them, and what it leaves of the rounding of a long sum.

use logloss::gpu::Tuning;
use logloss::{Batch, Dice, Reduction, Shape};

use super::{SUM, Tensors};
use crate::case::SEPARATE;
use crate::common::assert_close;
use crate::stored::planes;

/// More than 1024 blocks, of one sample and of two together.
#[test]
fn a_tree_of_blocks() {
    for batch in [false, true] {
        let dice = Dice { reduction: SUM, batch, ..Dice::default() };
        Tensors::new(planes(2, 2, 70_001)).check(&dice, false, SEPARATE, Tuning::PLANNED);
        Tensors::new(planes(1, 2, 140_000)).check(&dice, false, SEPARATE, Tuning::PLANNED);
        Tensors::new(Shape::new(140_000, 2).into()).check(
            &Dice { reduction: Reduction::Mean, ..dice },
            false,
            SEPARATE,
            Tuning::PLANNED,
        );
    }
}

/// Sums beyond 2^24 terms of float32, in blocks of few: the error does not grow with the volume.
#[test]
fn a_large_volume() {
    let inner = (1 << 22) + 5;
    let layout = planes(1, 2, inner);
    let n = inner as usize;
    let logits: Vec<f32> = (0..2 * n).map(|i| if i < n { 0.3 } else { -0.4 }).collect();
    let targets: Vec<i32> = (0..n).map(|i| i32::from(i % 3 == 0)).collect();
    let dice = Dice { reduction: Reduction::None, ..Dice::default() };
    let got = crate::gpu().evaluate(&dice, SEPARATE, &Batch::new(layout, &logits, &targets)).unwrap();
    let p = 1.0 / (1.0 + (f64::from(-0.4_f32) - f64::from(0.3_f32)).exp());
    let ones = n.div_ceil(3) as f64;
    let loss = |p: f64, t: f64| {
        let wrong = p * (n as f64 - t) + (1.0 - p) * t;
        wrong / (2.0 * p * t + wrong + f64::from(1e-5_f32))
    };
    let want = [loss(p, n as f64 - ones), loss(1.0 - p, ones)];
    assert_close("a large volume", &got.losses, &want, 1e-6, 0.0);
}
