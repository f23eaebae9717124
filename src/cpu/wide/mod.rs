//! Float64 numbers of tiles of rows, by vectors, for losses whose terms cancel.

mod direction;
mod softmax;

pub(super) use direction::{Across, Along, Direction, is_across};
pub(super) use softmax::{Chain, LogPartition, Statistics, softmax};

use super::simd::{MAX_LANES, Select, Simd, SimdBase, SimdNarrow, SimdWiden};

/// Vectors that go through a loop together, since the operations of one wait for each other.
pub(super) const WIDE: usize = 4;

/// Neighbours in a tile.
pub(super) type Wide<S> = [<S as Simd>::f64s; WIDE];

/// Of each of them, yes or no.
pub(super) type WideMask<S> = [<<S as Simd>::f64s as SimdBase<S>>::Mask; WIDE];

/// The most numbers that these are.
pub(super) const MAX_WIDE: usize = WIDE * MAX_LANES / 2;

/// How many numbers these are.
#[inline(always)]
pub(super) const fn wide_len<S: Simd>() -> usize {
    WIDE * S::f64s::LEN
}

/// All `value`.
#[inline(always)]
pub(super) fn splat<S: Simd>(simd: S, value: f64) -> Wide<S> {
    [S::f64s::splat(simd, value); WIDE]
}

/// The first of `values`.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, values: &[f64]) -> Wide<S> {
    let mut wide = splat(simd, 0.0);
    for (vector, values) in wide.iter_mut().zip(values[..wide_len::<S>()].chunks_exact(S::f64s::LEN)) {
        *vector = S::f64s::from_slice(simd, values);
    }
    wide
}

/// Stores at the front of `values`.
#[inline(always)]
pub(super) fn store<S: Simd>(wide: &Wide<S>, values: &mut [f64]) {
    for (vector, values) in wide.iter().zip(values[..wide_len::<S>()].chunks_exact_mut(S::f64s::LEN)) {
        vector.store_slice(values);
    }
}

/// As [`load`], of float32.
#[inline(always)]
pub(super) fn load_narrow<S: Simd>(simd: S, values: &[f32]) -> Wide<S> {
    let mut wide = splat(simd, 0.0);
    for (pair, values) in wide.chunks_exact_mut(2).zip(values[..wide_len::<S>()].chunks_exact(S::f32s::LEN)) {
        let (low, high) = S::f32s::from_slice(simd, values).widen();
        pair.copy_from_slice(&[low, high]);
    }
    wide
}

/// As [`store`], rounded to float32.
#[inline(always)]
pub(super) fn store_narrow<S: Simd>(wide: &Wide<S>, values: &mut [f32]) {
    for (pair, values) in wide.chunks_exact(2).zip(values[..wide_len::<S>()].chunks_exact_mut(S::f32s::LEN)) {
        pair[0].narrow(pair[1]).store_slice(values);
    }
}

/// `factor * term`, where a factor of 0 makes 0 of any term.
#[inline(always)]
pub(super) fn times<S: Simd>(simd: S, factor: S::f64s, term: S::f64s) -> S::f64s {
    let zero = S::f64s::splat(simd, 0.0);
    factor.simd_eq(zero).select(zero, factor * term)
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
pub(super) fn weighted(weight: f64, term: f64) -> f64 {
    if weight == 0.0 && term.is_infinite() { 0.0 } else { weight * term }
}
