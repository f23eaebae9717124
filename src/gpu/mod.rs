//! The GPU layer: a loss is compiled for a device as a [`Kernel`] and recorded into the caller's encoder.
//!
//! [`Gpu`], [`Evaluator`] and [`Stream`] are for programs without a device of their own. They block, but for what has `_async` in
//! its name, which a browser needs. [`plan`](fn@plan) is a pure function from a
//! shape and [`Caps`] to a [`Plan`]; [`Shader`] names what can be composed from the fragments in `shaders/`.

mod answer;
mod caps;
mod context;
mod device;
mod elements;
mod evaluator;
mod kernel;
mod pace;
mod params;
mod passes;
mod pipeline;
mod plan;
pub(crate) mod program;
mod recorder;
mod regions;
mod rows;
mod scratch;
mod shader;
mod slices;
mod slicing;
mod slot;
mod staging;
mod stream;
mod switch;
mod team;
mod tensors;
mod tuning;
mod vector;
mod window;

pub use caps::Caps;
pub use device::{AdapterChoice, Gpu, adapters, instance, required_features, required_limits};
pub use evaluator::Evaluator;
pub use kernel::Kernel;
pub use passes::{Gather, Softmax, Sum};
pub use plan::{Footprint, Plan, plan};
pub use program::GpuLoss;
pub use shader::{Elements, LossFragment, Place, Reduce, RowSchedule, Shader, Storage};
pub use slicing::Slicing;
pub use stream::Stream;
pub(crate) use switch::{Switch, Switches};
pub use tensors::{Inputs, Outputs};
pub use tuning::{Team, Tuning};
pub use window::Window;
