//! The GPU layer.
mod caps;
mod context;
mod device;
mod evaluator;
mod kernel;
mod params;
mod passes;
mod pipeline;
mod plan;
pub(crate) mod program;
mod recorder;
mod scratch;
mod shader;
mod tensors;
mod vector;
mod window;

pub use caps::Caps;
pub use device::{AdapterChoice, Gpu, adapters, instance, required_features, required_limits};
pub use evaluator::Evaluator;
pub use kernel::Kernel;
pub use passes::{Gather, Softmax, Sum};
pub(crate) use pipeline::Switches;
pub use plan::{Plan, Tuning, plan};
pub use program::RowLoss;
pub use shader::{Elements, Reduce, RowFragment, Shader};
pub use tensors::{Inputs, Outputs};
pub use window::Window;
