//! Rows of few classes, which are turned to be added up: a row a lane.

use super::Work;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::memory::{AHEAD, LINE, prefetch};
use crate::cpu::simd::turn::TileRows;
use crate::cpu::simd::{BLOCK, Simd, SimdBase, SimdMask, splat};
use crate::cpu::softmax::finish::{MarginLoss, Statistics};
use crate::cpu::softmax::group::Group;
use crate::cpu::softmax::tally::Tally;
use crate::cpu::tensor::LinesAhead;

/// Classes up to which turning rows takes less time than adding up each along its classes.
pub(super) const FEW: usize = 32;

/// What the rows of a group are added up from.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// Their exponentials, with more behind them.
    Exponentials(&'a [f32]),
    /// Their logits, where nobody else needs the exponentials.
    Logits(&'a [f32]),
}

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Reads the labels and adds up the rows but for their targets, whose exponentials it finds; says whether all are near 0.
    #[inline(never)]
    pub(super) fn add_up_few(
        &mut self,
        group: Group,
        values: Values<'_>,
        padded: &mut [f32],
        ahead: &mut LinesAhead,
    ) -> bool {
        self.ledger.read_labels(group);
        self.known.reference[..group.n].fill(0.0);
        match values {
            Values::Exponentials(e) => self.add_up_tiles::<false>(group, e, padded, ahead),
            Values::Logits(x) => self.add_up_tiles::<true>(group, x, padded, ahead),
        }
    }

    #[inline(always)]
    fn add_up_tiles<const LOGITS: bool>(
        &mut self,
        group: Group,
        values: &[f32],
        padded: &mut [f32],
        ahead: &mut LinesAhead,
    ) -> bool {
        let Self { simd, exp, classes, ref mut known, ref ledger, ref mut sums, .. } = *self;
        let lanes = S::f32s::LEN;
        let sums = &mut sums[..group.tiles::<S>()];
        let lines = ahead.left().div_ceil(sums.len());
        simd.vectorize(
            #[inline(always)]
            || {
                // Copies, which no store can change.
                let (exp, mut next) = (exp, *ahead);
                let mut are_near = splat(simd, 0.0).simd_eq(splat(simd, 0.0));
                let tiles = sums.iter_mut().zip(known.target_exp.chunks_exact_mut(lanes));
                for (k, (sum, target_exp)) in tiles.enumerate() {
                    let n = lanes.min(group.n - k * lanes);
                    let rows = TileRows::new::<S>(&values[k * lanes * classes..], classes, n, padded);
                    let statistics = of_tile::<S, LOGITS>(simd, exp, &rows, classes, ledger.classes_of(k));
                    if LOGITS {
                        fetch_ahead(&values[k * lanes * classes..][..n * classes]);
                    } else {
                        next.fetch_left(lines);
                    }
                    are_near &= statistics.are_near(simd);
                    *sum = statistics.sum;
                    statistics.target_exp.store_slice(target_exp);
                }
                *ahead = next;
                are_near.all_true()
            },
        )
    }

    /// Adds up the rows of tile `k` once more, of which some were not near 0.
    #[inline(always)]
    pub(super) fn add_up_again(&mut self, k: usize, e: &[f32]) {
        let Self { simd, exp, classes, .. } = *self;
        let lanes = S::f32s::LEN;
        let rows = TileRows::new::<S>(&e[k * lanes * classes..], classes, lanes, &mut []);
        self.sums[k] = of_tile::<S, false>(simd, exp, &rows, classes, self.ledger.classes_of(k)).sum;
    }
}

/// Fetches what comes [`AHEAD`] bytes behind some logits, into the first cache at once: where nothing is stored, lines on their way
/// there are not short of room.
#[inline(always)]
fn fetch_ahead(logits: &[f32]) {
    let from = logits.as_ptr().cast::<u8>().wrapping_add(AHEAD);
    for at in (0..size_of_val(logits)).step_by(LINE) {
        prefetch(from.wrapping_add(at));
    }
}

/// The sums of a tile's exponentials but for those of the targets, and these.
#[inline(always)]
fn of_tile<S: Simd, const LOGITS: bool>(
    simd: S,
    exp: Exp<S>,
    rows: &TileRows<'_>,
    classes: usize,
    targets: S::u32s,
) -> Statistics<S> {
    let mut tally = Tally::new(simd, targets);
    let whole = classes / BLOCK * BLOCK;
    let mut c = 0;
    // Eight classes take fewer moves than twice four.
    while c + 2 * BLOCK <= whole {
        let [first, second] = rows.octet(simd, c);
        add::<S, BLOCK, LOGITS>(exp, first, &mut tally);
        add::<S, BLOCK, LOGITS>(exp, second, &mut tally);
        c += 2 * BLOCK;
    }
    if c < whole {
        add::<S, BLOCK, LOGITS>(exp, rows.quad(simd, c), &mut tally);
    }
    match classes - whole {
        1 => add::<S, 1, LOGITS>(exp, rows.last(simd), &mut tally),
        2 => add::<S, 2, LOGITS>(exp, rows.last(simd), &mut tally),
        3 => add::<S, 3, LOGITS>(exp, rows.last(simd), &mut tally),
        _ => {}
    }
    tally.statistics()
}

#[inline(always)]
fn add<S: Simd, const N: usize, const LOGITS: bool>(exp: Exp<S>, values: [S::f32s; N], tally: &mut Tally<S>) {
    tally.add(&mut if LOGITS { exp.of_some(values) } else { values });
}
