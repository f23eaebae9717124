//! Classification losses and their gradients over large batches of logits, on any GPU through [wgpu].
//!
//! WGSL compute shaders read each logit once for the loss, and once more for the gradient, with no framework around them: on
//! Vulkan, Metal, DX12 and in browsers. Every result is held to a float64 [`reference`](mod@reference).
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
//! # The mathematics
//!
//! For a row of logits `x` with target `t`, let `rest = logsumexp of x_c over c != t` and `z = rest - x_t`. Then
//!
//! ```text
//! -log p_t = softplus(z)      1 - p_t = sigmoid(z)      p_c = exp(x_c - rest) * sigmoid(z)   for c != t
//! ```
//!
//! Nothing subtracts two nearly equal numbers, so neither an offset of 1e6 nor a confident row loses digits. `rest` is a pair
//! (maximum, sum of exponentials relative to it) that merges associatively: over lanes, workgroups and windows.
//!
//! # Shapes, dtypes, units
//!
//! Logits are float32, (rows, classes) row-major; targets are int32 class indices, (rows). Losses are in nats. Sizes are in
//! bytes where a name says so, and in elements elsewhere.
//!
//! # Layers
//!
//! | module | what |
//! | --- | --- |
//! | [`loss`] | the losses: options, formulas, meaning |
//! | [`gpu`] | kernels, their planning, and optional help with devices |
//! | [`cpu`] | the same losses on the CPU |
//! | [`reference`](mod@reference) | the float64 oracle |
//! | [`totals`] | totals of a stream of batches, the same bits for any chunking |
//!
//! `ARCHITECTURE.md` and `shaders/README.md` in the repository say how the pieces fit and why.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

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

pub use any::AnyLoss;
pub use batch::{Batch, Logits, Targets};
pub use definition::{Definition, Loss, Mean, Regions, TargetKind, Unit, Weights};
pub use dtype::DType;
pub use error::{Error, Result};
pub use half;
pub use layout::{Layout, Shape};
pub use loss::{
    Activation, Bce, BceWithLogits, ClassBalance, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Divergence, Focal,
    GeneralizedDice, Hinge, KlDiv, LogitDivergence, Mse, MultiMargin, Nll, SigmoidFocal, SoftCrossEntropy,
    SquaredHinge, Tversky,
};
pub use reduction::{MAX_IGNORE_INDICES, Reduction};
pub use summary::{ABSENT, Details, Evaluation, Gradient, Request, Summary};
pub use wgpu;

/// The example of the README is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
