//! Which way rows lie in a tile.

use std::ops::Range;

use super::{MAX_WIDE, Wide, load, splat, wide_len};
use crate::Layout;
use crate::cpu::simd::{Select, Simd, SimdBase};
use crate::cpu::tensor::{LineWriter, Part};

/// A tile is read, computed and written by as many numbers as [`wide_len`] says.
pub(in crate::cpu) trait Direction: Send + Sync {
    /// The most rows of a tile.
    const MOST_ROWS: usize;

    /// Rows of a tile.
    fn rows<S: Simd>() -> usize;

    /// Numbers of a tile.
    fn numbers<S: Simd>(classes: usize) -> usize;

    /// Where a class of a row is.
    fn place<S: Simd>(class: usize, row: usize) -> usize;

    /// Their classes, from number `at` on.
    fn classes<S: Simd>(simd: S, at: usize) -> Wide<S>;

    /// From a sum a lane to that of its row.
    fn total<S: Simd>(simd: S, sums: Wide<S>) -> Wide<S>;

    /// From the largest number of each lane and its class to those of its row.
    fn largest<S: Simd>(simd: S, max: Wide<S>, class: Wide<S>) -> (Wide<S>, Wide<S>);

    /// One value a row.
    fn of_rows<S: Simd>(simd: S, values: &[f64; MAX_WIDE]) -> Wide<S>;

    /// One value a class, from number `at` on; behind the last class is 0. `values` is as long as a row of [`Along`].
    fn of_classes<S: Simd>(simd: S, values: &[f64], at: usize) -> Wide<S>;

    /// Fills up what a tile has besides its classes.
    fn fill_up<T: Copy>(tile: &mut [T], classes: usize, value: T);

    /// Reads the logits of `rows`, no more than a tile has.
    fn read<S: Simd>(simd: S, part: &Part<'_>, rows: Range<usize>, tile: &mut [f32], buffer: &mut Vec<f32>);

    /// Asks for what comes some way behind chunk `k`, of [`wide_len`] numbers, of the tile that begins with a row, where memory is
    /// read in order.
    #[inline(always)]
    fn fetch<S: Simd>(part: &Part<'_>, row: usize, k: usize) {
        if part.layout().inner() == 1 {
            part.fetch_ahead(part.row_start(row) + k * wide_len::<S>(), wide_len::<S>());
        }
    }

    /// Writes their gradient.
    fn write<S: Simd>(
        simd: S,
        part: &mut Part<'_>,
        writer: &mut LineWriter<'_>,
        rows: Range<usize>,
        tile: &[f32],
        buffer: &mut Vec<f32>,
    );
}

/// Classes up to which rows lie across the lanes. Where their classes are neighbours and have to be turned, tiles of more, which would
/// not stay in the second cache, are slower than rows along the lanes.
const ACROSS: u32 = 256;
/// Where they lie apart, which spares gathering each row: less than half the time even of 30,000. A tile has 28 to 44 bytes a class and
/// row, so of more it would have too much of a thread's memory.
const PLANES_ACROSS: u32 = 4096;

/// Whether rows of a layout are to lie across the lanes.
pub(in crate::cpu) fn is_across(layout: &Layout) -> bool {
    layout.classes() <= if layout.inner() > 1 { PLANES_ACROSS } else { ACROSS }
}

/// A row along the lanes.
pub(in crate::cpu) struct Along;

/// A row a lane.
pub(in crate::cpu) struct Across;

/// The lanes of all vectors, taken together two by two.
#[inline(always)]
fn fold<S: Simd>(wide: Wide<S>, of: impl Fn(S::f64s, S::f64s) -> S::f64s, of_two: impl Fn(f64, f64) -> f64) -> f64 {
    let [a, b, c, d] = wide;
    let mut lanes = [0.0; MAX_WIDE];
    of(of(a, c), of(b, d)).store_slice(&mut lanes[..S::f64s::LEN]);
    let mut n = S::f64s::LEN;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] = of_two(lanes[i], lanes[i + n]);
        }
    }
    lanes[0]
}

impl Direction for Along {
    const MOST_ROWS: usize = 1;

    #[inline(always)]
    fn rows<S: Simd>() -> usize {
        1
    }

    #[inline(always)]
    fn numbers<S: Simd>(classes: usize) -> usize {
        classes.next_multiple_of(wide_len::<S>())
    }

    #[inline(always)]
    fn place<S: Simd>(class: usize, _: usize) -> usize {
        class
    }

