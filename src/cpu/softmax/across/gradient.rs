//! The gradient of a group.

use super::place::Place;
use super::{Scratch, Work};
use crate::cpu::simd::turn::turn_out;
use crate::cpu::simd::{BLOCK, Simd, SimdBase};
use crate::cpu::softmax::finish::MarginLoss;
use crate::cpu::softmax::group::Gradients;
use crate::cpu::tensor::{LineWriter, Part};

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Turns the exponentials of a group into its gradient and writes it.
    #[inline(always)]
    pub(super) fn gradient<const EXTRA: bool, const TURNED: bool>(
        &self,
        place: Place,
        scratch: &mut Scratch,
        part: &mut Part<'_>,
        writers: &mut [LineWriter<'_>],
    ) {
        let Self { simd, classes, ref ledger, .. } = *self;
        let Scratch { x, capped, rows, .. } = scratch;
        let (e, slopes): (&mut [f32], &[f32]) = match self.rows.options.softcap {
            Some(_) => (&mut capped.high, &capped.slope),
            None => (&mut x[..place.values::<S>(classes)], &[]),
        };
        let group = place.group;
        let (is_contiguous, size) = (part.layout().is_contiguous(), group.n * classes);
        let is_plain = ledger.gradients == Gradients::OfTargets;
        let mut written = 0;
        if TURNED {
            rows.extend_to(e.len() + BLOCK);
            if is_contiguous {
                part.start_rows(&mut writers[0], group.first..group.first + group.n);
            }
        }
        for (k, conclusion) in ledger.conclusions[..group.tiles::<S>()].iter().enumerate() {
            let of_tile = place.tile(k);
            let slopes = if slopes.is_empty() { slopes } else { &slopes[of_tile.clone()] };
            let fates = if is_plain { None } else { Some(self.rows.fates(simd, ledger.classes_of(k), conclusion)) };
            let (tile, of_class) = (self.tile(k, place), &mut e[of_tile.clone()]);
            if !TURNED {
                for c in 0..classes {
                    let value = tile.gradient::<EXTRA>(c, of_class, slopes, conclusion, fates.as_ref());
                    value.store_slice(&mut of_class[c * place.stride..][..S::f32s::LEN]);
                }
                continue;
            }
            if is_contiguous {
                // The tile before, whose rows have left the registers.
                written += writers[0].push_blocks(simd, &rows[written..of_tile.start]);
            }
            turn_out(
                simd,
                classes,
                &mut rows[of_tile.start..],
                #[inline(always)]
                |c| tile.gradient::<EXTRA>(c, of_class, slopes, conclusion, fates.as_ref()),
            );
        }
        if !TURNED {
            let n = writers.len();
            for (c, column) in e.chunks_exact(place.stride).enumerate().take(classes) {
                part.push_column(simd, &mut writers[c % n], group.first, c, &column[..group.n]);
            }
        } else if is_contiguous {
            writers[0].push_all(simd, &rows[written..size]);
        } else {
            part.write_rows(simd, &mut writers[0], group.first, &rows[..size]);
        }
    }
}
