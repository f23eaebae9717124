//! Tiles: as many rows as a vector has lanes, a row a lane.

use super::SHORT;
use super::finish::{Conclusion, Statistics};
use crate::cpu::simd::math::{Exp, at_least};
use crate::cpu::simd::{MAX_LANES, Select, Simd, SimdBase, load, load_rows, splat, store_rows};
use crate::cpu::tensor::{LineWriter, Part};

/// Tiles that are worked on together: enough that the steps of one need not wait for each other.
pub(super) const TILES: usize = 8;

/// Loads rows `first..first + n` into a tile of shape (classes, lanes). Lanes without a row are 0.
#[inline(always)]
pub(super) fn load_tile<S: Simd>(
    simd: S,
    part: &Part<'_>,
    first: usize,
    n: usize,
    tile: &mut [f32],
    buffer: &mut Vec<f32>,
) {
    let (lanes, classes) = (S::f32s::LEN, part.layout().classes() as usize);
    if part.layout().inner() > 1 {
        for (c, tile) in tile.chunks_exact_mut(lanes).enumerate() {
            part.read_strided(first, c, &mut tile[..n]);
        }
        return;
    }
    // A vector may reach into rows behind the tile's.
    let reach = (part.rows().end - first).min(n + lanes.div_ceil(classes.max(1)));
    match part.rows_together(first, reach, buffer) {
        Some(rows) => turn_in(simd, rows, classes, n, tile),
        None => {
            for lane in 0..n {
                let row = part.row(first + lane, buffer);
                (0..classes).for_each(|c| tile[c * lanes + lane] = row[c]);
            }
        }
    }
}

/// Turns `n` rows, next to one another, into a tile. Vectors reach into what `rows` has behind them; if that is too little, it is
/// taken to be 0, and so are lanes without a row.
#[inline(always)]
pub(super) fn turn_in<S: Simd>(simd: S, rows: &[f32], classes: usize, n: usize, tile: &mut [f32]) {
    let lanes = S::f32s::LEN;
    let reach = (lanes - 1) * classes + classes.next_multiple_of(lanes);
    let padded;
    let rows = if rows.len() < reach {
        padded = with_zeros(&rows[..n * classes]);
        &padded[..reach]
    } else {
        &rows[..reach]
    };
    for c in (0..classes).step_by(lanes) {
        let rows = load_rows(simd, rows, c, classes);
        let tile = &mut tile[c * lanes..classes.min(c + lanes) * lanes];
        macro_rules! turn {
            ($n:literal) => {
                let columns = transposed::<S>(rows);
                for (column, tile) in columns[..$n.min(lanes)].iter().zip(tile.chunks_exact_mut(lanes)) {
                    column.store_slice(tile);
                }
            };
        }
        // What is not stored is not computed.
        match classes - c {
            0..=4 => {
                turn!(4);
            }
            5..=8 => {
                turn!(8);
            }
            9..=12 => {
                turn!(12);
            }
            _ => {
                turn!(16);
            }
        }
    }
}

/// The rows of a tile, and 0 behind them.
fn with_zeros(rows: &[f32]) -> [f32; (SHORT + 1) * MAX_LANES] {
    let mut padded = [0.0; (SHORT + 1) * MAX_LANES];
    padded[..rows.len()].copy_from_slice(rows);
    padded
}

/// Writes the tile's first `n` rows as the gradient of rows `first..first + n`.
#[inline(always)]
pub(super) fn write_tile<S: Simd>(
    simd: S,
    part: &mut Part<'_>,
    writer: &mut LineWriter<'_>,
    first: usize,
    n: usize,
    tile: &[f32],
    staging: &mut Vec<f32>,
) {
    let (lanes, classes) = (S::f32s::LEN, part.layout().classes() as usize);
    if part.layout().inner() > 1 {
        for (c, column) in tile.chunks_exact(lanes).enumerate() {
            part.write_strided(first, c, &column[..n]);
        }
        return;
    }
    staging.resize(lanes * classes + MAX_LANES, 0.0);
    turn_out(simd, tile, classes, staging);
    part.write_rows(writer, first, &staging[..n * classes]);
}

/// Turns a tile into rows next to one another. What is behind them is overwritten, up to a vector.
#[inline(always)]
pub(super) fn turn_out<S: Simd>(simd: S, tile: &[f32], classes: usize, rows: &mut [f32]) {
    let lanes = S::f32s::LEN;
    let rows = &mut rows[..lanes * classes + lanes];
    // A vector may reach into the front of the next row, which is stored after it: rows in order, and the last classes first.
    for c in (0..classes).step_by(lanes).rev() {
        let mut columns = [splat(simd, 0.0); MAX_LANES];
        for (i, column) in columns.iter_mut().enumerate().take(lanes.min(classes - c)) {
            *column = load(simd, tile, (c + i) * lanes);
        }
        store_rows::<S>(&transposed::<S>(columns), rows, c, classes);
    }
}

/// The transpose of the first vectors, as many as there are lanes.
///
/// One round interleaves the two halves of the vectors, which as a whole moves element `k` to `2k`, or `2k + 1` behind the half:
/// a rotation of the index's bits. After as many rounds as a lane's index has bits, row and lane have changed places.
#[inline(always)]
fn transposed<S: Simd>(mut vectors: [S::f32s; MAX_LANES]) -> [S::f32s; MAX_LANES] {
    let half = S::f32s::LEN / 2;
    for _ in 0..S::f32s::LEN.ilog2() {
        let before = vectors;
        for i in 0..half {
            vectors[2 * i] = before[i].zip_low(before[i + half]);
            vectors[2 * i + 1] = before[i].zip_high(before[i + half]);
        }
    }
    vectors
}