    #[inline(always)]
    fn classes<S: Simd>(simd: S, at: usize) -> Wide<S> {
        let mut first = [0.0; MAX_WIDE];
        for (i, class) in first.iter_mut().enumerate() {
            *class = i as f64;
        }
        let (mut classes, at) = (load(simd, &first), S::f64s::splat(simd, at as f64));
        for vector in &mut classes {
            *vector += at;
        }
        classes
    }

    #[inline(always)]
    fn total<S: Simd>(simd: S, sums: Wide<S>) -> Wide<S> {
        splat(simd, fold::<S>(sums, |a, b| a + b, |a, b| a + b))
    }

    #[inline(always)]
    fn largest<S: Simd>(simd: S, max: Wide<S>, class: Wide<S>) -> (Wide<S>, Wide<S>) {
        let largest = splat(simd, fold::<S>(max, SimdBase::max, f64::max));
        // Of several, the first.
        let mut first = splat(simd, f64::INFINITY);
        for (i, first) in first.iter_mut().enumerate() {
            *first = max[i].simd_eq(largest[i]).select(class[i], *first);
        }
        (largest, splat(simd, fold::<S>(first, SimdBase::min, f64::min)))
    }

    #[inline(always)]
    fn of_rows<S: Simd>(simd: S, values: &[f64; MAX_WIDE]) -> Wide<S> {
        splat(simd, values[0])
    }

    #[inline(always)]
    fn of_classes<S: Simd>(simd: S, values: &[f64], at: usize) -> Wide<S> {
        load(simd, &values[at..])
    }

    #[inline(always)]
    fn fill_up<T: Copy>(tile: &mut [T], classes: usize, value: T) {
        tile[classes..].fill(value);
    }

    #[inline(always)]
    fn read<S: Simd>(_: S, part: &Part<'_>, rows: Range<usize>, tile: &mut [f32], buffer: &mut Vec<f32>) {
        let row = part.row(rows.start, buffer);
        tile[..row.len()].copy_from_slice(row);
    }

    #[inline(always)]
    fn write<S: Simd>(
        simd: S,
        part: &mut Part<'_>,
        writer: &mut LineWriter<'_>,
        rows: Range<usize>,
        tile: &[f32],
        _: &mut Vec<f32>,
    ) {
        let classes = part.layout().classes() as usize;
        part.write_rows(simd, writer, rows.start, &tile[..classes]);
    }
}

impl Direction for Across {
    const MOST_ROWS: usize = MAX_WIDE;

    #[inline(always)]
    fn rows<S: Simd>() -> usize {
        wide_len::<S>()
    }

    #[inline(always)]
    fn numbers<S: Simd>(classes: usize) -> usize {
        classes * wide_len::<S>()
    }

    #[inline(always)]
    fn place<S: Simd>(class: usize, row: usize) -> usize {
        class * wide_len::<S>() + row
    }

    #[inline(always)]
    fn classes<S: Simd>(simd: S, at: usize) -> Wide<S> {
        splat(simd, (at / wide_len::<S>()) as f64)
    }

    #[inline(always)]
    fn total<S: Simd>(_: S, sums: Wide<S>) -> Wide<S> {
        sums
    }

    #[inline(always)]
    fn largest<S: Simd>(_: S, max: Wide<S>, class: Wide<S>) -> (Wide<S>, Wide<S>) {
        (max, class)
    }

    #[inline(always)]
    fn of_rows<S: Simd>(simd: S, values: &[f64; MAX_WIDE]) -> Wide<S> {
        load(simd, values)
    }

    #[inline(always)]
    fn of_classes<S: Simd>(simd: S, values: &[f64], at: usize) -> Wide<S> {
        splat(simd, values[at / wide_len::<S>()])
    }

    #[inline(always)]
    fn fill_up<T: Copy>(_: &mut [T], _: usize, _: T) {}

    #[inline(always)]
    fn read<S: Simd>(simd: S, part: &Part<'_>, rows: Range<usize>, tile: &mut [f32], buffer: &mut Vec<f32>) {
        part.read_columns(simd, rows, wide_len::<S>(), tile, buffer);
    }

    #[inline(always)]
    fn write<S: Simd>(
        simd: S,
        part: &mut Part<'_>,
        writer: &mut LineWriter<'_>,
        rows: Range<usize>,
        tile: &[f32],
        buffer: &mut Vec<f32>,
    ) {
        part.write_columns(simd, writer, rows, wide_len::<S>(), tile, buffer);
    }
}
