//! What takes turns.

use anyhow::Result;
use logloss::Shape;

use crate::child::ChildPeer;

/// A batch for everyone: `targets[r]` is the class of row `r`.
pub struct Data {
    pub shape: Shape,
    pub logits: Vec<f32>,
    pub targets: Vec<i32>,
}

impl Data {
    pub fn new(shape: Shape) -> Self {
        let logits = crate::data::logits(usize::try_from(shape.elements()).expect("a batch that fits memory"));
        Self { shape, logits, targets: crate::data::targets(shape.rows, shape.classes) }
    }
}

/// A way to compute the mean cross-entropy, or why there is none.
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

/// An implementation of cross-entropy.
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
        let entries = Self::prepare(self, &[data.shape.rows, data.shape.classes], "float32")?;
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
