//! Vectors: which instructions run, and the functions that are computed with them.
//!
//! Every algorithm of the engine stands once, generic over [`fearless_simd::Simd`], and is compiled for each instruction set.
//! Whatever touches vectors must be inlined into the function that has the instructions: loops, not `array::map` and its kin, whose
//! bodies are compiled apart, without them.

pub(super) mod exp;
pub(super) mod exp64;
pub(super) mod gather;
pub(super) mod half;
pub(super) mod log64;
pub(super) mod math;
pub(super) mod memory;
mod native;
pub(super) mod odds;
mod powers;
pub(super) mod quads;
pub(super) mod turn;

use fearless_simd::Level;
pub(super) use fearless_simd::{Bytes, Select, Simd, SimdBase, SimdFloat, SimdInt, SimdMask, SimdNarrow, SimdWiden};

/// The widest native vector, in float32 lanes.
pub(super) const MAX_LANES: usize = 16;

/// One float32 a lane.
pub(super) type Lanes = [f32; MAX_LANES];

/// Vectors of a block: what a loop over a row does at a time.
pub(super) const BLOCK: usize = 4;

/// Of each lane, yes or no.
pub(super) type Mask<S> = <<S as Simd>::f32s as SimdBase<S>>::Mask;

/// Neighbours in memory, in registers.
pub(super) type Block<S> = [<S as Simd>::f32s; BLOCK];

/// The longest block, in float32.
pub(super) const MAX_BLOCK: usize = BLOCK * MAX_LANES;

/// Which vector instructions the engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Instructions {
    /// AVX-512 as of Ice Lake: 16 lanes.
    Avx512,
    /// AVX2 with FMA, x86-64-v3: 8 lanes.
    Avx2,
    /// NEON of 64-bit ARM: 4 lanes.
    Neon,
    /// What every processor of the target has: SSE2 on x86-64, NEON on ARM, SIMD128 in WebAssembly that is compiled with it, scalars
    /// elsewhere; 4 lanes.
    Baseline,
}

impl Instructions {
    /// Every set, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Baseline];

    /// The fastest set of this processor.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|set| set.is_available()).unwrap_or(Self::Baseline)
    }

    /// Whether this processor has them.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx512 => Level::new().as_avx512().is_some(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Self::Avx2 => Level::new().as_avx2().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Baseline => true,
            #[allow(unreachable_patterns, reason = "every target lacks some of the sets")]
            _ => false,
        }
    }

    /// Runs a kernel, compiled for these instructions. Without them it runs with the baseline's.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        let level = Level::new();
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        match self {
            Self::Avx512 => {
                if let Some(simd) = level.as_avx512() {
                    return simd.vectorize(
                        #[inline(always)]
                        || kernel.run(simd),
                    );
                }
            }
            Self::Avx2 => {
                if let Some(simd) = level.as_avx2() {
                    return simd.vectorize(
                        #[inline(always)]
                        || kernel.run(simd),
                    );
                }
            }
            Self::Neon | Self::Baseline => {}
        }
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(simd) = level.as_sse2() {
            return simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            );
        }
        let _ = level;
        baseline(kernel)
    }
}

/// The target's own instructions, where no processor of it has more.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn baseline<K: Kernel>(kernel: K) -> K::Output {
    fearless_simd::dispatch!(Level::baseline(), simd => kernel.run(simd))
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn baseline<K: Kernel>(_: K) -> K::Output {
    unreachable!("fearless_simd runs on no x86 without SSE2")
}

/// Whether the vectors are those of AVX-512, and so the processor has its instructions: on x86-64 no others have 16 lanes.
#[inline(always)]
pub(super) const fn has_avx512<S: Simd>() -> bool {
    cfg!(target_arch = "x86_64") && S::f32s::LEN == 16
}

/// An algorithm over vectors of any width.
pub(super) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, so that it is compiled with the instructions of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// All lanes `value`.
#[inline(always)]
pub(super) fn splat<S: Simd>(simd: S, value: f32) -> S::f32s {
    S::f32s::splat(simd, value)
}

/// Lanes `values[at..]`.
#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, values: &[f32], at: usize) -> S::f32s {
    S::f32s::from_slice(simd, &values[at..at + S::f32s::LEN])
}

/// The first lanes of an array.
#[inline(always)]
pub(super) fn load_lanes<S: Simd>(simd: S, values: &Lanes) -> S::f32s {
    S::f32s::from_slice(simd, &values[..S::f32s::LEN])
}

/// float32 numbers of a block.
#[inline(always)]
pub(super) const fn block_len<S: Simd>() -> usize {
    BLOCK * S::f32s::LEN
}

/// The first block of `values`.
#[inline(always)]
pub(super) fn load_block<S: Simd>(simd: S, values: &[f32]) -> Block<S> {
    let values = &values[..block_len::<S>()];
    let mut block = [splat(simd, 0.0); BLOCK];
    for (i, vector) in block.iter_mut().enumerate() {
        *vector = load(simd, values, i * S::f32s::LEN);
    }
    block
}

