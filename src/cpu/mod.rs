//! The CPU engine: every loss at the speed of memory, on all cores, with the vector instructions of the processor.
//!
//! Logits are read from memory once; the gradient's second read comes from a cache. Nothing is allocated that grows with the
//! number of rows, but for the results of [`evaluate`], and a thread keeps at most a few MiB between calls; [`evaluate_into`]
//! writes them into slices of the caller, and [`evaluate_in_place`] the gradient over the logits.
//!
//! Work runs on the rayon pool that the caller is in: `pool.install(|| cpu::evaluate(..))` bounds the threads, and without a pool
//! it is rayon's global one. A batch of up to some 65,000 logits is the caller's thread's alone: others would take longer to wake
//! up. The same batch gives the same bits on any number of threads; another set of [`Instructions`] may round differently.
//!
//! Loss and gradient are within 2e-6 relative, or 1e-7 absolute, of float64 truth for weights of order 1. Of 16-bit logits the
//! error is that of float32, and a 16-bit gradient is the float32 gradient rounded once, to nearest even; a bfloat16 is
//! 0 below the normal numbers.
//!
//! ```
//! use logloss::{Batch, CrossEntropy, Gradient, Request, Shape, cpu};
//!
//! let request = Request { gradient: Gradient::Separate, ..Request::default() };
//! let batch = Batch::new(Shape::new(1, 2), &[0.0, 0.0], &[0]);
//! let got = cpu::evaluate(&CrossEntropy::default(), request, &batch)?;
//! assert_eq!(got.summary.loss, std::f32::consts::LN_2);
//! assert_eq!(got.gradient, [-0.5, 0.5]);
//! # Ok::<(), logloss::Error>(())
//! ```

mod aligned;
mod bce;
mod bce_with_logits;
mod cross_entropy;
mod dense_rows;
mod dice;
mod dice_cross_entropy;
mod dice_focal;
mod elements;
mod focal;
mod generalized_dice;
mod hinge;
mod job;
mod kl_div;
mod log_softmax;
mod logit_divergence;
mod mse;
mod multi_margin;
mod nll;
mod order;
mod regions;
mod sigmoid_focal;
mod simd;
mod soft_cross_entropy;
mod softmax;
mod squared_hinge;
mod survey;
mod tensor;
mod tversky;
mod wide;

pub use log_softmax::log_softmax;
pub use simd::Instructions;
pub use tensor::LogitsMut;

use crate::{Batch, Details, Error, Evaluation, Gradient, Layout, Logits, Loss, Request, Result, Summary};
use job::{Job, Outcome, RowOutputs, RowTotals};
use tensor::{Tensor, in_pool};

/// A loss with a CPU implementation.
///
/// A new loss is a file in `src/loss/`, and one in `src/cpu/` that implements this.
pub trait CpuLoss: Loss {
    /// Evaluates a batch that was checked.
    #[doc(hidden)]
    fn run(&self, job: Job<'_>) -> Result<Outcome>;
}

/// Where the results of a batch go; absent means not computed.
#[derive(Debug, Default)]
pub struct Outputs<'a> {
    /// Unreduced losses in nats, one a [`Unit`](crate::Unit) of the loss.
    pub losses: Option<&'a mut [f32]>,
    /// Details of each row: (rows). Only for a loss of rows against class indices.
    pub details: Option<&'a mut [Details]>,
    /// Gradient in the logits' layout, as long as the logits, in their element type or in float32. 0 in gaps.
    pub gradient: Option<LogitsMut<'a>>,
}

/// Evaluates a batch with the best instructions of the processor.
///
/// [`Gradient::InPlace`] is as [`Gradient::Separate`]: the batch is borrowed, so the gradient is in [`Evaluation::gradient`],
/// and [`Gradient::Separate`] rounds it to the logits' type and widens it again. Losses are summed in float64 in a fixed tree.
///
/// # Errors
/// [`Error::InvalidOption`], [`Error::LengthMismatch`], [`Error::WrongTargets`], [`Error::UnusedWeights`],
/// [`Error::BadTarget`] and [`Error::BadValue`].
pub fn evaluate(loss: &(impl CpuLoss + ?Sized), request: Request, batch: &Batch<'_>) -> Result<Evaluation> {
    evaluate_with(Instructions::best(), loss, request, batch)
}

