//! The rows that the demonstration evaluates.

use anyhow::{Context as _, ensure};
use logloss::totals::Labels;
use logloss::{Batch, Shape};

use crate::failure::Outcome;
use crate::tensor::{element, npy};

/// `examples/data/README.md` says where these come from.
const DIGITS_LOGITS: &[u8] = include_bytes!("../../../../examples/data/digits-logits.npy");
const DIGITS_TARGETS: &[u8] = include_bytes!("../../../../examples/data/digits-targets.npy");

/// Rows of three logits, target the first, whose loss float32 loses by the textbook formula.
pub const HARD_ROWS: [(&str, [f32; 3]); 3] =
    [("[1e6, 1e6, 1e6]", [1e6, 1e6, 1e6]), ("[1e8, 1e8, 1e8]", [1e8, 1e8, 1e8]), ("[20, 0, 0]", [20.0, 0.0, 0.0])];

/// A batch that owns its rows.
pub struct Rows {
    /// Shape (rows, classes), row-major.
    pub logits: Vec<f32>,
    /// Shape (rows).
    pub targets: Vec<i32>,
    /// Number of classes.
    pub classes: usize,
}

impl Rows {
    /// The rows, borrowed.
    ///
    /// # Errors
    /// There are more than 32 bits can count.
    pub fn batch(&self) -> Outcome<Batch<'_>> {
        let rows = u32::try_from(self.targets.len()).context("too many rows")?;
        let classes = u32::try_from(self.classes).context("too many classes")?;
        Ok(Batch::new(Shape::new(rows, classes), &self.logits, &self.targets))
    }

    /// Their targets.
    pub fn labels(&self) -> Labels<'_> {
        Labels::new(&self.targets, u32::try_from(self.classes).unwrap_or(u32::MAX), &[])
    }
}

/// Logits of a linear classifier for images of handwritten digits, and what digits they are.
///
/// # Errors
/// The data that was compiled in is malformed.
pub fn digits() -> anyhow::Result<Rows> {
    let header = npy::Header::parse(DIGITS_LOGITS)?;
    let &[rows, classes] = header.shape.as_slice() else { anyhow::bail!("the digits' logits are no matrix") };
    let mut logits = vec![0.0; rows * classes];
    let range = header.data_range(DIGITS_LOGITS.len())?;
    element::to_f32(header.element, DIGITS_LOGITS.get(range).context("cut data")?, &mut logits);

    let header = npy::Header::parse(DIGITS_TARGETS)?;
    ensure!(header.shape == [rows], "the digits' targets do not fit their logits");
    let mut targets = vec![0; rows];
    let range = header.data_range(DIGITS_TARGETS.len())?;
    element::to_i32(header.element, DIGITS_TARGETS.get(range).context("cut data")?, &mut targets)
        .map_err(|bad| anyhow::anyhow!("target {} of the digits", bad.value))?;
    Ok(Rows { logits, targets, classes })
}

/// 4096 rows of 1000 classes: uniform logits in [-8, 8), the same on every machine.
pub fn synthetic() -> Rows {
    const ROWS: usize = 4096;
    const CLASSES: usize = 1000;
    let mut random = SplitMix(2026);
    // The upper 24 bits are a float32 in [0, 1), exactly.
    let logits = (0..ROWS * CLASSES).map(|_| 16.0 * (random.next() >> 40) as f32 / 16_777_216.0 - 8.0).collect();
    let targets = (0..ROWS).map(|_| i32::try_from(random.next() % CLASSES as u64).unwrap_or(0)).collect();
    Rows { logits, targets, classes: CLASSES }
}

/// Steele, Lea and Flood's `SplitMix64` (2014).
struct SplitMix(u64);

impl SplitMix {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
