//! Logits and targets that every side makes for itself, the same bits in Rust and in numpy (`turns.py`).

use rayon::prelude::*;

/// `n` logits between -6 and 6, all of their steps exact or rounded once.
pub fn logits(n: usize) -> Vec<f32> {
    let logit = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 * 12.0 - 6.0;
    (0..n).into_par_iter().map(logit).collect()
}

/// The target of each row.
pub fn targets(rows: u32, classes: u32) -> Vec<i32> {
    (0..rows).map(|r| (r.wrapping_mul(40_503) % classes) as i32).collect()
}
