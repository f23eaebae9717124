//! The logarithm in float64.
//!
//! `x = 2^e m` with `m` in [sqrt(1/2), sqrt 2), and `log m = 2 atanh s` with `s = (m - 1) / (m + 1)`, which is its series.

use super::{Bytes, Select, Simd, SimdBase, SimdFloat};

/// The bits of `sqrt(1/2)`, from which on a mantissa belongs to the next exponent.
const ROOT: u64 = 0x3fe6_a09e_667f_3bcd;

/// What makes a float64 of an integer below 2^52 in its lowest bits: `2^52`, and that number.
const INTEGER: (u64, f64) = (0x4330_0000_0000_0000, 4_503_599_627_370_496.0);

/// `atanh(s) / s = sum z^k / (2 k + 1)` with `z = s^2`, the highest power first: the rest is below `0.0295^10 / 21 = 3e-17`.
const SERIES: [f64; 10] =
    [1.0 / 19.0, 1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0, 1.0];

/// `log x` of a normal number, within 1e-15 relative, or absolute near 1; +inf stays, and what is not above 0 is NaN.
#[inline(always)]
pub(in crate::cpu) fn logarithms<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    let number = |value: f64| S::f64s::splat(simd, value);
    let bits = |value: u64| S::u64s::splat(simd, value);
    // One more than the largest negative exponent keeps the shifted bits positive.
    let shifted = x.bitcast::<S::u64s>() - bits(ROOT) + bits(1023 << 52);
    let e = ((shifted >> 52) | bits(INTEGER.0)).bitcast::<S::f64s>() - number(INTEGER.1 + 1023.0);
    let m = ((shifted & bits((1 << 52) - 1)) + bits(ROOT)).bitcast::<S::f64s>();
    let s = (m - number(1.0)) / (m + number(1.0));
    let z = s * s;
    let mut series = number(0.0);
    for c in SERIES {
        series = series.mul_add(z, number(c));
    }
    let log = e.mul_add(number(std::f64::consts::LN_2), (s + s) * series);
    let log = x.simd_lt(number(f64::INFINITY)).select(log, x);
    x.simd_gt(number(0.0)).select(log, number(f64::NAN))
}

/// `log(1 + x)` of numbers from 0 on, within 1e-15 relative: what the sum rounds off is added to its logarithm.
#[inline(always)]
pub(in crate::cpu) fn logarithms_of_one_more<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    let one = S::f64s::splat(simd, 1.0);
    let sum = one + x;
    logarithms(simd, sum) + (x - (sum - one)) / sum
}

#[cfg(test)]
mod tests {
    use super::{logarithms, logarithms_of_one_more};
    use crate::cpu::Instructions;
    use crate::cpu::simd::{Kernel, Simd, SimdBase};

    struct Log<'a>(&'a mut [f64]);

    impl Kernel for Log<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for x in self.0.chunks_exact_mut(S::f64s::LEN) {
                logarithms(simd, S::f64s::from_slice(simd, x)).store_slice(x);
            }
        }
    }

    struct OneMore<'a>(&'a mut [f64]);

    impl Kernel for OneMore<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for x in self.0.chunks_exact_mut(S::f64s::LEN) {
                logarithms_of_one_more(simd, S::f64s::from_slice(simd, x)).store_slice(x);
            }
        }
    }

    #[test]
    fn logarithms_of_one_more_than_all_sizes() {
        let numbers: Vec<f64> =
            (0..8000).map(|i| if i < 8 { 0.0 } else { (0.02 * f64::from(i - 7000)).exp2() }).collect();
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let mut got = numbers.clone();
            set.run(OneMore(&mut got));
            for (x, got) in numbers.iter().zip(&got) {
                let want = x.ln_1p();
                assert!((got - want).abs() <= 1e-15 * want, "{set:?}: log(1 + {x:e}) is {got:e}, want {want:e}");
            }
        }
    }

    #[test]
    fn logarithms_of_all_sizes() {
        let numbers: Vec<f64> =
            (0..8000).map(|i| (0.05 * f64::from(i - 4000)).exp2() * (1.0 + 1e-5 * f64::from(i))).collect();
        for set in Instructions::ALL.into_iter().filter(|set| set.is_available()) {
            let mut got = numbers.clone();
            set.run(Log(&mut got));
            for (x, got) in numbers.iter().zip(&got) {
                let want = x.ln();
                assert!(
                    (got - want).abs() <= 1e-15 * want.abs().max(1.0),
                    "{set:?}: log {x:e} is {got:e}, want {want:e}"
                );
            }
            let mut odd = [f64::INFINITY, f64::NAN, 0.0, -1.0, 1.0, 1.0, 1.0, 1.0];
            set.run(Log(&mut odd));
            assert_eq!((odd[0], odd[4]), (f64::INFINITY, 0.0));
            assert!(odd[1..4].iter().all(|log| log.is_nan()), "{odd:?}");
        }
    }
}
