//! Vectors: which instructions run, and the functions that are computed with them.
//!
//! Every algorithm of the engine stands once, generic over [`fearless_simd::Simd`], and is compiled for each instruction set.

pub(super) mod math;
pub(super) mod memory;

use fearless_simd::Level;
pub(super) use fearless_simd::{Bytes, ExtractToken, Select, Simd, SimdBase, SimdFloat, SimdInt};

/// The widest native vector, in float32 lanes.
pub(super) const MAX_LANES: usize = 16;

/// One float32 a lane.
pub(super) type Lanes = [f32; MAX_LANES];

/// Which vector instructions the engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Instructions {
    /// AVX-512 as of Ice Lake: 16 lanes.
    Avx512,
    /// AVX2 with FMA, x86-64-v3: 8 lanes.
    Avx2,
    /// NEON of 64-bit ARM: 4 lanes.
    Neon,
    /// What every processor of the target has: SSE2 on x86-64, NEON on ARM, scalars elsewhere; 4 lanes.
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

/// `values[at..]`, as many as there are, and `fill` in the other lanes.
#[inline(always)]
pub(super) fn load_part<S: Simd>(simd: S, values: &[f32], at: usize, fill: f32) -> S::f32s {
    let mut lanes = [fill; MAX_LANES];
    let part = &values[at..values.len().min(at + S::f32s::LEN)];
    lanes[..part.len()].copy_from_slice(part);
    load_lanes(simd, &lanes)
}

/// Stores into `values[at..]` as many lanes as there is room for.
#[inline(always)]
pub(super) fn store_part<S: Simd>(vector: S::f32s, values: &mut [f32], at: usize) {
    let part = &mut values[at..];
    let n = part.len().min(S::f32s::LEN);
    part[..n].copy_from_slice(&vector.as_slice()[..n]);
}

/// The vector as an array; the lanes it lacks are 0.
#[inline(always)]
pub(super) fn to_lanes<S: Simd>(vector: S::f32s) -> Lanes {
    let mut lanes = [0.0; MAX_LANES];
    vector.store_slice(&mut lanes[..S::f32s::LEN]);
    lanes
}
