//! What the GPU layer asks of a loss.

use super::shader::LossFragment;
use super::switch::Switches;
use crate::Loss;

/// A loss with a shader fragment of its own.
pub trait GpuLoss: Loss {
    /// The shader fragment, its switches and its option values.
    #[doc(hidden)]
    fn program(&self) -> Program;
}

/// The shader side of a loss.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub(crate) fragment: LossFragment,
    pub(crate) switches: Switches,
    /// `params.options`, whose meaning is the fragment's own.
    pub(crate) options: [f32; 8],
    pub(crate) softcap: Option<f32>,
}

impl Program {
    /// A program without switches and options.
    pub(crate) const fn new(fragment: LossFragment) -> Self {
        Self { fragment, switches: Switches::NONE, options: [0.0; 8], softcap: None }
    }

    /// With option values, the first four of `params.options[0]`.
    pub(crate) const fn with_options(mut self, options: [f32; 4]) -> Self {
        let [a, b, c, d] = options;
        self.options = [a, b, c, d, self.options[4], self.options[5], self.options[6], self.options[7]];
        self
    }

    /// With option values of `params.options[1]`.
    pub(crate) const fn with_more_options(mut self, options: [f32; 4]) -> Self {
        let [a, b, c, d] = options;
        self.options = [self.options[0], self.options[1], self.options[2], self.options[3], a, b, c, d];
        self
    }
}

/// The first four options of a loss over a softmax: `exponent_scale`, `inverse_temperature`, smoothing and z-loss.
pub(crate) fn softmax_options(temperature: f32, label_smoothing: f32, z_loss: f32) -> [f32; 4] {
    let inverse_temperature = 1.0 / temperature;
    [std::f32::consts::LOG2_E * inverse_temperature, inverse_temperature, label_smoothing, z_loss]
}
