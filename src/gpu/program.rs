//! What the GPU layer asks of a loss.

use super::shader::RowFragment;
use super::switch::Switches;
use crate::Loss;

/// A loss with a shader fragment of its own.
pub trait GpuLoss: Loss {
    /// The shader fragment, its switches and its eight option values.
    #[doc(hidden)]
    fn program(&self) -> Program;
}

/// The shader side of a loss.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub(crate) row: RowFragment,
    pub(crate) switches: Switches,
    pub(crate) options: [f32; 8],
}
