//! Classification losses and their gradients over large batches of logits, on any GPU through [wgpu].
//!
//! Eighteen losses: cross-entropy, focal and margin losses, divergences, binary losses, and Dice and its kin. WGSL compute shaders
//! run them with no framework around, on Vulkan, Metal, DX12 and in browsers; a CPU engine has all of them too. Every result is
//! held to a float64 [`reference`](mod@reference).
//!
//! # Just a number
//!
//! ```no_run
//! use logloss::gpu::{AdapterChoice, Gpu};
//! use logloss::{Batch, CrossEntropy, Request, Shape};
//!
//! let logits = [2.0, 0.5, -1.0, /* second row */ 0.1, 3.0, 0.2];
//! let batch = Batch::new(Shape::new(2, 3), &logits, &[0, 1]);
//! let gpu = Gpu::open(&AdapterChoice::Best)?;
//! let result = gpu.evaluate(&CrossEntropy::default(), Request::default(), &batch)?;
//! println!("{} nats", result.summary.loss);
//! # Ok::<(), logloss::Error>(())
//! ```
//!
//! # In your own frame
//!
//! A [`Kernel`](gpu::Kernel) is compiled once for a `wgpu::Device` and recorded into any command encoder. It never submits and
//! never blocks; the loss, its denominator and the status stay on the GPU until you read them.
//!
//! ```no_run
//! use logloss::gpu::{Inputs, Kernel, Outputs};
//! use logloss::{CrossEntropy, Gradient, Request, Shape, wgpu};
//!
//! # fn frame(device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, logits: &wgpu::Buffer, targets: &wgpu::Buffer,
//! #     summary: &wgpu::Buffer) -> logloss::Result<()> {
//! let request = Request { gradient: Gradient::InPlace, ..Request::default() };
//! let kernel = Kernel::new(device, &CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() }, request)?;
//! kernel.encode(encoder, Shape::new(8192, 32000), &Inputs::new(logits, targets), &Outputs::new(summary))
//! # }
//! ```
//!
//! # Images, and any loss at run time
//!
//! A [`Layout`] says where the classes are, and nothing is transposed. [`AnyLoss`] is a loss that every engine has.
//!
//! ```
//! use logloss::{AnyLoss, Batch, Dice, Focal, Layout, Request, cpu};
//!
//! // One image of 2 x 2 pixels and two classes: all logits of class 0, then all of class 1.
//! let logits = [2.0, 1.0, -1.0, 0.5, /* class 1 */ -2.0, 0.0, 1.0, 0.0];
//! let batch = Batch::new(Layout::planes(1, 2, 4)?, &logits, &[0, 0, 1, 1]);
//! let losses: [Box<dyn AnyLoss>; 2] = [Box::new(Dice::default()), Box::new(Focal::default())];
//! for loss in &losses {
//!     let result = cpu::evaluate(loss.as_ref(), Request::FORWARD, &batch)?;
//!     println!("{}: {}", loss.definition().name, result.summary.loss);
//! }
//! # Ok::<(), logloss::Error>(())
//! ```
//!
//! # The mathematics
//!
//! For a row of logits `x` with target `t`, let `rest = logsumexp of x_c over c != t` and `z = rest - x_t`. Then
//!
//! ```text
//! -log p_t = softplus(z)      1 - p_t = sigmoid(z)      p_c = exp(x_c - rest) * sigmoid(z)   for c != t
//! ```
//!
//! Nothing subtracts two nearly equal numbers, so neither an offset of 1e6 nor a confident row loses digits. `rest` is a pair
//! (maximum, sum of exponentials relative to it) that merges associatively: over strips of a row and over lanes. The other losses
//! take the same care: divergences are sums of terms that are not negative, and Dice loss is computed from what is wrong.
//!
//! # Shapes, dtypes, units
//!
//! | tensor | shape | dtype |
//! | --- | --- | --- |
//! | logits | (N, C), (N, C) with a row stride, or (N, C, d1, .., dk): see [`Layout`] | float32, float16, bfloat16: [`DType`] |
//! | gradient | as the logits | the logits', or float32: [`Gradient`] |
//! | class targets | (rows), with rows = N * d1 * .. * dk | int32 |
//! | dense targets, losses of elements | as the logits, without gaps | float32 |
//! | losses of rows, row weights | (rows) | float32 |
//! | losses of regions | (samples, classes), or less: see [`Regions`] | float32 |
//! | class weights, positive weights | (classes) | float32 |
//!
//! The [`Definition`] of a loss says which targets and weights it takes, what an unreduced loss belongs to ([`Unit`]), and what a mean
//! divides by ([`Mean`]). Losses are in nats where there is a logarithm in them. Sizes are in bytes where a name says so, and in
//! elements elsewhere.
//!
//! # Layers
//!
//! | module | what |
//! | --- | --- |
//! | [`batch`], [`layout`] | what goes in: host slices, and where each logit lies |
//! | [`definition`], [`summary`] | what every engine asks of a loss, and what a batch came to |
//! | [`gpu`] | kernels, their planning, and optional help with devices |
//! | [`loss`] | the losses: options, formulas, meaning |
//! | [`totals`] | totals of a stream of batches, the same bits for any chunking |
//! | [`cpu`] | the same losses on the CPU, on all cores, with vector instructions |
//! | [`reference`](mod@reference) | the float64 oracle |
//!
//! `ARCHITECTURE.md`, `shaders/README.md` and `src/cpu/README.md` in the repository say how the pieces fit and why, and
//! `docs/losses.md` what every loss supports.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(
    target_arch = "wasm32",
    allow(clippy::arc_with_non_send_sync, reason = "there wgpu's types are one thread's")
)]

mod any;
pub mod batch;
mod checks;
pub mod cpu;
pub mod definition;
mod domain;
mod dtype;
pub mod error;
pub mod gpu;
pub mod layout;
pub mod loss;
mod reduction;
pub mod reference;
pub mod summary;
pub mod totals;

pub use any::{AnyLoss, every_loss};
pub use batch::{Batch, Logits, Targets};
pub use checks::MAX_IGNORE_INDICES;
pub use definition::{Definition, Loss, Mean, Regions, TargetKind, Unit, Weights};
pub use domain::{Domain, Domains};
pub use dtype::DType;
pub use error::{Error, Result};
pub use half;
pub use layout::{Layout, Shape};
pub use loss::{
    Activation, Bce, BceWithLogits, ClassBalance, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Divergence, Focal,
    GeneralizedDice, Hinge, KlDiv, LogitDivergence, Mse, MultiMargin, Nll, SigmoidFocal, SoftCrossEntropy,
    SquaredHinge, Tversky,
};
pub use reduction::Reduction;
pub use summary::{ABSENT, Details, Evaluation, Gradient, Request, Summary};
pub use wgpu;

/// The example of the README is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
