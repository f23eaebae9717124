//! The first pass: overlaps of predictions and targets.

use super::tile::{Tile, total};
use super::{Context, Overlap};
use crate::cpu::simd::{Kernel, Simd};
use crate::cpu::tensor::Part;

/// What a part adds up.
pub(super) struct PartSums {
    pub(super) first_sample: usize,
    /// Shape (samples, classes in regions).
    pub(super) overlaps: Vec<Overlap>,
    pub(super) position_loss: f64,
    /// Positions that are not finite, and the first of them.
    pub(super) non_finite: u32,
    pub(super) first_non_finite: Option<usize>,
}

pub(super) struct Sums<'a, 'p, const N: usize> {
    pub(super) context: &'a Context<'a>,
    pub(super) part: &'a mut Part<'p>,
    pub(super) tile: &'a mut Tile<N>,
}

impl<const N: usize> Kernel for Sums<'_, '_, N> {
    type Output = PartSums;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> PartSums {
        let Self { context, part, tile } = self;
        let classes = context.classes.len();
        let rows = part.rows();
        let (first_sample, last_sample) = (context.sample(rows.start), context.sample(rows.end.max(1) - 1));
        let mut sums = PartSums {
            first_sample,
            overlaps: vec![Overlap::default(); (last_sample + 1 - first_sample) * classes],
            position_loss: 0.0,
            non_finite: 0,
            first_non_finite: None,
        };
        let mut next = rows.start;
        while next < rows.end {
            tile.read(simd, context, part, next..rows.end);
            next += tile.n;
            // A NaN of the background reaches no loss without it, other than one of the positions.
            let mut lost = [false; N];
            for (k, class) in context.classes.clone().enumerate() {
                let (p, miss, t) = (&tile.p[class], &tile.miss[class], tile.targets(class));
                let [mut tp, mut fp, mut fn_, mut squares] = [[0.0; N]; 4];
                for i in 0..N {
                    tp[i] = p[i] * t[i];
                    fp[i] = p[i] * (1.0 - t[i]);
                    fn_[i] = miss[i] * t[i];
                    squares[i] = (fp[i] - fn_[i]) * (fp[i] - fn_[i]);
                    lost[i] |= p[i].is_nan();
                }
                for (sample, of) in tile.samples(context) {
                    let total = |lanes| total(lanes, &of, tile.n);
                    sums.overlaps[(sample - first_sample) * classes + k].add(&Overlap {
                        tp: total(&tp),
                        fp: total(&fp),
                        fn_: total(&fn_),
                        squares: total(&squares),
                        targets: total(&t),
                    });
                }
            }
            if let Some((_, position)) = context.position {
                let losses = position.losses(context, tile);
                sums.position_loss += total(&losses, &(0..tile.n), tile.n);
                (0..N).for_each(|i| lost[i] |= !tile.finite[i]);
            }
            for i in (0..tile.n).filter(|&i| lost[i] && tile.counts[i]) {
                sums.non_finite += 1;
                sums.first_non_finite.get_or_insert(tile.first + i);
            }
        }
        sums
    }
}
