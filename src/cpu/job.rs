//! A batch at work: what a loss is handed, and what it hands back.

use super::simd::{Instructions, MAX_LANES, Simd, SimdBase, SimdWiden};
use super::softmax::{Finished, TILES};
use super::survey::{Survey, subtree_sum, tree_sum};
use super::tensor::{Part, Tensor};
use crate::totals::{Label, PairwiseSum};
use crate::{ABSENT, Definition, Details, Summary, Targets};

/// A checked batch, and where the results go.
pub struct Job<'a> {
    pub(super) instructions: Instructions,
    pub(super) definition: Definition<'a>,
    pub(super) tensor: Tensor<'a>,
    pub(super) targets: Targets<'a>,
    pub(super) class_weights: Option<&'a [f32]>,
    pub(super) pos_weights: Option<&'a [f32]>,
    pub(super) row_weights: Option<&'a [f32]>,
    /// One a unit of the loss.
    pub(super) losses: Option<&'a mut [f32]>,
    /// One a row.
    pub(super) details: Option<&'a mut [Details]>,
}

/// Results of the rows of a part; empty where nobody asks for them.
pub(super) struct RowOutputs<'a> {
    pub(super) losses: &'a mut [f32],
    pub(super) details: &'a mut [Details],
}

/// The outputs before they are cut up.
pub(super) struct Outputs<'a> {
    pub(super) losses: Option<&'a mut [f32]>,
    pub(super) details: Option<&'a mut [Details]>,
}

/// Pieces of `length`, or `n` empty ones.
pub(super) fn cut<T>(values: Option<&mut [T]>, length: usize, n: usize) -> Vec<&mut [T]> {
    match values {
        Some(values) if !values.is_empty() => values.chunks_mut(length).collect(),
        _ => (0..n).map(|_| <&mut [T]>::default()).collect(),
    }
}

impl<'a> Job<'a> {
    pub(super) fn take_outputs(&mut self) -> Outputs<'a> {
        Outputs { losses: self.losses.take(), details: self.details.take() }
    }

    /// As [`Tensor::for_rows`], with the outputs of each part's rows.
    pub(super) fn for_rows<T: Send, R: Send>(
        &self,
        length: usize,
        outputs: Outputs<'_>,
        scratch: impl Fn() -> T + Send + Sync,
        task: impl Fn(&mut Part<'_>, RowOutputs<'_>, &mut T) -> R + Send + Sync,
    ) -> Vec<R> {
        let parts = (self.tensor.layout().rows() as usize).div_ceil(length);
        let losses = cut(outputs.losses, length, parts);
        let details = cut(outputs.details, length, parts);
        let outputs = losses.into_iter().zip(details).map(|(losses, details)| RowOutputs { losses, details });
        self.tensor.for_rows(length, outputs.collect(), scratch, task)
    }
}

/// What the rows of a part come to.
pub(super) struct RowTotals {
    first: usize,
    losses: PairwiseSum,
    non_finite: u32,
    first_non_finite: Option<usize>,
}

impl RowTotals {
    pub(super) fn new(rows: std::ops::Range<usize>) -> Self {
        Self { first: rows.start, losses: PairwiseSum::default(), non_finite: 0, first_non_finite: None }
    }

    /// Adds the next row.
    #[inline(always)]
    pub(super) fn push(&mut self, label: Label, row: usize, finished: &Finished, lane: usize, losses: &mut [f32]) {
        let counts = matches!(label, Label::Class(_));
        let is_finite = !counts || finished.is_finite(lane);
        self.push_loss(row, if counts { finished.loss[lane] } else { 0.0 }, is_finite, losses);
    }

    /// Adds the next row.
    #[inline(always)]
    pub(super) fn push_loss(&mut self, row: usize, loss: f32, is_finite: bool, losses: &mut [f32]) {
        self.push_sum(row, loss.into(), is_finite);
        if let Some(slot) = losses.get_mut(row - self.first) {
            *slot = loss;
        }
    }
}

impl RowTotals {
    /// Adds the next rows, none of which is not finite: a power of two of which the rows so far are a multiple, or the last.
    #[inline(always)]
    pub(super) fn push_losses<const N: usize>(&mut self, row: usize, of_rows: &[f32], losses: &mut [f32]) {
        let mut terms = [0.0; N];
        let terms = &mut terms[..of_rows.len()];
        terms.iter_mut().zip(of_rows).for_each(|(term, &loss)| *term = loss.into());
        self.push_sums(terms);
        if !losses.is_empty() {
            losses[row - self.first..][..of_rows.len()].copy_from_slice(of_rows);
        }
    }

