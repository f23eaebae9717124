//! Losses of every logit on its own.

mod domain;
mod not_a_number;
mod weights;

use super::simd::exp::Exp;
use super::simd::math::weighted;
use super::simd::memory::{LINE, fetch_in_steps};
use super::simd::odds::{ln_1p_block, odds_block};
use super::simd::{
    BLOCK, Block, Kernel, MAX_BLOCK, Simd, SimdBase, block_len, load_block, load_up_to, splat, store_block, store_up_to,
};
use super::survey::tree_sum;
use super::tensor::{Part, Pending, Trail};
use super::{Job, Outcome};
use crate::domain::Domains;
use crate::{Result, Targets};
use domain::Outside;
use not_a_number::{NotANumber, Recount};
use weights::Weights;

/// Elements of a part: a power of two.
const PART: usize = 1 << 16;

/// Elements whose losses are added in float32 before they go on in float64: a multiple of every block.
///
/// In 16 accumulators of 4 lanes that is 8 terms each, and 64 lanes' worth of rounding in all: a typical sum loses less than `u`.
const CHUNK: usize = 512;

/// A logit with what its loss depends on, one a lane.
#[derive(Clone, Copy)]
pub(super) struct Element<S: Simd> {
    pub(super) x: S::f32s,
    /// Target.
    pub(super) t: S::f32s,
    /// Positive weight of the class, if the loss has [`ElementLoss::POS_WEIGHTS`]; else 1.
    pub(super) q: S::f32s,
    /// `exp(-|x|)`, if the loss has [`ElementLoss::ODDS`]; else 1.
    pub(super) odds: S::f32s,
    /// `log(1 + exp(-|x|))`, likewise.
    pub(super) log: S::f32s,
}

/// A loss of a logit and its target.
pub(super) trait ElementLoss: Sync {
    /// Whether it depends on a sigmoid. The exponentials of a block are computed before the rest: in one go, an element would be a
    /// chain of operations too long for a processor to have several of them in flight.
    const ODDS: bool = false;

    /// Whether it depends on positive weights.
    const POS_WEIGHTS: bool = false;

    /// The loss without weights and its derivative by `x`.
    fn element<S: Simd>(&self, simd: S, exp: Exp<S>, element: Element<S>) -> (S::f32s, S::f32s);
}

/// Evaluates a loss of elements.
pub(super) fn run(loss: &impl ElementLoss, mut job: Job<'_>) -> Result<Outcome> {
    let survey = job.survey()?;
    let layout = *job.tensor.layout();
    let parts = (layout.elements() as usize).div_ceil(PART);
    let outputs = super::job::cut(job.take_outputs().losses, PART, parts);
    let scale = survey.gradient_scale as f32;
    let domains = job.definition.domains;
    if domains != Domains::ANY && job.tensor.is_in_place() {
        // The logits stay as they are where one of them is an error.
        let outside = job.tensor.for_elements(PART, vec![(); parts], Vec::new, |part, (), buffer| {
            job.instructions.run(Look { job: &job, part, buffer })
        });
        Outside::report(outside.into_iter(), domains)?;
    }
    let mut totals = job.tensor.for_elements(PART, outputs, Scratch::default, |part, losses, scratch| {
        job.instructions.run(PartKernel { loss, job: &job, scale, part, losses, scratch })
    });
    Outside::report(totals.iter_mut().map(|part| std::mem::take(&mut part.outside)), domains)?;
    let first_non_finite = totals.iter().filter_map(|part| part.not_a_number.first_row).min();
    Ok(Outcome {
        survey,
        loss: None,
        loss_sum: tree_sum(totals.len(), |i| totals[i].losses),
        non_finite: totals.iter().map(|part| part.not_a_number.count).sum(),
        first_non_finite: first_non_finite.map(|row| row as u32),
    })
}

/// What a part adds up to.
struct PartSum {
    losses: f64,
    not_a_number: NotANumber,
    outside: Outside,
}

/// Memory of a thread.
#[derive(Default)]
struct Scratch {
    x: Vec<f32>,
    weights: Vec<f32>,
    pos_weights: Vec<f32>,
}

