//! Options of `logloss bench`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::ValueEnum;
use logloss::gpu::AdapterChoice;
use logloss::{DType, Shape};

use super::case::Pass;
use crate::engine;
use crate::loss::LossName;

/// Large enough to leave the caches of most machines, with the class counts of image and language models.
const SHAPES: [Shape; 3] = [Shape::new(65_536, 1000), Shape::new(8192, 32_000), Shape::new(2048, 128_256)];
const QUICK_SHAPES: [Shape; 2] = [Shape::new(1024, 100), Shape::new(256, 1000)];

/// Options of `logloss bench`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// Rows by classes, such as 8192x32000; may be given several times
    /// [default: 65536x1000, 8192x32000 and 2048x128256]
    #[arg(long, value_name = "RxC", value_parser = parse_shape, help_heading = "What to measure")]
    shape: Vec<Shape>,

    /// A loss; may be given several times [default: cross-entropy]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "What to measure")]
    loss: Vec<LossName>,

    /// Element type of logits and gradient; may be given several times [default: f32]
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "What to measure")]
    dtype: Vec<DTypeName>,

    /// What to compute; may be given several times [default: both]
    #[arg(long, value_enum, value_name = "PASS", help_heading = "What to measure")]
    pass: Vec<Pass>,

    /// Rounds that are measured, after one that is not [default: 11; with --quick 5]
    #[arg(long, value_name = "N", help_heading = "How to measure")]
    rounds: Option<NonZeroU16>,

    /// Small shapes and few rounds: seconds instead of minutes, and numbers for a first impression
    #[arg(long, help_heading = "How to measure")]
    pub(super) quick: bool,

    /// Which GPU: its number in 'logloss devices', or part of its name, driver or backend
    #[arg(long, value_name = "TEXT|INDEX", help_heading = "How to measure")]
    adapter: Option<String>,

    /// Threads of the CPU engine [default: as many as the processor runs at once]
    #[arg(long, value_name = "N", help_heading = "How to measure")]
    pub(super) threads: Option<NonZeroU16>,

    /// Print one JSON object and nothing else to standard output
    #[arg(long, help_heading = "Report")]
    pub(super) json: bool,

    /// Write the report as one page with charts, which needs nothing from elsewhere
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) html: Option<PathBuf>,

    /// Show no progress bar
    #[arg(long, help_heading = "Report")]
    pub(super) quiet: bool,
}

/// No line is wider than 98 characters, which is where the help is wrapped.
const HELP: &str = "\
WHAT IS MEASURED
  kernel      the device alone, by its own clock where it has one (timestamp queries), else from
              submission until the device is idle
  call        recording, submitting and waiting, of logits that are on the device already
  upload      logits and targets, from slices of the host
  readback    the loss, and the gradient if there is one
  cpu         the CPU engine, on logits in the host's memory
  copy        a plain copy of a large array, on the device and on the machine: what a pass that
              moves its bytes at the speed of memory cannot beat by much

  Rounds go through all of these in turn, so that a machine that drifts moves all of them, and the
  medians of the rounds are compared. One round goes before, and does not count. Every shape is also
  measured with fewer rows, down to a 256th (with --quick, a 64th), to find the number of rows from
  which the GPU is faster.

EXAMPLES
  logloss bench --quick
  logloss bench --shape 8192x32000 --dtype bf16 --pass forward-gradient
  logloss bench --loss cross-entropy --loss bce-with-logits --html bench.html
  logloss bench --adapter llvmpipe --threads 1 --json > bench.json";

/// Element types by short names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DTypeName {
    /// float32
    F32,
    /// float16
    F16,
    /// bfloat16
    Bf16,
}

impl Arguments {
    /// The shapes, each once.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        let default: &[Shape] = if self.quick { &QUICK_SHAPES } else { &SHAPES };
        once(or(&self.shape, default))
    }

    /// The losses, each once.
    pub(super) fn losses(&self) -> Vec<LossName> {
        once(or(&self.loss, &[LossName::CrossEntropy]))
    }

    /// The element types, each once.
    pub(super) fn dtypes(&self) -> Vec<DType> {
        let dtype = |name: &DTypeName| match name {
            DTypeName::F32 => DType::F32,
            DTypeName::F16 => DType::F16,
            DTypeName::Bf16 => DType::Bf16,
        };
        once(or(&self.dtype, &[DTypeName::F32])).iter().map(dtype).collect()
    }

    /// The passes, each once.
    pub(super) fn passes(&self) -> Vec<Pass> {
        once(or(&self.pass, &[Pass::Forward, Pass::ForwardGradient]))
    }

    /// Rounds that count.
    pub(super) fn rounds(&self) -> usize {
        self.rounds.map_or(if self.quick { 5 } else { 11 }, |rounds| rounds.get().into())
    }

    /// The adapter that the user asks for.
    pub(super) fn adapter(&self) -> Option<AdapterChoice> {
        self.adapter.as_deref().map(engine::choice)
    }
}

fn or<'a, T>(given: &'a [T], default: &'a [T]) -> &'a [T] {
    if given.is_empty() { default } else { given }
}

fn once<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(value) {
            seen.push(*value);
        }
    }
    seen
}

/// Reads `8192x32000`.
fn parse_shape(text: &str) -> Result<Shape, String> {
    const FORM: &str = "not ROWSxCLASSES, such as 8192x32000";
    let (rows, classes) = text.split_once(['x', 'X']).ok_or(FORM)?;
    let size = |digits: &str| match digits.trim().parse::<u32>() {
        Ok(0) => Err("rows and classes must be at least 1".to_owned()),
        Ok(size) => Ok(size),
        Err(_) => Err(FORM.to_owned()),
    };
    Ok(Shape::new(size(rows)?, size(classes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(parse_shape("8192x32000"), Ok(Shape::new(8192, 32_000)));
        assert_eq!(parse_shape("1X1"), Ok(Shape::new(1, 1)));
        for text in ["", "x", "8192", "8192x", "0x3", "3x0", "-1x3", "1x2x3", "1.5x2", "4294967296x1"] {
            assert!(parse_shape(text).is_err(), "{text}");
        }
    }
}
