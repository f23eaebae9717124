//! Multi-class margin loss on the CPU.

use std::marker::PhantomData;

use super::simd::{Kernel, Select, Simd, SimdBase};
use super::survey::NO_CLASS;
use super::tensor::Part;
use super::wide::{
    Across, Along, Direction, LogPartition, MAX_WIDE, WIDE, Wide, is_across, load_narrow, splat, store, store_narrow,
    times, weighted, wide_len,
};
use super::{CpuLoss, Job, Outcome, RowOutputs, RowTotals, order};
use crate::{ABSENT, Details, MultiMargin, Result};

/// With `v_c = max(0, margin + x_c - x_t)` for `c != t`: `r w_t / K * sum v_c^p`, and `r w_t / K * p v_c^(p-1)` at `c`, whose
/// sum the target's derivative is minus.
///
/// Details are those of the softmax of the scores, without which a row is not finite.
impl CpuLoss for MultiMargin {
    fn run(&self, job: Job<'_>) -> Result<Outcome> {
        if is_across(job.tensor.layout()) { self.run_tiles::<Across>(job) } else { self.run_tiles::<Along>(job) }
    }
}

impl MultiMargin {
    fn run_tiles<D: Direction>(&self, mut job: Job<'_>) -> Result<Outcome> {
        let survey = job.survey()?;
        let outputs = job.take_outputs();
        let classes = job.tensor.layout().classes() as usize;
        let length = ((1 << 16) / classes.max(1)).clamp(D::MOST_ROWS, 4096).next_power_of_two();
        let scale = survey.gradient_scale;
        let totals = job.for_rows(length, outputs, Scratch::default, |part, out, scratch| {
            let direction = PhantomData::<D>;
            job.instructions.run(Tiles { loss: self, job: &job, scale, part, out, scratch, direction })
        });
        Ok(Outcome::of_rows(survey, &totals))
    }
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    x: Vec<f32>,
    gradient: Vec<f32>,
    row: Vec<f32>,
    y: Vec<f64>,
    e: Vec<f64>,
}

struct Tiles<'a, 'p, D> {
    loss: &'a MultiMargin,
    job: &'a Job<'a>,
    /// Of the gradient.
    scale: f64,
    part: &'a mut Part<'p>,
    out: RowOutputs<'a>,
    scratch: &'a mut Scratch,
    direction: PhantomData<D>,
}

impl<D: Direction> Kernel for Tiles<'_, '_, D> {
    type Output = RowTotals;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> RowTotals {
        let Self { loss, job, scale, part, out, scratch, .. } = self;
        let Scratch { x, gradient, row: buffer, y, e } = scratch;
        let (classes, numbers) = (part.layout().classes() as usize, D::numbers::<S>(part.layout().classes() as usize));
        for tile in [&mut *x, gradient] {
            tile.resize(numbers, 0.0);
        }
        let mut totals = RowTotals::new(part.rows());
        let mut writer = part.tile_writer();
        let (mut labels, mut class_weights, mut row_weights) = ([NO_CLASS; MAX_WIDE], [1.0; MAX_WIDE], [1.0; MAX_WIDE]);
        let mut at_targets = [0.0; MAX_WIDE];
        for first in part.rows().step_by(D::rows::<S>()) {
            let n = D::rows::<S>().min(part.rows().end - first);
            job.read_labels(first, &mut labels[..n], &mut class_weights, &mut row_weights);
            labels[n..].fill(NO_CLASS);
            part.pick(first, &labels[..n], &mut at_targets);
            D::read(simd, part, first..first + n, x, buffer);
            D::fill_up(x, classes, f32::NEG_INFINITY);
            let (mut targets, mut x_t, mut factors) = ([-1.0; MAX_WIDE], [0.0; MAX_WIDE], [0.0; MAX_WIDE]);
            for i in 0..MAX_WIDE {
                let counts = labels[i] != NO_CLASS;
                let factor = f64::from(row_weights[i]) * f64::from(class_weights[i]) * (1.0 / classes as f64);
                (targets[i], x_t[i]) = (if counts { f64::from(labels[i]) } else { -1.0 }, f64::from(at_targets[i]));
                factors[i] = if counts { factor } else { 0.0 };
            }
            let margins = Margins::<S> {
                margin: S::f64s::splat(simd, loss.margin.into()),
                are_squared: loss.p == 2,
                targets: D::of_rows(simd, &targets),
                x_t: D::of_rows(simd, &x_t),
            };
            let sums = margins.sums::<D>(
                simd,
                x,
                #[inline(always)]
                |k| D::fetch::<S>(part, first, k),
            );

            let (mut losses, mut are_finite) = ([0.0; MAX_WIDE], true);
            for i in 0..MAX_WIDE {
                let (counts, is_finite) = (labels[i] != NO_CLASS, sums.finite[i] == 1.0);
                let finite = if is_finite { weighted(factors[i], sums.loss[i]) as f32 } else { f32::NAN };
                losses[i] = if counts { finite } else { 0.0 };
                are_finite &= is_finite || !counts;
            }
            if are_finite {
                totals.push_losses::<MAX_WIDE>(first, &losses[..n], out.losses);
            } else {
                for i in 0..n {
                    let is_finite = sums.finite[i] == 1.0 || labels[i] == NO_CLASS;
                    totals.push_loss(first + i, losses[i], is_finite, out.losses);
                }
            }
            if !out.details.is_empty() {
                for (i, &class) in labels[..n].iter().enumerate() {
                    let x = part.row(first + i, buffer);
                    let partition = LogPartition { x, y, e }.run(simd);
                    let (max, log_sum) = partition.unwrap_or((f64::NAN, f64::NAN));
                    let (log_prob, rank) = match class {
                        NO_CLASS => (0.0, ABSENT),
                        _ if sums.finite[i] != 1.0 => (f32::NAN, ABSENT),
                        class => (((x_t[i] - max) - log_sum) as f32, order::rank(x, class as usize)),
                    };
                    let details = Details { lse: (max + log_sum) as f32, log_prob, argmax: order::argmax(x), rank };
                    out.details[first + i - totals.first()] = details;
                }
            }

            let Some(writer) = &mut writer else { continue };
            for (i, factor) in factors.iter_mut().enumerate() {
                let is_spoilt = labels[i] != NO_CLASS && sums.finite[i] != 1.0 && scale != 0.0;
                *factor = if is_spoilt { f64::NAN } else { *factor * scale };
            }
            margins.gradient::<D>(simd, x, &D::of_rows(simd, &factors), gradient);
            for (i, &class) in labels.iter().enumerate().filter(|(_, class)| **class != NO_CLASS) {
                let of_target = if factors[i] == 0.0 { 0.0 } else { -sums.slope[i] * factors[i] };
                gradient[D::place::<S>(class as usize, i)] = of_target as f32;
            }
            D::write(simd, part, writer, first..first + n, gradient, buffer);
        }
        totals
    }
}