/// Rows of a tile of shape (classes, lanes).
pub(super) struct Tile<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) exp: Exp<S>,
    pub(super) x: &'a [f32],
    /// What float32 rounds off of `x`; empty without a softcap.
    pub(super) low: &'a [f32],
    pub(super) targets: S::u32s,
    pub(super) weights: Option<&'a [f32]>,
}

impl<S: Simd> Tile<'_, S> {
    /// Statistics of the classes other than the target, and their exponentials; with the weights of the rows' classes and of the
    /// rows.
    ///
    /// Four accumulators in turn: a lane's sum carries at most `classes / 4 + 3` roundings, 22 at most.
    #[inline(always)]
    pub(super) fn statistics<const EXTRA: bool>(
        &self,
        exponentials: &mut [f32],
        weights_of_rows: [S::f32s; 2],
    ) -> Statistics<S> {
        let Self { simd, exp, x, low, targets, weights } = *self;
        let lanes = S::f32s::LEN;
        let (zero, none) = (splat(simd, 0.0), splat(simd, f32::NEG_INFINITY));
        let (first, one) = (S::u32s::splat(simd, 0), S::u32s::splat(simd, 1));
        let mut largest = [splat(simd, f32::MIN); 4];
        let (mut target, mut target_low) = (none, zero);
        let mut class = first;
        macro_rules! mask {
            ($e:expr, $c:expr, $k:expr) => {
                let (is_target, x) = (targets.simd_eq(class), load(simd, x, $c * lanes));
                target = is_target.select(x, target);
                if EXTRA && !low.is_empty() {
                    target_low = is_target.select(load(simd, low, $c * lanes), target_low);
                }
                let x = is_target.select(none, x);
                largest[$k] = at_least(largest[$k], x);
                x.store_slice(&mut $e[$k * lanes..($k + 1) * lanes]);
                class += one;
            };
        }
        // Calls a macro with the exponentials of four classes, a class and the place of both its vector and its accumulator.
        macro_rules! for_classes {
            ($of_class:ident) => {
                for (quad, e) in exponentials.chunks_mut(4 * lanes).enumerate() {
                    let c = 4 * quad;
                    if e.len() == 4 * lanes {
                        $of_class!(e, c, 0);
                        $of_class!(e, c + 1, 1);
                        $of_class!(e, c + 2, 2);
                        $of_class!(e, c + 3, 3);
                    } else {
                        for (i, e) in e.chunks_exact_mut(lanes).enumerate() {
                            $of_class!(e, c + i, 0);
                        }
                    }
                }
            };
        }
        for_classes!(mask);
        let reference = largest[0].max(largest[1]).max(largest[2].max(largest[3]));
        let mut sums = [zero; 4];
        let mut deficits = [zero; 4];
        class = first;
        macro_rules! add {
            ($e:expr, $c:expr, $k:expr) => {
                let x = load(simd, $e, $k * lanes);
                let mut d = x - reference;
                if EXTRA {
                    if !low.is_empty() {
                        d += load(simd, low, $c * lanes);
                    }
                    let w = targets.simd_eq(class).select(zero, splat(simd, weights.map_or(1.0, |w| w[$c])));
                    deficits[$k] += w.simd_eq(zero).select(zero, w * (reference - x));
                    class += one;
                }
                let e = exp.of(d);
                sums[$k] += e;
                e.store_slice(&mut $e[$k * lanes..($k + 1) * lanes]);
            };
        }
        for_classes!(add);
        let [class_weight, row_weight] = weights_of_rows;
        Statistics {
            reference,
            sum: (sums[0] + sums[1]) + (sums[2] + sums[3]),
            deficit: (deficits[0] + deficits[1]) + (deficits[2] + deficits[3]),
            target,
            target_low,
            class_weight,
            row_weight,
        }
    }

    /// Turns the exponentials into the gradient; where a row's fate is not positive, into the number that follows.
    #[inline(always)]
    pub(super) fn gradient<const EXTRA: bool>(
        &self,
        exponentials: &mut [f32],
        conclusion: &Conclusion<S>,
        slope: Option<&[f32]>,
        fates: Option<[S::f32s; 2]>,
    ) {
        let Self { simd, targets, weights, .. } = *self;
        let lanes = S::f32s::LEN;
        let (mut class, one) = (S::u32s::splat(simd, 0), S::u32s::splat(simd, 1));
        let Conclusion { softmax, share, at_target, .. } = *conclusion;
        for (c, g) in exponentials.chunks_exact_mut(lanes).enumerate() {
            let mut value = load(simd, g, 0) * softmax;
            if EXTRA {
                value -= share * splat(simd, weights.map_or(1.0, |w| w[c]));
            }
            value = targets.simd_eq(class).select(at_target, value);
            class += one;
            if let Some(slope) = slope {
                value *= load(simd, slope, c * lanes);
            }
            if let Some([is_alive, constant]) = fates {
                value = is_alive.simd_gt(splat(simd, 0.0)).select(value, constant);
            }
            value.store_slice(g);
        }
    }
}
