//! Powers of two: with AVX-512 from a table in two registers and an instruction that scales, else by putting an exponent together.

use super::native::{self, has_table};
use super::{BLOCK, Block, Simd, SimdBase, SimdFloat, splat};

/// Two polynomials for one power `b^r`, highest power first.
pub(super) struct Fit {
    /// `b^r`, wherever `r` rounds to.
    pub(super) far: [f32; 7],
    /// `(b^r - 1) / r`, within 1/64 of it in octaves, for where there is a table.
    pub(super) near: [f32; 2],
}

/// `2^n b^r`, with `n = sum - round`, where `d` is above `lowest` or NaN, and 0 elsewhere, if there is a table; else `n` is from -127,
/// whose power is 0, to 128, whose power is infinite. All vectors at once; between the steps it calls `between` with each one's number.
#[inline(always)]
pub(super) fn powers<S: Simd, const N: usize>(
    simd: S,
    fit: &Fit,
    sums: &[S::f32s; N],
    r: &[S::f32s; N],
    d: &[S::f32s; N],
    lowest: S::f32s,
    mut between: impl FnMut(usize),
) -> [S::f32s; N] {
    const { assert!(N <= BLOCK, "a step for each") };
    if !has_table::<S>() {
        let mut p = fit.of(simd, r, between);
        for (p, sum) in p.iter_mut().zip(sums) {
            *p *= power_of_two::<S>(*sum);
        }
        return p;
    }
    let (table, mut p) = fit.beside_table(simd, sums, r, &mut between);
    step::<N>(2, &mut between);
    for ((p, entry), r) in p.iter_mut().zip(&table).zip(r) {
        *p = (*entry * *r).mul_add(*p, *entry);
    }
    step::<N>(3, &mut between);
    for ((p, sum), d) in p.iter_mut().zip(sums).zip(d) {
        *p = scaled_above::<S>(*p, *sum - round(simd), *d, lowest);
    }
    p
}

/// Calls `between` with a step's number if there are so many. Not a closure: what is none of these is not always inlined, and then
/// everything that it holds is in memory.
#[inline(always)]
fn step<const N: usize>(i: usize, between: &mut impl FnMut(usize)) {
    if i < N {
        between(i);
    }
}

/// The sum of the [`powers`] of a block. With a table, `r` is 0 where `d` is not above `lowest`.
///
/// Each is added as the product of a scale and a polynomial that it is, fused: no rounding of its own, and fewer operations.
#[inline(always)]
pub(super) fn sum_of_powers<S: Simd>(
    simd: S,
    fit: &Fit,
    sums: &Block<S>,
    r: &Block<S>,
    d: &Block<S>,
    lowest: S::f32s,
    mut between: impl FnMut(usize),
) -> S::f32s {
    let (mut scale, mut p);
    if has_table::<S>() {
        (scale, p) = fit.beside_table(simd, sums, r, &mut between);
        between(2);
        for ((scale, sum), d) in scale.iter_mut().zip(sums).zip(d) {
            *scale = scaled_above::<S>(*scale, *sum - round(simd), *d, lowest);
        }
        between(3);
        for (p, r) in p.iter_mut().zip(r) {
            *p = p.mul_add(*r, splat(simd, 1.0));
        }
    } else {
        (scale, p) = (*sums, fit.of(simd, r, between));
        for scale in &mut scale {
            *scale = power_of_two::<S>(*scale);
        }
    }
    let [a, b] = [scale[0] * p[0], scale[1] * p[1]];
    scale[2].mul_add(p[2], a) + scale[3].mul_add(p[3], b)
}

impl Fit {
    /// `b^r`, in steps.
    #[inline(always)]
    fn of<S: Simd, const N: usize>(&self, simd: S, r: &[S::f32s; N], mut between: impl FnMut(usize)) -> [S::f32s; N] {
        let mut p = [splat(simd, self.far[0]); N];
        for (i, c) in self.far[1..].iter().enumerate() {
            step::<N>(i, &mut between);
            for (p, r) in p.iter_mut().zip(r) {
                *p = p.mul_add(*r, splat(simd, *c));
            }
        }
        p
    }

