//! logloss
pub mod batch;
pub mod cpu;
pub mod error;
pub mod gpu;
pub mod layout;
pub mod loss;
pub mod reference;
pub mod summary;
pub mod totals;

pub use batch::Batch;
pub use error::{Error, Result};
pub use layout::Shape;
pub use loss::{CrossEntropy, Nll, Reduction};
pub use summary::{ABSENT, Details, Evaluation, Gradient, Request, Summary};
pub use wgpu;
