//! The files that `eval` writes. All are created before anything is computed, and named only when all is computed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::tensor::NpyOutput;

/// Where the user wants what.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Output files")]
pub struct OutputPaths {
    /// Write the loss of each row in nats, weights included, before any reduction: float32, in the targets' shape;
    /// 0 where the target is ignored
    #[arg(long, value_name = "FILE.npy")]
    pub out_loss: Option<PathBuf>,

    /// Write the gradient of the reduced loss (of the sum for reduction none) by the logits: float32, in their shape
    #[arg(long, value_name = "FILE.npy")]
    pub out_grad: Option<PathBuf>,

    /// Write the log-softmax over the class axis of the logits (divided by the temperature): float32, in their shape
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
    pub fn create(paths: &OutputPaths, input: &Input) -> Result<Self> {
        let create = |path: &Option<PathBuf>, shape| path.as_ref().map(|p| NpyOutput::create(p, shape)).transpose();
        Ok(Self {
            loss: create(&paths.out_loss, input.targets.shape())?,
            gradient: create(&paths.out_grad, input.logits.shape())?,
            log_prob: create(&paths.out_log_prob, input.logits.shape())?,
        })
    }

    /// Writes the losses of rows `first_row..`.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_losses(&mut self, first_row: usize, losses: &[f32]) -> Result<()> {
        self.loss.as_mut().map_or(Ok(()), |output| output.write(first_row, losses))
    }

    /// Writes the gradient of rows `first_row..`.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_gradient(&mut self, input: &Input, first_row: usize, gradient: &[f32]) -> Result<()> {
        self.gradient.as_mut().map_or(Ok(()), |output| input.axis.scatter_rows(output, first_row, gradient))
    }

    /// Writes the log-probabilities of rows `first_row..`.
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