/// As [`evaluate`], with instructions of the caller's choice.
///
/// # Errors
/// As [`evaluate`], and [`Error::Unsupported`] where the processor lacks them.
pub fn evaluate_with(
    instructions: Instructions,
    loss: &(impl CpuLoss + ?Sized),
    request: Request,
    batch: &Batch<'_>,
) -> Result<Evaluation> {
    // Before anything is allocated for it.
    loss.validate()?;
    let definition = loss.definition();
    definition.check_batch(batch)?;
    let units = definition.unit.count(&batch.layout) as usize;
    let has_details = request.details && takes_classes(loss);
    let mut losses = vec![0.0; units];
    let mut details =
        vec![Details { lse: 0.0, log_prob: 0.0, argmax: 0, rank: 0 }; if has_details { rows(batch) } else { 0 }];
    let wants_gradient = request.gradient != Gradient::No;
    let mut gradient = vec![0.0; if wants_gradient { batch.logits.len() } else { 0 }];
    let outputs = Outputs {
        losses: Some(&mut losses),
        details: has_details.then_some(&mut details[..]),
        gradient: wants_gradient.then_some(LogitsMut::F32(&mut gradient)),
    };
    let summary = evaluate_into_with(instructions, loss, batch, outputs)?;
    if request.gradient != Gradient::Widened {
        match batch.logits {
            Logits::F32(_) => {}
            Logits::F16(_) => gradient.iter_mut().for_each(|g| *g = half::f16::from_f32(*g).to_f32()),
            Logits::Bf16(_) => gradient.iter_mut().for_each(|g| *g = half::bf16::from_f32(*g).to_f32()),
        }
    }
    Ok(Evaluation { summary, losses, gradient, details })
}

/// Evaluates a batch and writes the results into the caller's slices.
///
/// ```
/// use logloss::{Batch, CrossEntropy, Shape, cpu};
///
/// let (mut losses, mut gradient) = ([0.0; 1], [0.0; 2]);
/// let batch = Batch::new(Shape::new(1, 2), &[0.0, 0.0], &[0]);
/// let outputs = cpu::Outputs {
///     losses: Some(&mut losses),
///     gradient: Some((&mut gradient[..]).into()),
///     ..cpu::Outputs::default()
/// };
/// let summary = cpu::evaluate_into(&CrossEntropy::default(), &batch, outputs)?;
/// assert_eq!(summary.loss, losses[0]);
/// assert_eq!(gradient, [-0.5, 0.5]);
/// # Ok::<(), logloss::Error>(())
/// ```
///
/// # Errors
/// As [`evaluate`], and [`Error::LengthMismatch`] of an output.
pub fn evaluate_into(loss: &(impl CpuLoss + ?Sized), batch: &Batch<'_>, outputs: Outputs<'_>) -> Result<Summary> {
    evaluate_into_with(Instructions::best(), loss, batch, outputs)
}

/// As [`evaluate_into`], with instructions of the caller's choice.
///
/// # Errors
/// As [`evaluate_into`], and [`Error::Unsupported`] where the processor lacks them.
pub fn evaluate_into_with(
    instructions: Instructions,
    loss: &(impl CpuLoss + ?Sized),
    batch: &Batch<'_>,
    outputs: Outputs<'_>,
) -> Result<Summary> {
    let Outputs { losses, details, mut gradient } = outputs;
    if let Some(gradient) = &mut gradient {
        check_length("gradient", gradient.len(), batch.logits.len() as u64)?;
        if ![batch.logits.dtype(), crate::DType::F32].contains(&gradient.dtype()) {
            let variant = format!("a gradient in {}", gradient.dtype());
            return Err(Error::Unsupported { variant, needs: "logits of that type".into() });
        }
    }
    run(instructions, loss, batch, losses, details, |layout| {
        if let Some(gradient) = &mut gradient {
            gradient.clear_gaps(layout);
        }
        Tensor::separate(*layout, batch.logits, gradient.as_mut())
    })
}

