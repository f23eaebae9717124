//! Rows next to one another, turned into tiles and back in registers.

use super::TURNED;
use crate::cpu::simd::quads::{load_octets, load_quads, store_quads};
use crate::cpu::simd::{BLOCK, Block, MAX_LANES, Simd, SimdBase, splat};

/// Numbers that the rows of a tile may reach over.
pub(super) const PADDED: usize = TURNED * MAX_LANES;

/// As many rows as a vector has lanes, next to one another.
#[derive(Clone, Copy)]
pub(super) struct TileRows<'a> {
    /// To the end of the last row, and of four numbers at its front.
    rows: &'a [f32],
    classes: usize,
}

impl<'a> TileRows<'a> {
    /// The first `n` rows. Vectors reach into what `rows` has behind them; if that is too little, the rows move to `padded`, with 0
    /// behind them.
    #[inline(always)]
    pub(super) fn new<S: Simd>(rows: &'a [f32], classes: usize, n: usize, padded: &'a mut [f32]) -> Self {
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
    pub(super) fn quad<S: Simd>(&self, simd: S, c: usize) -> Block<S> {
        assert!(c <= self.classes.saturating_sub(BLOCK));
        // SAFETY: the rows reach as far, by `new`.
        unsafe { load_quads(simd, self.rows.as_ptr().add(c), self.classes) }
    }

    /// As [`quad`](Self::quad), of eight.
    #[inline(always)]
    pub(super) fn octet<S: Simd>(&self, simd: S, c: usize) -> [Block<S>; 2] {
        assert!(c + 2 * BLOCK <= self.classes);
        // SAFETY: the rows reach as far, by `new`.
        unsafe { load_octets(simd, self.rows.as_ptr().add(c), self.classes) }
    }

    /// The last `N` classes.
    #[inline(always)]
    pub(super) fn last<S: Simd, const N: usize>(&self, simd: S) -> [S::f32s; N] {
        const { assert!(N <= BLOCK) };
        let quad = self.quad(simd, self.classes.saturating_sub(BLOCK));
        let mut last = [quad[0]; N];
        for (i, vector) in last.iter_mut().enumerate() {
            *vector = if self.classes < BLOCK { quad[i] } else { quad[BLOCK - N + i] };
        }
        last
    }

    /// Turns the rows into a tile.
    #[inline(always)]
    pub(super) fn turn_in<S: Simd>(&self, simd: S, tile: &mut [f32]) {
        let lanes = S::f32s::LEN;
        let tile = &mut tile[..self.classes * lanes];
        for c in quads(self.classes) {
            for (vector, to) in self.quad(simd, c).iter().zip(tile[c * lanes..].chunks_exact_mut(lanes)) {
                vector.store_slice(to);
            }
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
pub(super) fn turn_out<S: Simd>(simd: S, classes: usize, rows: &mut [f32], column: impl Fn(usize) -> S::f32s) {
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
