//! logloss's CPU engine.

use anyhow::{Context, Result};
use logloss::cpu::{self, LogitsMut, Outputs};
use logloss::{Batch, CrossEntropy, Shape};

use crate::peer::{Data, Entry, Lap, Peer, lap};

/// The yardstick of what runs on a CPU.
#[derive(Default)]
pub struct LoglossCpu {
    batch: Option<Own>,
}

struct Own {
    shape: Shape,
    logits: Vec<f32>,
    targets: Vec<i32>,
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
        let (logits, targets) = (data.logits.clone(), data.targets.clone());
        self.batch = Some(Own { shape: data.shape, logits, targets, gradient });
        Ok(vec![Entry::new("", false), Entry::new("", true)])
    }

    fn run(&mut self, entry: usize) -> Result<Lap> {
        let own = self.batch.as_mut().context("no batch")?;
        let batch = Batch::new(own.shape, &own.logits, &own.targets);
        let gradient = (entry == 1).then_some(LogitsMut::F32(&mut own.gradient));
        lap(|| {
            let outputs = Outputs { gradient, ..Outputs::default() };
            Ok(f64::from(cpu::evaluate_into(&CrossEntropy::default(), &batch, outputs)?.loss))
        })
    }

    fn release(&mut self) {
        self.batch = None;
    }
}