    /// `2^(n - floor n)` from the table and `(b^r - 1) / r`, in two steps.
    #[inline(always)]
    fn beside_table<S: Simd, const N: usize>(
        &self,
        simd: S,
        sums: &[S::f32s; N],
        r: &[S::f32s; N],
        between: &mut impl FnMut(usize),
    ) -> ([S::f32s; N], [S::f32s; N]) {
        let [c2, c1] = self.near.map(|c| splat(simd, c));
        let (mut entries, mut p) = (*sums, *r);
        step::<N>(0, between);
        for entry in &mut entries {
            *entry = looked_up(simd, *entry);
        }
        step::<N>(1, between);
        for p in &mut p {
            *p = c2.mul_add(*p, c1);
        }
        (entries, p)
    }
}

/// `d k - n`; with a table 0 where `d` is not above `lowest`, nor NaN.
#[inline(always)]
pub(super) fn residue<S: Simd>(d: S::f32s, k: S::f32s, n: S::f32s, lowest: S::f32s) -> S::f32s {
    if has_table::<S>() { native::residue::<S>(d, k, n, lowest) } else { d.mul_sub(k, n) }
}

/// What rounds when it is added.
///
/// With a table 1.5 * 2^18: to a multiple of 1/32, the low bits of the sum being which. Else 1.5 * 2^23 and the exponent's bias: to an
/// integer, its biased form being in the low bits.
#[inline(always)]
pub(super) fn round<S: Simd>(simd: S) -> S::f32s {
    splat(simd, if has_table::<S>() { 393_216.0 } else { 12_582_912.0 + 127.0 })
}

/// `2^n`, of a `sum = n + round` without a table. `n` is from -127, whose power is 0, to 128, whose power is infinite.
#[inline(always)]
fn power_of_two<S: Simd>(sum: S::f32s) -> S::f32s {
    S::f32s::from_bits(sum.to_bits() << 23)
}

/// `2^(i/32)`.
#[rustfmt::skip]
const TABLE: [f32; 32] = [
    1.0, 1.021_897_2, 1.044_273_7, 1.067_140_5, 1.090_507_7, 1.114_386_8, 1.138_788_6, 1.163_724_9,
    1.189_207_1, 1.215_247_4, 1.241_857_8, 1.269_051, 1.296_839_6, 1.325_236_7, 1.354_255_6, 1.383_91,
    std::f32::consts::SQRT_2, 1.445_180_8, 1.476_826_2, 1.509_164_5, 1.542_210_8, 1.575_980_9, 1.610_490_3, 1.645_755_5,
    1.681_792_9, 1.718_619_3, 1.756_252_2, 1.794_709_1, 1.834_008_1, 1.874_167_7, 1.915_206_6, 1.957_144_1,
];

/// `2^(n - floor n)`, within `u`, of a `sum = n + round` with a table.
#[inline(always)]
fn looked_up<S: Simd>(simd: S, sum: S::f32s) -> S::f32s {
    let [low, high] = [&TABLE[..16], &TABLE[16..]].map(|half| S::f32s::from_slice(simd, half));
    native::looked_up::<S>(low, high, sum)
}

/// `p * 2^floor(n)` for an `n` of any size, where `d` is above `lowest` or NaN; 0 elsewhere. With a table.
///
/// Lanes that are 0 are not computed: on the way to a number below the normal ones a processor stops for a hundred cycles.
#[inline(always)]
fn scaled_above<S: Simd>(p: S::f32s, n: S::f32s, d: S::f32s, lowest: S::f32s) -> S::f32s {
    native::scaled_above::<S>(p, n, d, lowest)
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn the_table_is_that_of_float64() {
        for (i, &power) in TABLE.iter().enumerate() {
            assert_eq!(power, (i as f64 / 32.0).exp2() as f32, "2^({i}/32)");
        }
    }
}