/// Evaluates a batch whose logits are given apart, and writes the gradient over them. Gaps between rows stay as they are.
///
/// `batch.logits` is not read and may be empty; `outputs.gradient` must be absent. It is the fastest way to a gradient: no second
/// buffer passes through memory.
///
/// ```
/// use logloss::{Batch, CrossEntropy, Shape, cpu};
///
/// let mut logits = [0.0, 0.0];
/// let batch = Batch::new(Shape::new(1, 2), &[0.0; 0], &[0]);
/// cpu::evaluate_in_place(&CrossEntropy::default(), &batch, &mut logits[..], cpu::Outputs::default())?;
/// assert_eq!(logits, [-0.5, 0.5]);
/// # Ok::<(), logloss::Error>(())
/// ```
///
/// # Errors
/// As [`evaluate_into`]. After an error the logits are as they were.
pub fn evaluate_in_place<'a>(
    loss: &(impl CpuLoss + ?Sized),
    batch: &Batch<'_>,
    logits: impl Into<LogitsMut<'a>>,
    outputs: Outputs<'_>,
) -> Result<Summary> {
    evaluate_in_place_with(Instructions::best(), loss, batch, logits, outputs)
}

/// As [`evaluate_in_place`], with instructions of the caller's choice.
///
/// # Errors
/// As [`evaluate_in_place`], and [`Error::Unsupported`] where the processor lacks them.
pub fn evaluate_in_place_with<'a>(
    instructions: Instructions,
    loss: &(impl CpuLoss + ?Sized),
    batch: &Batch<'_>,
    logits: impl Into<LogitsMut<'a>>,
    outputs: Outputs<'_>,
) -> Result<Summary> {
    let mut logits: LogitsMut<'_> = logits.into();
    let Outputs { losses, details, gradient } = outputs;
    if let Some(gradient) = gradient {
        return Err(Error::LengthMismatch { name: "gradient", expected: 0, got: gradient.len() as u64 });
    }
    let checked = Batch { logits: logits.as_logits(), ..*batch };
    loss.validate()?;
    loss.definition().check_batch(&checked)?;
    // What is checked about the logits is their length alone, and that was done.
    let unread = Batch { logits: Logits::F32(&[]), ..*batch };
    run_checked(instructions, loss, &unread, losses, details, |layout| Tensor::in_place(*layout, &mut logits))
}

fn run<'a>(
    instructions: Instructions,
    loss: &'a (impl CpuLoss + ?Sized),
    batch: &Batch<'a>,
    losses: Option<&'a mut [f32]>,
    details: Option<&'a mut [Details]>,
    tensor: impl FnOnce(&Layout) -> Tensor<'a>,
) -> Result<Summary> {
    loss.validate()?;
    loss.definition().check_batch(batch)?;
    run_checked(instructions, loss, batch, losses, details, tensor)
}

fn run_checked<'a>(
    instructions: Instructions,
    loss: &'a (impl CpuLoss + ?Sized),
    batch: &Batch<'a>,
    losses: Option<&'a mut [f32]>,
    details: Option<&'a mut [Details]>,
    tensor: impl FnOnce(&Layout) -> Tensor<'a>,
) -> Result<Summary> {
    if !instructions.is_available() {
        let needs = "a processor that has them".into();
        return Err(Error::Unsupported { variant: format!("the instructions {instructions:?}"), needs });
    }
    let definition = loss.definition();
    if let Some(losses) = &losses {
        check_length("losses", losses.len(), definition.unit.count(&batch.layout))?;
    }
    if let Some(details) = &details {
        let expected = if takes_classes(loss) { batch.layout.rows().into() } else { 0 };
        check_length("details", details.len(), expected)?;
    }
    let job = Job {
        instructions,
        definition,
        tensor: tensor(&batch.layout),
        targets: batch.targets,
        class_weights: batch.class_weights,
        pos_weights: batch.pos_weights,
        row_weights: batch.row_weights,
        losses,
        details,
    };
    let outcome = in_pool(batch.layout.elements(), || loss.run(job))?;
    Ok(outcome.summary(&definition, batch.layout.rows()))
}

/// Whether the loss is one of rows against class indices, which alone have details.
fn takes_classes(loss: &(impl CpuLoss + ?Sized)) -> bool {
    loss.definition().targets == crate::TargetKind::Classes
}

fn rows(batch: &Batch<'_>) -> usize {
    batch.layout.rows() as usize
}

fn check_length(name: &'static str, got: usize, expected: u64) -> Result<()> {
    if got as u64 == expected { Ok(()) } else { Err(Error::LengthMismatch { name, expected, got: got as u64 }) }
}