struct PartKernel<'a, 'p, L> {
    loss: &'a L,
    job: &'a Job<'a>,
    scale: f32,
    part: &'a mut Part<'p>,
    losses: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl<L: ElementLoss> Kernel for PartKernel<'_, '_, L> {
    type Output = PartSum;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> PartSum {
        // What only the gradient needs is not computed without one.
        if self.job.tensor.has_gradient() { self.chunks::<S, true>(simd) } else { self.chunks::<S, false>(simd) }
    }
}

impl<L: ElementLoss> PartKernel<'_, '_, L> {
    #[inline(always)]
    fn chunks<S: Simd, const GRADIENT: bool>(self, simd: S) -> PartSum {
        let Self { loss, job, scale, part, losses, scratch } = self;
        let Scratch { x: buffer, weights, pos_weights } = scratch;
        let layout = *part.layout();
        let targets = if let Targets::Dense(targets) = job.targets { targets } else { &[] };
        let of_elements = Weights::new(layout, job.class_weights, job.row_weights);
        let of_present = Weights::new(layout, job.pos_weights, None).filter(|_| L::POS_WEIGHTS);
        let exp = Exp::new(simd, 1.0);
        let (zero, one, scales) = (splat(simd, 0.0), splat(simd, 1.0), splat(simd, scale));
        let length = block_len::<S>();
        let mut trail = Trail::new(part, CHUNK).filter(|_| GRADIENT);
        let mut q = [one; BLOCK];

        let range = part.elements();
        let mut sum = 0.0;
        let (mut not_a_number, mut outside) = (NotANumber::default(), Outside::default());
        for first in range.clone().step_by(CHUNK) {
            let chunk = first..range.end.min(first + CHUNK);
            if let Some(of_elements) = of_elements {
                of_elements.fill(weights, chunk.clone());
            }
            if let Some(of_present) = of_present {
                of_present.fill(pos_weights, chunk.clone());
            }
            let x = part.read(chunk.clone(), buffer);
            let t = &targets[chunk.clone()];
            outside.look(job.definition.domains, [x, t], &layout, first);
            let mut sums = [zero; BLOCK];
            let blocks = x.len().div_ceil(length);
            let (mut gradient, pending) = trail.as_mut().map(|trail| trail.start::<S>(blocks)).unzip();
            for (b, x) in x.chunks(length).enumerate() {
                let at = b * length..b * length + x.len();
                let (mut x, mut t) = (x, &t[at.clone()]);
                let pads;
                if at.len() < length {
                    pads = [padded(x), padded(t)];
                    (x, t) = (&pads[0], &pads[1]);
                }
                let (of_x, of_t) = (load_block(simd, x), load_block(simd, t));
                if L::POS_WEIGHTS {
                    q = load_up_to(simd, &pos_weights[at.clone()], 0.0);
                }
                // What waits for memory goes between the steps of the exponentials: asking for what comes later, and storing the
                // gradient of what came before.
                let (values, ahead) = ([&of_x, &of_t, &q], [x.as_ptr(), t.as_ptr()]);
                let [mut l, mut g] = match pending.and_then(|pending: Pending<'_>| pending.block::<S>(b)) {
                    Some(pending) => evaluate(
                        simd,
                        loss,
                        exp,
                        values,
                        #[inline(always)]
                        |i| {
                            fetch::<S>(ahead, i);
                            pending.stream(simd, i);
                        },
                    ),
                    None => evaluate(
                        simd,
                        loss,
                        exp,
                        values,
                        #[inline(always)]
                        |i| fetch::<S>(ahead, i),
                    ),
                };
                if of_elements.is_some() {
                    let w: Block<S> = load_up_to(simd, &weights[at.clone()], 0.0);
                    for i in 0..BLOCK {
                        l[i] = weighted(simd, w[i], l[i]);
                        if GRADIENT {
                            g[i] = weighted(simd, w[i], g[i]);
                        }
                    }
                }
                if at.len() < length {
                    l = without_rest(simd, &l, at.len());
                }
                for (sum, l) in sums.iter_mut().zip(l) {
                    *sum += l;
                }
                if !losses.is_empty() {
                    let from = first - range.start;
                    store_up_to::<S>(&l, &mut losses[from + at.start..from + at.end]);
                }
                if let Some(gradient) = &mut gradient {
                    // A denominator of 0 makes the gradient 0 even where it is not finite.
                    for g in &mut g {
                        *g = if scale == 0.0 { zero } else { *g * scales };
                    }
                    store_up_to::<S>(&g, &mut gradient[at]);
                }
            }
            let [a, b, c, d] = sums;
            let of_chunk = f64::from(((a + c) + (b + d)).reduce_sum());
            if of_chunk.is_nan() {
                let pos_weights = L::POS_WEIGHTS.then_some(&pos_weights[..]);
                job.instructions.run(Recount { loss, x, t, pos_weights, layout, first, found: &mut not_a_number });
            }
            sum += of_chunk;
            if let Some(trail) = &mut trail {
                trail.advance(simd, part, first, chunk.len());
            }
        }
        if let Some(trail) = trail {
            trail.finish(simd);
        }
        PartSum { losses: sum, not_a_number, outside }
    }
}

/// Looks for values outside of the loss's domains, and computes nothing.
struct Look<'a, 'p> {
    job: &'a Job<'a>,
    part: &'a mut Part<'p>,
    buffer: &'a mut Vec<f32>,
}

impl Kernel for Look<'_, '_> {
    type Output = Outside;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Outside {
        let Self { job, part, buffer } = self;
        let layout = *part.layout();
        let targets = if let Targets::Dense(targets) = job.targets { targets } else { &[] };
        let range = part.elements();
        let mut outside = Outside::default();
        for first in range.clone().step_by(CHUNK) {
            let chunk = first..range.end.min(first + CHUNK);
            let x = part.read(chunk.clone(), buffer);
            outside.look(job.definition.domains, [x, &targets[chunk]], &layout, first);
        }
        outside
    }
}

/// Losses and derivatives of a block. `between` is called with each vector's number, between the steps of the exponentials if there
/// are any.
#[inline(always)]
fn evaluate<S: Simd, L: ElementLoss>(
    simd: S,
    loss: &L,
    exp: Exp<S>,
    [x, t, q]: [&Block<S>; 3],
    mut between: impl FnMut(usize),
) -> [Block<S>; 2] {
    let (mut odds, mut log) = ([splat(simd, 1.0); BLOCK], [splat(simd, 0.0); BLOCK]);
    if L::ODDS {
        odds = odds_block(simd, x, between);
        log = ln_1p_block(simd, &odds);
    } else {
        for i in 0..BLOCK {
            between(i);
        }
    }
    let (mut losses, mut derivatives) = (odds, odds);
    for i in 0..BLOCK {
        let element = Element { x: x[i], t: t[i], q: q[i], odds: odds[i], log: log[i] };
        (losses[i], derivatives[i]) = loss.element(simd, exp, element);
    }
    [losses, derivatives]
}

/// Asks for what comes behind vector `i` of a block of logits and targets, one time a line.
#[inline(always)]
fn fetch<S: Simd>([x, t]: [*const f32; 2], i: usize) {
    let at = i * S::f32s::LEN;
    if (at * size_of::<f32>()).is_multiple_of(LINE) {
        fetch_in_steps(x.wrapping_add(at).cast());
        fetch_in_steps(t.wrapping_add(at).cast());
    }
}

/// The values, and 0 behind them.
fn padded(values: &[f32]) -> [f32; MAX_BLOCK] {
    let mut block = [0.0; MAX_BLOCK];
    block[..values.len()].copy_from_slice(values);
    block
}

/// The first `n` values of a block, and 0.
#[inline(always)]
fn without_rest<S: Simd>(simd: S, block: &Block<S>, n: usize) -> Block<S> {
    let mut all = [0.0; MAX_BLOCK];
    store_block::<S>(block, &mut all);
    load_up_to(simd, &all[..n], 0.0)
}
