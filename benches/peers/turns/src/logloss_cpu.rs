//! logloss's CPU engine.

use anyhow::{Context, Result};
use logloss::cpu::{self, LogitsMut, Outputs};
use logloss::{AnyLoss, Batch, Shape, Targets, every_loss};

use crate::peer::{Data, Entry, Lap, Peer, lap};

/// The yardstick of what runs on a CPU.
#[derive(Default)]
pub struct LoglossCpu {
    batch: Option<Own>,
}

struct Own {
    loss: Box<dyn AnyLoss>,
    shape: Shape,
    logits: Vec<f32>,
    targets: Vec<i32>,
    values: Vec<f32>,
    gradient: Vec<f32>,
}

impl Peer for LoglossCpu {
    fn name(&self) -> &str {
        "logloss, CPU"
    }

    fn peak_bytes(&self, logits: u64) -> u64 {
        2 * logits
    }

    fn prepare(&mut self, data: &Data) -> Result<Vec<Entry>> {
        let gradient = vec![0.0; data.logits.len()];
        let (logits, targets, values) = (data.logits.clone(), data.targets.clone(), data.values.clone());
        let loss = every_loss().into_iter().find(|loss| loss.definition().name == data.loss).context("no such loss")?;
        self.batch = Some(Own { loss, shape: data.shape, logits, targets, values, gradient });
        Ok(vec![Entry::new("", false), Entry::new("", true)])
    }

    fn run(&mut self, entry: usize) -> Result<Lap> {
        let own = self.batch.as_mut().context("no batch")?;
        let targets = if own.values.is_empty() { Targets::from(&own.targets) } else { Targets::from(&own.values) };
        let batch = Batch::new(own.shape, &own.logits, targets);
        let gradient = (entry == 1).then_some(LogitsMut::F32(&mut own.gradient));
        lap(|| {
            let outputs = Outputs { gradient, ..Outputs::default() };
            Ok(f64::from(cpu::evaluate_into(own.loss.as_ref(), &batch, outputs)?.loss))
        })
    }

    fn release(&mut self) {
        self.batch = None;
    }
}
