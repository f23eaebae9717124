//! The float64 reference against PyTorch, finite differences, closed forms and identities.

#[path = "../common/mod.rs"]
mod common;

mod closed_forms;
mod divergences;
mod golden;
mod gradient;
mod identities;
mod kinship;
mod monai;
mod odd_elements;
mod odd_regions;
mod odd_rows;
mod odd_values;

use logloss::reference::{self, Evaluation};
use logloss::{Batch, CrossEntropy, Reduction, Shape};

/// Half the distance from 1 to the next float64: the relative error of one rounding.
const ROUNDING: f64 = f64::EPSILON / 2.0;

/// Tolerance, relative and absolute, for a loss or gradient of a few classes and logits of a few units: some tens of roundings
/// of terms of that size.
const FEW_ROUNDINGS: f64 = 64.0 * ROUNDING;

/// The reference on `targets.len()` rows with default options but for the reduction.
fn evaluate(reduction: Reduction, logits: &[f32], targets: &[i32]) -> Evaluation {
    let options = CrossEntropy { reduction, ..CrossEntropy::default() };
    reference::evaluate(&options, &batch(logits, targets)).expect("a valid batch")
}

/// A batch of `targets.len()` rows, at least one.
fn batch<'a>(logits: &'a [f32], targets: &'a [i32]) -> Batch<'a> {
    let classes = logits.len() / targets.len();
    Batch::new(Shape::new(targets.len() as u32, classes as u32), logits, targets)
}
