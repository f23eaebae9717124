//! Tiles: as many rows as a vector has lanes, a row a lane.

use crate::cpu::simd::{MAX_LANES, Simd, SimdBase, load, splat};
use crate::cpu::tensor::{LineWriter, Part};

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
    let Some(rows) = part.rows_together(first, reach, buffer) else {
        for lane in 0..n {
            let row = part.row(first + lane, buffer);
            (0..classes).for_each(|c| tile[c * lanes + lane] = row[c]);
        }
        return;
    };
    for c in (0..classes).step_by(lanes) {
        let mut columns = [splat(simd, 0.0); MAX_LANES];
        for (r, column) in columns.iter_mut().enumerate().take(n) {
            let from = &rows[r * classes + c..];
            *column = if from.len() >= lanes {
                load(simd, from, 0)
            } else {
                let mut vector = [0.0; MAX_LANES];
                vector[..from.len()].copy_from_slice(from);
                load(simd, &vector, 0)
            };
        }
        let columns = transposed::<S>(columns);
        for (column, tile) in columns.iter().zip(tile[c * lanes..].chunks_exact_mut(lanes)) {
            column.store_slice(tile);
        }
    }
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
    // A vector may reach into the front of the next row, which is stored after it: rows in order, and the last classes first.
    for c in (0..classes).step_by(lanes).rev() {
        let mut rows = [splat(simd, 0.0); MAX_LANES];
        for (i, row) in rows.iter_mut().enumerate().take(lanes.min(classes - c)) {
            *row = load(simd, tile, (c + i) * lanes);
        }
        let rows = transposed::<S>(rows);
        for (r, row) in rows.iter().enumerate().take(lanes) {
            row.store_slice(&mut staging[r * classes + c..][..lanes]);
        }
    }
    part.write_rows(writer, first, &staging[..n * classes]);
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
