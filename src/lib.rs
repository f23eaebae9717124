//! logloss
pub mod batch;
pub mod error;
pub mod layout;
pub mod loss;
pub mod reference;

pub use batch::Batch;
pub use error::{Error, Result};
pub use layout::Shape;
pub use loss::{CrossEntropy, Nll, Reduction};
pub use wgpu;
