//! Rounds in which everything runs once: a machine that drifts moves all of it.

use std::time::Instant;

use anyhow::{Result, ensure};
use logloss::DType;

use crate::child::{ChildEntry, ChildPeer};
use crate::subject::{Pass, Subject};

/// Rounds that count however slow they are, if so many are asked for.
const LEAST: usize = 3;

/// A program beside this one, with the batch that it has made.
pub struct Opponent<'p> {
    peer: &'p mut ChildPeer,
    pub entries: Vec<ChildEntry>,
}

impl<'p> Opponent<'p> {
    /// Lets it make the same batch, and checks what it computes.
    ///
    /// # Errors
    /// It cannot, or computes something else.
    pub fn new(peer: &'p mut ChildPeer, shape: &[u32], subject: &Subject<'_>) -> Result<Self> {
        let entries = peer.prepare("cross_entropy", "classes", shape, subject.dtype.name())?;
        // PyTorch rounds the mean to the logits' type: 11 and 8 bits, of which one is left to how it adds up.
        let tolerance = match subject.dtype {
            DType::F32 => 1e-4,
            DType::F16 => 1.0 / 1024.0,
            DType::Bf16 => 1.0 / 128.0,
        };
        for (i, entry) in entries.iter().enumerate() {
            let (_, loss) = peer.run(i)?;
            let is_near = (loss - subject.loss).abs() <= tolerance * subject.loss;
            ensure!(is_near, "{}, {}: a loss of {loss}, not {}", peer.name, entry.variant, subject.loss);
        }
        Ok(Self { peer, entries })
    }

    pub fn name(&self) -> &str {
        &self.peer.name
    }
}

impl Drop for Opponent<'_> {
    fn drop(&mut self) {
        // What matters of its failure the next batch will say.
        drop(self.peer.release());
    }
}

/// Seconds of everything in every round that counts.
pub struct Rounds {
    passes: Vec<[f64; Pass::ALL.len()]>,
    /// An inner vector a round.
    opponents: Vec<Vec<f64>>,
}

impl Rounds {
    /// After one round that does not count.
    ///
    /// # Errors
    /// The device or the opponent fails.
    pub fn measure(
        subject: &Subject<'_>,
        passes: &[Pass],
        mut opponent: Option<&mut Opponent<'_>>,
        rounds: usize,
        seconds: f64,
    ) -> Result<Self> {
        let mut all = Self { passes: Vec::new(), opponents: Vec::new() };
        let start = Instant::now();
        for round in 0..=rounds {
            if round > LEAST && start.elapsed().as_secs_f64() > seconds {
                break;
            }
            let mut times = [f64::NAN; Pass::ALL.len()];
            for &pass in passes {
                times[pass as usize] = subject.seconds(pass)?;
            }
            let mut theirs = Vec::new();
            if let Some(opponent) = opponent.as_deref_mut() {
                for entry in 0..opponent.entries.len() {
                    theirs.push(opponent.peer.run(entry)?.0);
                }
            }
            if round > 0 {
                all.passes.push(times);
                all.opponents.push(theirs);
            }
        }
        Ok(all)
    }

    /// Median over the rounds of a figure of a round's times of two passes.
    pub fn median(&self, pass: Pass, beside: Pass, figure: impl Fn(f64, f64) -> f64) -> f64 {
        median(self.passes.iter().map(|times| figure(times[pass as usize], times[beside as usize])))
    }

    /// Median over the rounds of a figure of the times of an opponent's entry and of a pass.
    pub fn median_of_opponent(&self, entry: usize, pass: Pass, figure: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.opponents.iter().zip(&self.passes);
        median(pairs.filter_map(|(theirs, ours)| Some(figure(*theirs.get(entry)?, ours[pass as usize]))))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
