//! Rows next to one another, turned into tiles and back in registers.

use super::quads::{load_octets, load_quads, store_quads};
use super::{BLOCK, Block, Simd, SimdBase, splat};

/// As many rows as a vector has lanes, next to one another.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct TileRows<'a> {
    /// To the end of the last row, and of four numbers at its front.
    rows: &'a [f32],
    classes: usize,
}

impl<'a> TileRows<'a> {
    /// The first `n` rows. Vectors reach into what `rows` has behind them; if that is too little, the rows move to `padded`, with 0
    /// behind them.
    #[inline(always)]
    pub(in crate::cpu) fn new<S: Simd>(rows: &'a [f32], classes: usize, n: usize, padded: &'a mut [f32]) -> Self {
        let reach = (S::f32s::LEN - 1) * classes + classes.max(BLOCK);
        if rows.len() >= reach {
            return Self { rows: &rows[..reach], classes };
        }
        let (own, rest) = padded.split_at_mut(n * classes);
        own.copy_from_slice(&rows[..n * classes]);
        rest.fill(0.0);
        Self { rows: &padded[..reach], classes }
    }

    /// Four classes from `c` on, a row a lane. Behind the last class are numbers of no meaning.
    #[inline(always)]
    pub(in crate::cpu) fn quad<S: Simd>(&self, simd: S, c: usize) -> Block<S> {
        assert!(c <= self.classes.saturating_sub(BLOCK));
        // SAFETY: the rows reach as far, by `new`.
        unsafe { load_quads(simd, self.rows.as_ptr().add(c), self.classes) }
    }

    /// As [`quad`](Self::quad), of eight.
    #[inline(always)]
    pub(in crate::cpu) fn octet<S: Simd>(&self, simd: S, c: usize) -> [Block<S>; 2] {
        assert!(c + 2 * BLOCK <= self.classes);
        // SAFETY: the rows reach as far, by `new`.
        unsafe { load_octets(simd, self.rows.as_ptr().add(c), self.classes) }
    }

    /// The last `N` classes.
    #[inline(always)]
    pub(in crate::cpu) fn last<S: Simd, const N: usize>(&self, simd: S) -> [S::f32s; N] {
        const { assert!(N <= BLOCK) };
        let quad = self.quad(simd, self.classes.saturating_sub(BLOCK));
        let mut last = [quad[0]; N];
        for (i, vector) in last.iter_mut().enumerate() {
            *vector = if self.classes < BLOCK { quad[i] } else { quad[BLOCK - N + i] };
        }
        last
    }

    /// Turns the rows into a tile, `stride` numbers from class to class.
    #[inline(always)]
    pub(in crate::cpu) fn turn_in<S: Simd>(&self, simd: S, tile: &mut [f32], stride: usize) {
        let lanes = S::f32s::LEN;
        for c in quads(self.classes) {
            for (i, vector) in self.quad(simd, c).iter().enumerate() {
                if let Some(to) = tile.get_mut((c + i) * stride..(c + i) * stride + lanes) {
                    vector.store_slice(to);
                }
            }
        }
    }
}

/// Turns rows next to one another into a tile, `stride` numbers from class to class: as many rows.
#[inline(always)]
pub(in crate::cpu) fn turn_all_in<S: Simd>(simd: S, classes: usize, rows: &[f32], tile: &mut [f32], stride: usize) {
    match classes {
        0 | 1 => tile.copy_from_slice(rows),
        2 => turn_few_in::<2>(rows, tile, stride),
        3 => turn_few_in::<3>(rows, tile, stride),
        _ => {
            for first in (0..stride).step_by(S::f32s::LEN) {
                let rows = TileRows::new::<S>(&rows[first * classes..], classes, S::f32s::LEN, &mut []);
                rows.turn_in(simd, &mut tile[first..], stride);
            }
        }
    }
}

/// And back. What is behind the rows is overwritten, four numbers.
#[inline(always)]
pub(in crate::cpu) fn turn_all_out<S: Simd>(simd: S, classes: usize, tile: &[f32], rows: &mut [f32], stride: usize) {
    match classes {
        0 | 1 => rows[..tile.len()].copy_from_slice(tile),
        2 => turn_few_out::<2>(tile, rows, stride),
        3 => turn_few_out::<3>(tile, rows, stride),
        _ => {
            for first in (0..stride).step_by(S::f32s::LEN) {
                turn_out(
                    simd,
                    classes,
                    &mut rows[first * classes..],
                    #[inline(always)]
                    |c| S::f32s::from_slice(simd, &tile[c * stride + first..][..S::f32s::LEN]),
                );
            }
        }
    }
}

/// Of so few classes that loops over them become shuffles.
#[inline(always)]
fn turn_few_in<const CLASSES: usize>(rows: &[f32], tile: &mut [f32], stride: usize) {
    for c in 0..CLASSES {
        for (to, row) in tile[c * stride..(c + 1) * stride].iter_mut().zip(rows.as_chunks::<CLASSES>().0) {
            *to = row[c];
        }
    }
}

#[inline(always)]
fn turn_few_out<const CLASSES: usize>(tile: &[f32], rows: &mut [f32], stride: usize) {
    let rows = &mut rows.as_chunks_mut::<CLASSES>().0[..stride];
    for (i, row) in rows.iter_mut().enumerate() {
        for (c, to) in row.iter_mut().enumerate() {
            *to = tile[c * stride + i];
        }
    }
}

/// Where the quads of a row begin: the last of them ends with the row, and may overlap the one before.
#[inline(always)]
fn quads(classes: usize) -> impl Iterator<Item = usize> {
    let last = classes.saturating_sub(BLOCK);
    (0..classes).step_by(BLOCK).map(
        #[inline(always)]
        move |c| c.min(last),
    )
}

/// Stores a tile as rows next to one another; `column` gives a class. What is behind the rows is overwritten, up to four numbers.
#[inline(always)]
pub(in crate::cpu) fn turn_out<S: Simd>(simd: S, classes: usize, rows: &mut [f32], column: impl Fn(usize) -> S::f32s) {
    let rows = &mut rows[..S::f32s::LEN * classes + BLOCK];
    for c in quads(classes) {
        let mut quad = [splat(simd, 0.0); BLOCK];
        for (i, vector) in quad.iter_mut().enumerate() {
            if i < classes {
                *vector = column(c + i);
            }
        }
        // SAFETY: the last row begins at (lanes - 1) * classes, and four numbers from its class c on end before classes + 4.
        unsafe { store_quads(simd, &quad, rows.as_mut_ptr().add(c), classes) };
    }
}
