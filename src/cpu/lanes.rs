//! Passes over the logits of a row in float32: the inside that a vectorised engine replaces.
//!
//! Sums run in 16 interleaved accumulators over blocks of 128 elements, which are folded in a fixed tree and added up in float64.
//! A float32 sum thus rounds at most 8 + 4 times, whatever the length: a relative error below `12 * 2^-24 = 7.2e-7` for terms of
//! one sign, and the same bits on every run.

const LANES: usize = 16;
const BLOCK: usize = 8 * LANES;

/// The largest value: NaN if one is NaN, -inf of none.
pub(super) fn max(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut has_nan = [0; LANES];
    let mut raise = |values: &[f32]| {
        for ((largest, has_nan), &x) in largest.iter_mut().zip(&mut has_nan).zip(values) {
            *largest = if x > *largest { x } else { *largest };
            *has_nan |= u32::from(x.is_nan());
        }
    };
    let (whole, rest) = values.as_chunks::<LANES>();
    whole.iter().for_each(|chunk| raise(chunk));
    raise(rest);
    if has_nan.contains(&1) { f32::NAN } else { largest.into_iter().fold(f32::NEG_INFINITY, f32::max) }
}

/// `exp((x - base) / temperature)`. The difference comes first: scaled logits would lose their low digits.
fn exponential(x: f32, base: f32, temperature: f32) -> f32 {
    ((x - base) / temperature).exp()
}

/// `sum_c exp((x_c - base) / temperature)`.
pub(super) fn sum_exp(values: &[f32], base: f32, temperature: f32) -> f64 {
    sum(values, |x| exponential(x, base, temperature))
}

/// As [`sum_exp`], to the bit, and keeps the exponentials.
pub(super) fn store_exp(values: &[f32], base: f32, temperature: f32, exponentials: &mut [f32]) -> f64 {
    for (e, &x) in exponentials.iter_mut().zip(values) {
        *e = exponential(x, base, temperature);
    }
    sum(exponentials, |e| e)
}

/// `sum_c (base - x_c)`.
pub(super) fn sum_deficit(values: &[f32], base: f32) -> f64 {
    sum(values, |x| base - x)
}

/// `sum_c w_c * (base - x_c)`, where a weight of 0 also removes an infinite term.
pub(super) fn sum_weighted_deficit(values: &[f32], weights: &[f32], base: f32) -> f64 {
    sum_pairs(values, weights, |x, w| if w == 0.0 { 0.0 } else { w * (base - x) })
}

fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    sum_pairs(values, values, |x, _| term(x))
}

fn sum_pairs(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let blocks = a.chunks(BLOCK).zip(b.chunks(BLOCK));
    blocks.fold(0.0, |sum, (a, b)| sum + f64::from(sum_block(a, b, &term)))
}

fn sum_block(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut add = |a: &[f32], b: &[f32]| {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(a, b);
        }
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    a.iter().zip(b).for_each(|(a, b)| add(a, b));
    add(a_rest, b_rest);
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        width /= 2;
    }
    lanes[0]
}
