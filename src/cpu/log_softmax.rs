//! Log-softmax over the classes of each row on the CPU.

use super::simd::exp::Exp;
use super::simd::{Instructions, Kernel, Simd};
use super::softmax::row_statistics;
use super::tensor::{in_parallel_with, in_pool};
use crate::{Error, Result, Shape, checks};

/// Log-softmax over the classes of each row, in nats: with `m` the largest logit of the row,
///
/// ```text
/// out_c = (x_c - m) / T - log( sum_k e^((x_k - m) / T) )
/// ```
///
/// `logits` and `out` have shape (rows, classes), row-major. Each value is within 2e-6 relative. A row with NaN, +inf or nothing but -inf becomes NaN. Source: `torch.nn.functional.log_softmax`.
///
/// ```
/// use logloss::{Shape, cpu};
///
/// let mut out = [0.0; 2];
/// cpu::log_softmax(Shape::new(1, 2), 1.0, &[1e6, 1e6], &mut out)?;
/// assert_eq!(out, [-std::f32::consts::LN_2; 2]);
/// # Ok::<(), logloss::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidOption`] for a temperature that is not finite and greater than 0; [`Error::LengthMismatch`] if a slice does not
/// fit the shape.
pub fn log_softmax(shape: Shape, temperature: f32, logits: &[f32], out: &mut [f32]) -> Result<()> {
    checks::temperature(temperature)?;
    let expected = shape.elements();
    for (name, got) in [("logits", logits.len() as u64), ("out", out.len() as u64)] {
        if got != expected {
            return Err(Error::LengthMismatch { name, expected, got });
        }
    }
    // Without classes there are no elements, and a chunk of 1 is never taken.
    let classes = (shape.classes as usize).max(1);
    let rows = (PART / classes).max(1);
    let instructions = Instructions::best();
    let chunks = logits.chunks(rows * classes).zip(out.chunks_mut(rows * classes)).collect();
    let of_chunk = |_, (logits, out), (): &mut ()| instructions.run(Rows { temperature, classes, logits, out });
    in_pool(expected, || in_parallel_with(chunks, || (), of_chunk));
    Ok(())
}

/// Logits of a part, about.
const PART: usize = 1 << 16;

struct Rows<'a> {
    temperature: f32,
    classes: usize,
    logits: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let inverse_t = 1.0 / self.temperature;
        let exp = Exp::new(simd, inverse_t);
        for (x, out) in self.logits.chunks_exact(self.classes).zip(self.out.chunks_exact_mut(self.classes)) {
            let merged = row_statistics(simd, exp, x, inverse_t.into());
            if merged.sum.is_nan() || merged.sum == 0.0 {
                out.fill(f32::NAN);
                continue;
            }
            // Both terms are at most 0, so nothing cancels.
            let (reference, log_sum) = (merged.reference, merged.sum.ln() as f32);
            for (out, x) in out.iter_mut().zip(x) {
                *out = (x - reference) * inverse_t - log_sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_softmax_of(logits: &[f32], temperature: f32) -> Vec<f32> {
        let mut out = vec![0.0; logits.len()];
        log_softmax(Shape::new(1, logits.len() as u32), temperature, logits, &mut out).expect("a shape that fits");
        out
    }

    #[test]
    fn agrees_with_float64_at_any_offset_and_temperature() {
        for (offset, temperature) in [(0.0, 1.0), (1e6, 1.0), (-3e5, 0.5), (0.0, 7.0)] {
            let logits: Vec<f32> = (0..1003).map(|i| offset + ((i * 37 % 101) as f32 - 50.0) / 4.0).collect();
            let scaled: Vec<f64> = logits.iter().map(|&x| f64::from(x - offset) / f64::from(temperature)).collect();
            let lse = scaled.iter().map(|x| x.exp()).sum::<f64>().ln();
            for (got, x) in log_softmax_of(&logits, temperature).iter().zip(&scaled) {
                let want = x - lse;
                assert!((f64::from(*got) - want).abs() <= 1e-7_f64.max(2e-6 * want.abs()), "{got} is not {want}");
            }
        }
    }

    #[test]
    fn odd_rows() {
        let inf = f32::INFINITY;
        assert_eq!(log_softmax_of(&[0.0, -inf], 1.0), [0.0, -inf]);
        assert!(log_softmax_of(&[-inf, -inf], 1.0).iter().all(|x| x.is_nan()));
        assert!(log_softmax_of(&[0.0, inf], 1.0).iter().all(|x| x.is_nan()));
        assert!(log_softmax_of(&[0.0, f32::NAN], 1.0).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn wrong_arguments_are_errors() {
        let mut out = [0.0; 2];
        assert!(log_softmax(Shape::new(1, 2), 0.0, &[0.0; 2], &mut out).is_err());
        assert!(log_softmax(Shape::new(1, 2), 1.0, &[0.0; 3], &mut out).is_err());
        assert!(log_softmax(Shape::new(1, 3), 1.0, &[0.0; 3], &mut out).is_err());
        assert!(log_softmax(Shape::new(0, 0), 1.0, &[], &mut []).is_ok());
    }
}
