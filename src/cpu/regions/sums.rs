//! The first pass: overlaps of predictions and targets.

use super::tile::{Predictions, Tile, none, number};
use super::{Context, Overlap};
use crate::cpu::simd::{Kernel, Simd, SimdBase};
use crate::cpu::tensor::Part;
use crate::cpu::wide::{MAX_WIDE, WIDE, Wide, store};

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

/// Memory of a thread.
#[derive(Default)]
pub(super) struct Scratch {
    tile: Tile,
    /// Shape (classes in regions, sums of an overlap, lanes of a vector): those of the sample that is being read.
    running: Vec<f64>,
}

pub(super) struct Sums<'a, 'p> {
    pub(super) context: &'a Context<'a>,
    pub(super) part: &'a mut Part<'p>,
    pub(super) scratch: &'a mut Scratch,
}

impl Kernel for Sums<'_, '_> {
    type Output = PartSums;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> PartSums {
        let Self { context, part, scratch: Scratch { tile, running } } = self;
        let (classes, lanes) = (context.classes.len(), S::f64s::LEN);
        let rows = part.rows();
        let (first_sample, last_sample) = (context.sample(rows.start), context.sample(rows.end.max(1) - 1));
        let mut sums = PartSums {
            first_sample,
            overlaps: vec![Overlap::default(); (last_sample + 1 - first_sample) * classes],
            position_loss: 0.0,
            non_finite: 0,
            first_non_finite: None,
        };
        running.clear();
        running.resize(classes * Overlap::SUMS * lanes, 0.0);
        let mut next = rows.start;
        while next < rows.end {
            let positions = tile.read(simd, context, part, next..rows.end);
            next = positions.rows().end;
            let sample = positions.sample();
            // A NaN of the background reaches no loss without it, other than one of the positions.
            let mut lost = none(simd);
            for (k, class) in context.classes.clone().enumerate() {
                let predictions = positions.predictions(class);
                for (lost, p) in lost.iter_mut().zip(&predictions.p) {
                    *lost |= !p.simd_eq(*p);
                }
                let terms = terms(simd, &predictions, &positions.targets(class));
                if sample.is_some() {
                    let running = &mut running[k * Overlap::SUMS * lanes..][..Overlap::SUMS * lanes];
                    for ([a, b, c, d], sums) in terms.into_iter().zip(running.chunks_exact_mut(lanes)) {
                        (S::f64s::from_slice(simd, sums) + ((a + b) + (c + d))).store_slice(sums);
                    }
                } else {
                    let mut of_lanes = [[0.0; MAX_WIDE]; Overlap::SUMS];
                    of_lanes.iter_mut().zip(&terms).for_each(|(lanes, terms)| store::<S>(terms, lanes));
                    for (sample, of) in positions.samples() {
                        let overlap = of_lanes.map(|lanes| lanes[of.clone()].iter().sum());
                        sums.overlaps[(sample - first_sample) * classes + k].add(&Overlap::from(overlap));
                    }
                }
            }
            if let Some(sample) = sample.filter(|&sample| next == rows.end || context.sample(next) != sample) {
                let overlaps = &mut sums.overlaps[(sample - first_sample) * classes..];
                for (overlap, sums) in overlaps.iter_mut().zip(running.chunks_exact_mut(Overlap::SUMS * lanes)) {
                    let mut totals = [0.0; Overlap::SUMS];
                    totals.iter_mut().zip(sums.chunks_exact(lanes)).for_each(|(to, sums)| *to = sums.iter().sum());
                    overlap.add(&Overlap::from(totals));
                    sums.fill(0.0);
                }
            }
            if let Some((_, position)) = context.position {
                sums.position_loss += total::<S>(&position.losses(&positions));
                lost.iter_mut().zip(&positions.finite).for_each(|(lost, finite)| *lost |= !*finite);
            }
            let mut of_lanes = [0.0; MAX_WIDE];
            store::<S>(&number(simd, &lost), &mut of_lanes);
            for (row, _) in positions.rows().zip(of_lanes).filter(|(_, lost)| *lost != 0.0) {
                sums.non_finite += 1;
                sums.first_non_finite.get_or_insert(row);
            }
        }
        sums
    }
}

/// What a class of each position adds to the sums of an [`Overlap`].
#[inline(always)]
fn terms<S: Simd>(simd: S, of: &Predictions<S>, targets: &Wide<S>) -> [Wide<S>; Overlap::SUMS] {
    let one = S::f64s::splat(simd, 1.0);
    let [mut tp, mut fp, mut fn_, mut squares] = [of.p; 4];
    for i in 0..WIDE {
        tp[i] = of.p[i] * targets[i];
        fp[i] = of.p[i] * (one - targets[i]);
        fn_[i] = of.miss[i] * targets[i];
        squares[i] = (fp[i] - fn_[i]) * (fp[i] - fn_[i]);
    }
    [tp, fp, fn_, squares, *targets]
}

#[inline(always)]
fn total<S: Simd>([a, b, c, d]: &Wide<S>) -> f64 {
    let mut lanes = [0.0; MAX_WIDE];
    ((*a + *b) + (*c + *d)).store_slice(&mut lanes[..S::f64s::LEN]);
    lanes.iter().sum()
}
