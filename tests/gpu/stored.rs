//! Values in every element type, layouts, and a gradient compared with the truth in the element type that it is stored in.

use half::f16;
use logloss::{DType, Gradient, Layout, Request, Shape};

pub const GRADIENTS: [Gradient; 4] = [Gradient::No, Gradient::Separate, Gradient::Widened, Gradient::InPlace];

pub use crate::common::stored::Stored;

/// Classes are planes of `inner` positions.
pub fn planes(outer: u32, classes: u32, inner: u32) -> Layout {
    Layout::planes(outer, classes, inner).expect("a small layout")
}

/// Rows with `gap` elements behind each.
pub fn strided(rows: u32, classes: u32, gap: u32) -> Layout {
    Layout::strided(Shape::new(rows, classes), classes + gap).expect("a small layout")
}

/// The element type of a gradient.
pub const fn gradient_dtype(request: Request) -> DType {
    if matches!(request.gradient, Gradient::Widened) { DType::F32 } else { request.dtype }
}

/// Largest rounding of a number of this size to an element type.
fn half_step(dtype: DType, want: f64) -> f64 {
    let (bits, smallest) = match dtype {
        DType::F32 => return 0.0,
        DType::F16 => (11, 2_f64.powi(-25)),
        DType::Bf16 => (8, 0.0),
    };
    (want.abs() * 2_f64.powi(-bits)).max(smallest)
}

/// Compares a gradient with the truth: 1e-5 relative or `absolute`, and the rounding to what it is stored in. NaN equals NaN, and
/// beyond the largest float16 is infinity. Returns the largest error in units of the tolerance.
#[track_caller]
pub fn assert_gradient(name: &str, request: Request, got: &[f32], want: &[f64], absolute: f64) -> f64 {
    if request.gradient == Gradient::No {
        return 0.0;
    }
    assert_eq!(got.len(), want.len(), "{name}: elements of the gradient");
    let dtype = gradient_dtype(request);
    let mut worst = 0.0_f64;
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let got = f64::from(got);
        let overflows = dtype == DType::F16 && want.abs() > f64::from(f16::MAX) && got == want.signum() * f64::INFINITY;
        if overflows || got == want || (got.is_nan() && want.is_nan()) {
            continue;
        }
        let error = (got - want).abs() / ((1e-5 * want.abs()).max(absolute) + half_step(dtype, want));
        assert!(error <= 1.0, "{name} gradient {i}: {got:e}, want {want:e}");
        worst = worst.max(error);
    }
    worst
}