/// The sum of the vectors of a block, lane by lane.
#[inline(always)]
pub(super) fn total<S: Simd>(block: &Block<S>) -> S::f32s {
    let [a, b, c, d] = *block;
    (a + c) + (b + d)
}

/// Stores a block at the front of `values`.
#[inline(always)]
pub(super) fn store_block<S: Simd>(block: &Block<S>, values: &mut [f32]) {
    let values = &mut values[..block_len::<S>()];
    for (vector, values) in block.iter().zip(values.chunks_exact_mut(S::f32s::LEN)) {
        vector.store_slice(values);
    }
}

/// As [`load_block`], of as many values as there are, with `fill` behind them.
#[inline(always)]
pub(super) fn load_up_to<S: Simd>(simd: S, values: &[f32], fill: f32) -> Block<S> {
    if values.len() >= block_len::<S>() {
        return load_block(simd, values);
    }
    let mut block = [splat(simd, fill); BLOCK];
    for (vector, values) in block.iter_mut().zip(values.chunks(S::f32s::LEN)) {
        *vector = load_vector_up_to(simd, values, fill);
    }
    block
}

/// The first vector of `values`, with `fill` behind them if they are fewer.
#[inline(always)]
pub(super) fn load_vector_up_to<S: Simd>(simd: S, values: &[f32], fill: f32) -> S::f32s {
    if values.len() >= S::f32s::LEN {
        return load(simd, values, 0);
    }
    let mut lanes = [fill; MAX_LANES];
    lanes[..values.len()].copy_from_slice(values);
    load_lanes(simd, &lanes)
}

/// The lanes of a block, numbered.
#[inline(always)]
pub(super) fn numbers<S: Simd>(simd: S) -> [S::u32s; BLOCK] {
    let mut first = [0; MAX_LANES];
    for (i, number) in first.iter_mut().enumerate() {
        *number = i as u32;
    }
    let mut numbers = [S::u32s::from_slice(simd, &first[..S::f32s::LEN]); BLOCK];
    for (i, vector) in numbers.iter_mut().enumerate() {
        *vector += S::u32s::splat(simd, (i * S::f32s::LEN) as u32);
    }
    numbers
}

/// The block with `value` in the lane of number `at`.
#[inline(always)]
pub(super) fn replaced<S: Simd>(
    simd: S,
    block: &Block<S>,
    numbers: &[S::u32s; BLOCK],
    at: usize,
    value: f32,
) -> Block<S> {
    let (at, value) = (S::u32s::splat(simd, at as u32), splat(simd, value));
    let mut replaced = *block;
    for (vector, numbers) in replaced.iter_mut().zip(numbers) {
        *vector = numbers.simd_eq(at).select(value, *vector);
    }
    replaced
}

/// The block with `fill` in the lanes of the numbers before `first`.
#[inline(always)]
pub(super) fn from<S: Simd>(
    simd: S,
    block: &Block<S>,
    numbers: &[S::u32s; BLOCK],
    first: usize,
    fill: f32,
) -> Block<S> {
    let (first, fill) = (S::u32s::splat(simd, first as u32), splat(simd, fill));
    let mut cut = *block;
    for (vector, numbers) in cut.iter_mut().zip(numbers) {
        *vector = numbers.simd_lt(first).select(fill, *vector);
    }
    cut
}

/// As [`store_block`], of as many values as there is room for.
#[inline(always)]
pub(super) fn store_up_to<S: Simd>(block: &Block<S>, values: &mut [f32]) {
    if values.len() >= block_len::<S>() {
        return store_block::<S>(block, values);
    }
    let mut all = [0.0; MAX_BLOCK];
    store_block::<S>(block, &mut all);
    values.copy_from_slice(&all[..values.len()]);
}

/// Vectors `stride` apart, the first at `at`: as many as a vector has lanes.
#[inline(always)]
pub(super) fn load_rows<S: Simd>(simd: S, values: &[f32], at: usize, stride: usize) -> [S::f32s; MAX_LANES] {
    let lanes = S::f32s::LEN;
    check_rows(lanes, values, at, stride);
    let mut rows = [splat(simd, 0.0); MAX_LANES];
    for (r, row) in rows.iter_mut().enumerate().take(lanes) {
        let at = at + r * stride;
        // SAFETY: the last of these rows is in the slice, which was checked.
        *row = load(simd, unsafe { values.get_unchecked(at..at + lanes) }, 0);
    }
    rows
}

/// One check for all rows; nothing in it can overflow.
#[inline(always)]
fn check_rows(lanes: usize, values: &[f32], at: usize, stride: usize) {
    assert!(at <= values.len() && stride <= values.len() / lanes);
    assert!(at + (lanes - 1) * stride + lanes <= values.len());
}

/// The vector as an array; the lanes it lacks are 0.
#[inline(always)]
pub(super) fn to_lanes<S: Simd>(vector: S::f32s) -> Lanes {
    let mut lanes = [0.0; MAX_LANES];
    vector.store_slice(&mut lanes[..S::f32s::LEN]);
    lanes
}
