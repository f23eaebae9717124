//! Small random batches, odd values included.

use crate::Loss;
use crate::common::random::Random;
use logloss::{Batch, CrossEntropy, Nll, Reduction, Shape};

/// An owned batch.
#[derive(Debug, Clone)]
pub struct Rows {
    pub shape: Shape,
    pub logits: Vec<f32>,
    pub targets: Vec<i32>,
    pub class_weights: Option<Vec<f32>>,
    pub row_weights: Option<Vec<f32>>,
}

impl Rows {
    pub fn batch(&self) -> Batch<'_> {
        self.chunk(0..self.targets.len())
    }

    /// Some of the rows.
    pub fn chunk(&self, rows: std::ops::Range<usize>) -> Batch<'_> {
        let classes = self.shape.classes as usize;
        let shape = Shape::new(rows.len() as u32, self.shape.classes);
        let logits = &self.logits[rows.start * classes..rows.end * classes];
        Batch {
            class_weights: self.class_weights.as_deref(),
            row_weights: self.row_weights.as_ref().map(|w| &w[rows.clone()]),
            ..Batch::new(shape, logits, &self.targets[rows])
        }
    }
}

/// Ignored by every loss of [`loss`].
pub const IGNORED: [i32; 2] = [-100, 1];

/// Largest weight of a class, and of a row.
pub const LARGEST_WEIGHT: f32 = 2.0;

/// `rows` rows of logits of a few units. `odd` percent of the logits are infinite, NaN or equal to others, and as many weights 0.
pub fn rows(random: &mut Random, rows: usize, classes: usize, odd: usize) -> Rows {
    let mut logits: Vec<f32> = (0..rows * classes).map(|_| random.uniform(-6.0, 6.0)).collect();
    for x in &mut logits {
        if random.chance(odd) {
            *x = random.pick(&[f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NAN, 1.0, 1.0]);
        }
    }
    if odd > 0 && rows > 0 {
        // A row of nothing but -inf, or with one other logit.
        let row = random.below(rows);
        logits[row * classes..(row + 1) * classes].fill(f32::NEG_INFINITY);
        if random.chance(50) {
            logits[row * classes + random.below(classes)] = 3.0;
        }
    }
    let targets = (0..rows).map(|_| if random.chance(15) { -100 } else { random.below(classes) as i32 }).collect();
    let mut weights = |n: usize| {
        let mut weight = || if odd > 0 && random.chance(20) { 0.0 } else { random.uniform(0.25, LARGEST_WEIGHT) };
        let weights: Vec<f32> = (0..n).map(|_| weight()).collect();
        random.chance(50).then_some(weights)
    };
    let (class_weights, row_weights) = (weights(classes), weights(rows));
    Rows { shape: Shape::new(rows as u32, classes as u32), logits, targets, class_weights, row_weights }
}

/// A loss with random options: temperature at least 1/2, z_loss at most 1/100.
pub fn loss(random: &mut Random) -> Loss {
    let reduction = random.pick(&[
        Reduction::None,
        Reduction::Sum,
        Reduction::Mean,
        Reduction::MeanOrZero,
        Reduction::MeanOver(3.5),
    ]);
    let ignore_index = IGNORED.to_vec();
    if random.chance(25) {
        return Loss::Nll(Nll { reduction, ignore_index });
    }
    Loss::CrossEntropy(CrossEntropy {
        reduction,
        ignore_index,
        label_smoothing: random.pick(&[0.0, 0.0, 0.1, 1.0]),
        temperature: random.pick(&[1.0, 0.5, 3.0]),
        z_loss: random.pick(&[0.0, 0.01]),
        softcap: None,
    })
}
