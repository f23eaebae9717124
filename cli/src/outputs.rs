//! The files that `eval` writes. All are created before anything is computed, and named only when all is computed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use logloss::Unit;

use crate::failure::{Failure, Outcome};
use crate::input::{Input, Samples};
use crate::tensor::NpyOutput;
use crate::tensor::axis::without_axis;

/// Where the user wants what.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Output files")]
pub struct OutputPaths {
    /// Write the unreduced losses, weights included: float32, one a row in the logits' shape without the class axis (0 where the
    /// target is ignored); in the logits' shape for a loss of every logit; one a region, (samples, classes, 1, ..), for Dice
    /// and its kin
    #[arg(long, value_name = "FILE.npy")]
    pub out_loss: Option<PathBuf>,

    /// Write the gradient of the reduced loss (of the sum for reduction none) by the logits: float32, in their shape
    #[arg(long, value_name = "FILE.npy")]
    pub out_grad: Option<PathBuf>,

    /// Write the log-softmax over the class axis of the logits, after --softcap and --temperature: float32, in their shape
    #[arg(long, value_name = "FILE.npy")]
    pub out_log_prob: Option<PathBuf>,
}

impl OutputPaths {
    /// Checks that no file is written twice, or read and written.
    ///
    /// # Errors
    /// One is; this is a mistake on the command line.
    pub fn check<'a>(&self, inputs: impl Iterator<Item = &'a PathBuf>) -> Outcome<()> {
        let inputs: Vec<_> = inputs.map(|path| identity(path)).collect();
        let mut seen: Vec<(&str, PathBuf)> = Vec::new();
        let outputs =
            [("--out-loss", &self.out_loss), ("--out-grad", &self.out_grad), ("--out-log-prob", &self.out_log_prob)];
        for (option, path) in outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?))) {
            let file = identity(path);
            if inputs.contains(&file) {
                return Err(Failure::Usage(format!("{option} {} would overwrite an input", path.display())));
            }
            if let Some((other, _)) = seen.iter().find(|(_, seen)| *seen == file) {
                return Err(Failure::Usage(format!("{option} and {other} name the same file, {}", path.display())));
            }
            seen.push((option, file));
        }
        Ok(())
    }
}

/// The file that a path leads to, whether it exists yet or not.
fn identity(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let named = || Some(fs::canonicalize(parent).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(named).unwrap_or_else(|| path.to_owned())
}

/// The files under construction.
pub struct Outputs {
    loss: Option<NpyOutput>,
    gradient: Option<NpyOutput>,
    log_prob: Option<NpyOutput>,
}

impl Outputs {
    /// Creates the files that are wanted, in the shapes of the input.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn create(paths: &OutputPaths, input: &Input, unit: Unit) -> Result<Self> {
        let create = |path: &Option<PathBuf>, shape: &[usize]| {
            path.as_ref().map(|path| NpyOutput::create(path, shape)).transpose()
        };
        let shape = input.logits.shape();
        Ok(Self {
            loss: create(&paths.out_loss, &loss_shape(shape, input.axis.axis, unit))?,
            gradient: create(&paths.out_grad, shape)?,
            log_prob: create(&paths.out_log_prob, shape)?,
        })
    }

    /// Whether log-probabilities are wanted.
    pub const fn want_log_prob(&self) -> bool {
        self.log_prob.is_some()
    }

    /// Writes losses of rows or regions, from the one of number `first` on.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_losses(&mut self, first: usize, losses: &[f32]) -> Result<()> {
        self.loss.as_mut().map_or(Ok(()), |output| output.write(first, losses))
    }

    /// Writes the losses of every logit of rows `first_row..`, row-major.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_element_losses(&mut self, input: &Input, first_row: usize, losses: &[f32]) -> Result<()> {
        self.loss.as_mut().map_or(Ok(()), |output| input.axis.scatter_rows(output, first_row, losses))
    }

    /// Writes the gradient of rows `first_row..`, row-major.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_gradient(&mut self, input: &Input, first_row: usize, gradient: &[f32]) -> Result<()> {
        self.gradient.as_mut().map_or(Ok(()), |output| input.axis.scatter_rows(output, first_row, gradient))
    }

    /// Writes the gradient of samples `first..`, the classes of each one after the other.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_sample_gradient(&mut self, input: &Input, all: Samples, first: usize, gradient: &[f32]) -> Result<()> {
        let Some(output) = self.gradient.as_mut() else { return Ok(()) };
        let axis = input.plane_axis(all);
        if input.axis.inner == all.positions {
            return output.write(first * axis.classes * axis.inner, gradient);
        }
        let mut rows = vec![0.0; gradient.len()];
        axis.rows_from_planes(gradient, &mut rows);
        input.axis.scatter_rows(output, first * all.positions, &rows)
    }

    /// Writes the log-probabilities of rows `first_row..`, row-major.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_log_prob(&mut self, input: &Input, first_row: usize, log_prob: &[f32]) -> Result<()> {
        self.log_prob.as_mut().map_or(Ok(()), |output| input.axis.scatter_rows(output, first_row, log_prob))
    }

    /// Gives every file its name.
    ///
    /// # Errors
    /// One cannot be completed or named.
    pub fn finish(self) -> Result<()> {
        [self.loss, self.gradient, self.log_prob].into_iter().flatten().try_for_each(NpyOutput::finish)
    }
}

/// The shape of unreduced losses of logits of `logits` whose classes are dimension `axis`, as PyTorch and MONAI have it.
fn loss_shape(logits: &[usize], axis: usize, unit: Unit) -> Vec<usize> {
    let regions = match unit {
        Unit::Row => return without_axis(logits, axis),
        Unit::Element => return logits.to_vec(),
        Unit::Region(regions) => regions,
    };
    // Positions stay as dimensions of 1; the samples' dimension goes where they are one.
    let size = |(i, &n): (usize, &usize)| match i {
        i if i == axis && regions.classes_together => Some(1),
        i if i == axis => Some(n - usize::from(regions.without_background)),
        0 if regions.samples_together => None,
        0 => Some(n),
        _ => Some(1),
    };
    logits.iter().enumerate().filter_map(size).collect()
}

#[cfg(test)]
mod tests {
    use logloss::Regions;

    use super::*;

    #[test]
    fn shapes_of_unreduced_losses() {
        let logits = [2, 4, 8, 9];
        let regions = Regions::default();
        let shape = |regions| loss_shape(&logits, 1, Unit::Region(regions));
        assert_eq!(loss_shape(&logits, 1, Unit::Row), [2, 8, 9]);
        assert_eq!(loss_shape(&logits, 3, Unit::Element), logits);
        assert_eq!(shape(regions), [2, 4, 1, 1]);
        assert_eq!(shape(Regions { without_background: true, ..regions }), [2, 3, 1, 1]);
        assert_eq!(shape(Regions { samples_together: true, ..regions }), [4, 1, 1]);
        assert_eq!(shape(Regions { classes_together: true, without_background: true, ..regions }), [2, 1, 1, 1]);
        assert_eq!(loss_shape(&logits, 3, Unit::Region(regions)), [2, 1, 1, 9]);
        assert_eq!(loss_shape(&[4, 8, 9], 0, Unit::Region(regions)), [4, 1, 1]);
    }
}
