//! What the GPU layer asks of a loss.

use super::shader::RowFragment;
use super::switch::Switches;
use crate::Result;
use crate::reduction::Reduction;

/// A loss of rows of logits against one class index each, with a shader fragment of its own.
///
/// Sealed: a new loss is a file in `src/loss/` that implements this, one in `shaders/loss/`, and one in `src/reference/`.
pub trait RowLoss: sealed::Sealed {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) names the option, its value and its domain.
    fn validate(&self) -> Result<()>;

    /// How row losses become one number.
    fn reduction(&self) -> Reduction;

    /// Targets whose rows are left out.
    fn ignore_index(&self) -> &[i32];

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

pub(crate) mod sealed {
    pub trait Sealed {}
}
