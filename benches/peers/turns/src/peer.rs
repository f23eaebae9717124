//! What takes turns.

use anyhow::Result;
use logloss::{AnyLoss, CrossEntropy, Shape};

use crate::child::ChildPeer;
use crate::data;
use crate::kind::{self, Kind};

/// A batch for everyone, and the name of the loss that everyone computes of it, with logloss's default options.
pub struct Data {
    pub loss: String,
    pub kind: Kind,
    pub shape: Shape,
    pub logits: Vec<f32>,
    /// `targets[r]` is the class of row `r`.
    pub targets: Vec<i32>,
    /// Dense targets, of a loss that has them.
    pub values: Vec<f32>,
}

impl Data {
    /// For cross-entropy.
    pub fn new(shape: Shape) -> Self {
        Self::of(&CrossEntropy::default(), shape)
    }

    pub fn of(loss: &dyn AnyLoss, shape: Shape) -> Self {
        let (definition, n) = (loss.definition(), usize::try_from(shape.elements()).expect("a batch that fits memory"));
        let kind = Kind::of(&definition);
        Self {
            loss: definition.name.to_owned(),
            kind,
            shape,
            logits: data::logits(n),
            targets: data::targets(shape.rows, shape.classes),
            values: if kind == Kind::Classes { Vec::new() } else { kind::values(kind, n, shape.classes) },
        }
    }
}

/// A way to compute the loss, or why there is none.
pub struct Entry {
    pub variant: String,
    pub gradient: bool,
    pub left_out: Option<String>,
}

impl Entry {
    pub fn new(variant: &str, gradient: bool) -> Self {
        Self { variant: variant.to_owned(), gradient, left_out: None }
    }

    pub fn left_out(variant: &str, gradient: bool, reason: impl Into<String>) -> Self {
        Self { left_out: Some(reason.into()), ..Self::new(variant, gradient) }
    }
}

/// One run: seconds, and the loss that came out.
pub struct Lap {
    pub seconds: f64,
    pub loss: f64,
}

/// An implementation of losses.
pub trait Peer {
    fn name(&self) -> &str;

    /// Bytes that it may hold at its worst, for a batch whose logits take `logits` bytes: an estimate, to be left out by.
    fn peak_bytes(&self, logits: u64) -> u64;

    /// Makes its own tensors of a batch.
    ///
    /// # Errors
    /// It cannot; it is left out then.
    fn prepare(&mut self, data: &Data) -> Result<Vec<Entry>>;

    /// Runs an entry of the last batch once.
    ///
    /// # Errors
    /// It fails; it is left out from then on.
    fn run(&mut self, entry: usize) -> Result<Lap>;

    /// Gives the batch back.
    fn release(&mut self);
}

/// Times `compute`, which returns the loss.
///
/// # Errors
/// As `compute`.
pub fn lap(compute: impl FnOnce() -> Result<f64>) -> Result<Lap> {
    let start = std::time::Instant::now();
    let loss = compute()?;
    Ok(Lap { seconds: start.elapsed().as_secs_f64(), loss })
}

impl Peer for ChildPeer {
    fn name(&self) -> &str {
        &self.name
    }

    fn peak_bytes(&self, logits: u64) -> u64 {
        // Logits, their log-softmax, two gradients and one to spare.
        5 * logits
    }

    fn prepare(&mut self, data: &Data) -> Result<Vec<Entry>> {
        let shape = [data.shape.rows, data.shape.classes];
        let entries = Self::prepare(self, &data.loss, data.kind.name(), &shape, "float32")?;
        Ok(entries.iter().map(|entry| Entry::new(&entry.variant, entry.gradient)).collect())
    }

    fn run(&mut self, entry: usize) -> Result<Lap> {
        let (seconds, loss) = Self::run(self, entry)?;
        Ok(Lap { seconds, loss })
    }

    fn release(&mut self) {
        if let Err(error) = Self::release(self) {
            eprintln!("{error:#}");
        }
    }
}
