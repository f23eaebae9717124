//! Weights of the classes.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::place;
use crate::tensor::{ClassAxis, ShapeText, Tensor, TensorSet};

/// Reads one weight a class.
pub(super) fn of_classes(path: &Path, key: &str, logits: &TensorSet, axis: &ClassAxis) -> Result<Vec<f32>> {
    let tensor = Tensor::open(path, None, key)?;
    ensure!(
        tensor.shape() == [axis.classes],
        "{}: class weights of shape {}, but the logits ({}, shape {}, class axis {}) need one weight a class, shape {}",
        tensor.source(),
        ShapeText(tensor.shape()),
        place::name(logits),
        ShapeText(logits.shape()),
        axis.axis,
        ShapeText(&[axis.classes])
    );
    let mut weights = vec![0.0; axis.classes];
    tensor.read_f32(0..axis.classes, &mut weights)?;
    if let Some(class) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        bail!(
            "{}: weight {} of class {class}; weights must be finite and at least 0",
            tensor.source(),
            weights.get(class).copied().unwrap_or_default()
        );
    }
    Ok(weights)
}