    /// As [`push_losses`](Self::push_losses), of what the losses of each row come to. They are lost.
    #[inline(always)]
    pub(super) fn push_sums(&mut self, of_rows: &mut [f64]) {
        if of_rows.len().is_power_of_two() {
            let level = of_rows.len().ilog2();
            self.losses.push_tree(subtree_sum(of_rows), level);
        } else {
            of_rows.iter().for_each(|&sum| self.losses.push(sum));
        }
    }

    /// The first row.
    pub(super) const fn first(&self) -> usize {
        self.first
    }

    /// Adds the next rows, a row a lane, all of which count and are finite: a power of two of tiles, up to [`TILES`], whose number
    /// divides that of the tiles so far.
    #[inline(always)]
    pub(super) fn push_tiles<S: Simd>(&mut self, simd: S, row: usize, of_tiles: &[S::f32s], losses: &mut [f32]) {
        let mut sums = [S::f64s::splat(simd, 0.0); TILES];
        for (sum, of_tile) in sums.iter_mut().zip(of_tiles) {
            let (low, high) = of_tile.widen();
            *sum = sums_of_pairs::<S>(low, high);
        }
        let mut n = of_tiles.len();
        while n > 1 {
            n /= 2;
            for i in 0..n {
                sums[i] = sums_of_pairs::<S>(sums[2 * i], sums[2 * i + 1]);
            }
        }
        let mut lanes = [0.0; MAX_LANES / 2];
        sums[0].store_slice(&mut lanes[..S::f64s::LEN]);
        let rows = of_tiles.len() * S::f32s::LEN;
        self.losses.push_tree(subtree_sum(&mut lanes[..S::f64s::LEN]), rows.ilog2());
        if !losses.is_empty() {
            let losses = &mut losses[row - self.first..][..rows];
            for (of_tile, to) in of_tiles.iter().zip(losses.chunks_exact_mut(S::f32s::LEN)) {
                of_tile.store_slice(to);
            }
        }
    }

    /// Adds what the losses of the next row come to.
    #[inline(always)]
    pub(super) fn push_sum(&mut self, row: usize, loss: f64, is_finite: bool) {
        if !is_finite {
            self.non_finite += 1;
            self.first_non_finite.get_or_insert(row);
        }
        self.losses.push(loss);
    }
}

/// Of the lanes of both, those of `a` first, each with its neighbour.
#[inline(always)]
fn sums_of_pairs<S: Simd>(a: S::f64s, b: S::f64s) -> S::f64s {
    a.unzip_low(b) + a.unzip_high(b)
}

/// What a batch came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub(super) survey: Survey,
    /// The reduced loss, unless it is that of the sum.
    pub(super) loss: Option<f64>,
    pub(super) loss_sum: f64,
    pub(super) non_finite: u32,
    pub(super) first_non_finite: Option<u32>,
}

impl Outcome {
    pub(super) fn of_rows(survey: Survey, totals: &[RowTotals]) -> Self {
        Self {
            survey,
            loss: None,
            loss_sum: tree_sum(totals.len(), |i| totals[i].losses.total()),
            non_finite: totals.iter().map(|part| part.non_finite).sum(),
            first_non_finite: totals.iter().find_map(|part| part.first_non_finite).map(|row| row as u32),
        }
    }

    pub(super) fn summary(&self, definition: &Definition<'_>, rows: u32) -> Summary {
        let survey = &self.survey;
        Summary {
            loss: self.loss.unwrap_or_else(|| survey.reduced(definition.reduction, self.loss_sum)) as f32,
            loss_sum: self.loss_sum as f32,
            weight_sum: survey.weight_sum as f32,
            gradient_scale: survey.gradient_scale as f32,
            rows,
            ignored: survey.ignored,
            first_ignored: survey.first_ignored.unwrap_or(ABSENT),
            bad_targets: 0,
            first_bad_row: ABSENT,
            first_bad_target: 0,
            non_finite: self.non_finite,
            first_non_finite: self.first_non_finite.unwrap_or(ABSENT),
            reserved: [0; 4],
        }
    }
}
