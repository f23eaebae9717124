//! What the test suites share: golden cases, random numbers and comparison.
#![allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]

pub mod any_loss;
pub mod golden;
mod golden_loss;
pub mod random;
pub mod stored;

/// Asserts that every element of `got` is within `max(absolute, relative * |want|)` of `want`. NaN equals NaN, and an
/// infinity equals itself. The message names the element that is furthest beyond its tolerance. Returns the largest error in
/// units of the tolerance.
#[track_caller]
pub fn assert_close<T: Copy + Into<f64>>(name: &str, got: &[T], want: &[f64], relative: f64, absolute: f64) -> f64 {
    assert_eq!(got.len(), want.len(), "{name}: number of elements");
    let mut wrong = 0;
    let mut worst = (0.0, 0);
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let excess = excess(got.into(), want, relative, absolute);
        if excess > 1.0 {
            wrong += 1;
        }
        if excess > worst.0 {
            worst = (excess, i);
        }
    }
    if wrong > 0 {
        let (excess, i) = worst;
        let (got, want) = (got[i].into(), want[i]);
        let error = (got - want).abs();
        panic!(
            "{name}: element {i} is {got:e}, want {want:e}: error {error:e} (relative {:e}), {excess:.3e} times the \
             tolerance (relative {relative:e}, absolute {absolute:e}); {wrong} elements are wrong",
            error / want.abs()
        );
    }
    worst.0
}

/// The error in units of the tolerance; infinite where `got` and `want` are not both finite, nor equal, nor both NaN.
fn excess(got: f64, want: f64, relative: f64, absolute: f64) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    if !got.is_finite() || !want.is_finite() {
        return f64::INFINITY;
    }
    (got - want).abs() / absolute.max(relative * want.abs())
}

/// What float32 can hold of the truth: beyond its largest number that is infinite.
pub fn as_float32(truth: &[f64]) -> Vec<f64> {
    truth.iter().map(|&x| if (x as f32).is_infinite() { f64::from(x as f32) } else { x }).collect()
}
