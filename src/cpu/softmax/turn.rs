//! Rows next to one another, turned into tiles and back in registers.

use super::TURNED;
use crate::cpu::simd::{MAX_LANES, Simd, SimdBase, load, load_rows, splat, store_rows};

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
fn with_zeros(rows: &[f32]) -> [f32; (TURNED + 1) * MAX_LANES] {
    let mut padded = [0.0; (TURNED + 1) * MAX_LANES];
    padded[..rows.len()].copy_from_slice(rows);
    padded
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