/// Rows against their targets.
struct Margins<S: Simd> {
    margin: S::f64s,
    are_squared: bool,
    /// The classes, -1 of a row that does not count, and their logits.
    targets: Wide<S>,
    x_t: Wide<S>,
}

/// Sums over the classes of each row.
struct Sums {
    /// `v^p`, and their derivatives.
    loss: [f64; MAX_WIDE],
    slope: [f64; MAX_WIDE],
    /// 1 where no logit is NaN or +inf, and one is more than -inf.
    finite: [f64; MAX_WIDE],
}

impl<S: Simd> Margins<S> {
    /// Terms and slopes of logits, given their classes.
    #[inline(always)]
    fn terms(&self, simd: S, x: &Wide<S>, classes: &Wide<S>) -> (Wide<S>, Wide<S>) {
        let (zero, one) = (S::f64s::splat(simd, 0.0), S::f64s::splat(simd, 1.0));
        let (mut terms, mut slopes) = (*x, *x);
        for i in 0..WIDE {
            let v = self.margin + (x[i] - self.x_t[i]);
            let violates = v.simd_gt(zero) & !self.targets[i].simd_eq(classes[i]);
            let (term, slope) = if self.are_squared { (v * v, v + v) } else { (v, one) };
            (terms[i], slopes[i]) = (violates.select(term, zero), violates.select(slope, zero));
        }
        (terms, slopes)
    }

    /// `between` is called with the number of each chunk.
    #[inline(always)]
    fn sums<D: Direction>(&self, simd: S, x: &[f32], between: impl Fn(usize)) -> Sums {
        let (n, zero, one) = (wide_len::<S>(), S::f64s::splat(simd, 0.0), S::f64s::splat(simd, 1.0));
        let (lowest, infinity) = (S::f64s::splat(simd, f64::NEG_INFINITY), S::f64s::splat(simd, f64::INFINITY));
        let (mut loss, mut slope) = (splat(simd, 0.0), splat(simd, 0.0));
        let (mut bad, mut real) = (splat(simd, 0.0), splat(simd, 0.0));
        for (k, x) in x.chunks_exact(n).enumerate() {
            between(k);
            let x = load_narrow(simd, x);
            let (terms, slopes) = self.terms(simd, &x, &D::classes(simd, k * n));
            for i in 0..WIDE {
                loss[i] += terms[i];
                slope[i] += slopes[i];
                bad[i] = x[i].simd_lt(infinity).select(bad[i], one);
                real[i] = x[i].simd_gt(lowest).select(one, real[i]);
            }
        }
        let (bad, real) = (D::total(simd, bad), D::total(simd, real));
        let mut finite = bad;
        for i in 0..WIDE {
            finite[i] = (bad[i].simd_eq(zero) & real[i].simd_gt(zero)).select(one, zero);
        }
        let mut sums = Sums { loss: [0.0; MAX_WIDE], slope: [0.0; MAX_WIDE], finite: [0.0; MAX_WIDE] };
        store::<S>(&D::total(simd, loss), &mut sums.loss);
        store::<S>(&D::total(simd, slope), &mut sums.slope);
        store::<S>(&finite, &mut sums.finite);
        sums
    }

    /// All but that of the targets: `factor` times the slopes, where a NaN is that of all classes.
    #[inline(always)]
    fn gradient<D: Direction>(&self, simd: S, x: &[f32], factors: &Wide<S>, gradient: &mut [f32]) {
        let n = wide_len::<S>();
        for (k, (x, to)) in x.chunks_exact(n).zip(gradient.chunks_exact_mut(n)).enumerate() {
            let (_, mut slopes) = self.terms(simd, &load_narrow(simd, x), &D::classes(simd, k * n));
            for (slope, factor) in slopes.iter_mut().zip(factors) {
                *slope = times(simd, *factor, *slope);
            }
            store_narrow::<S>(&slopes, to);
        }
    }
}
