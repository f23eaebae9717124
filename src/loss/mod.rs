//! The public losses, one a file: options, formula, meaning.

mod cross_entropy;
mod nll;

pub use cross_entropy::CrossEntropy;
pub use nll::Nll;
