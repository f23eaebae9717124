//! Tiles whose rows all count, with a weight of 1, several together.

use super::across::Scratch;
use super::cap::cap;
use super::finish::{Conclusion, MarginLoss, Statistics};
use super::tile::{TILES, Tile, turn_in, turn_out};
use super::{MAX_ROWS, Rows};
use crate::cpu::RowTotals;
use crate::cpu::simd::math::Exp;
use crate::cpu::simd::{MAX_LANES, Simd, SimdBase, SimdMask, splat};
use crate::cpu::tensor::{LineWriter, Part};

/// Tiles at work. Each step is done for all of them before the next, since the steps of one wait for each other.
pub(super) struct Plain<'w, 'r, 'p, S: Simd, M> {
    pub(super) rows: &'w Rows<'r, M>,
    pub(super) exp: Exp<S>,
    /// Of all rows of the batch.
    pub(super) targets: &'w [i32],
    pub(super) part: &'w mut Part<'p>,
    pub(super) writer: Option<&'w mut LineWriter<'p>>,
    pub(super) scratch: &'w mut Scratch,
}

impl<S: Simd, M: MarginLoss> Plain<'_, '_, '_, S, M> {
    /// Evaluates the rows of the tiles from row `first` on, and adds them to the totals. Or does nothing and gives false, if a row has no
    /// softmax or the rows are not next to one another.
    #[inline(always)]
    pub(super) fn run<const EXTRA: bool>(
        self,
        simd: S,
        first: usize,
        totals: &mut RowTotals,
        losses: &mut [f32],
    ) -> bool {
        let Self { rows, exp, targets, part, writer, scratch } = self;
        let Scratch { tile: x, exponentials, capped, buffer } = scratch;
        let (lanes, classes, together) = (S::f32s::LEN, part.layout().classes() as usize, TILES * S::f32s::LEN);
        let size = classes * lanes;
        x.resize(TILES * size, 0.0);
        exponentials.resize(TILES * size, 0.0);
        let behind = (part.rows().end - first).min(together + lanes.div_ceil(classes));
        let Some(logits) = part.rows_together(first, behind, buffer) else { return false };
        let is_capped = EXTRA && rows.options.softcap.is_some();
        macro_rules! tile {
            ($k:expr) => {{
                let (of_tile, first) = ($k * size..($k + 1) * size, first + $k * lanes);
                let targets = S::u32s::from_slice(simd, bytemuck::cast_slice(&targets[first..first + lanes]));
                let (mut of_x, mut low): (&[f32], &[f32]) = (&x[of_tile.clone()], &[]);
                if is_capped {
                    (of_x, low) = (&capped.high[of_tile.clone()], &capped.low[of_tile]);
                }
                Tile { simd, exp, x: of_x, low, targets, weights: None }
            }};
        }
        let mut statistics = [Statistics::plain(simd); TILES];
        macro_rules! add {
            ($k:expr) => {
                let e = &mut exponentials[$k * size..($k + 1) * size];
                statistics[$k] = tile!($k).statistics::<EXTRA>(e, [splat(simd, 1.0); 2]);
            };
        }
        for k in 0..TILES {
            part.fetch_ahead(part.row_start(first + k * lanes), size);
            turn_in(simd, &logits[k * size..], classes, lanes, &mut x[k * size..(k + 1) * size]);
            // At once, since turning and exponentials keep different parts of a processor busy.
            if !is_capped {
                add!(k);
            }
        }
        if let Some(softcap) = rows.options.softcap.filter(|_| EXTRA) {
            cap(x, softcap, capped);
            for k in 0..TILES {
                add!(k);
            }
        }
        let mut conclusions = [Conclusion::none(simd); TILES];
        rows.finishing(classes).several(simd, &statistics, &mut conclusions);
        let mut of_rows = [0.0; MAX_ROWS];
        let mut are_finite = splat(simd, 0.0).simd_eq(splat(simd, 0.0));
        for (loss, Conclusion { loss: of_tile, lse, .. }) in of_rows.chunks_exact_mut(lanes).zip(&conclusions) {
            of_tile.store_slice(loss);
            are_finite &= lse.simd_eq(*lse);
        }
        if !are_finite.all_true() {
            return false;
        }
        totals.push_rows(first, &of_rows[..together], losses);
        let Some(writer) = writer else { return true };
        buffer.resize(TILES * size + MAX_LANES, 0.0);
        part.start_rows(writer, first..first + together);
        let mut written = 0;
        for (k, (e, conclusion)) in exponentials.chunks_exact_mut(size).zip(&conclusions).enumerate() {
            let slope = is_capped.then(|| &capped.slope[k * size..(k + 1) * size]);
            tile!(k).gradient::<EXTRA>(e, conclusion, slope, None);
            turn_out(simd, e, classes, &mut buffer[k * size..]);
            // At once, so that the computation goes on while memory takes them.
            written += writer.push_blocks(simd, &buffer[written..(k + 1) * size]);
        }
        writer.push(&buffer[written..TILES * size]);
        true
    }
}
