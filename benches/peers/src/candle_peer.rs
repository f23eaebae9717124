//! candle-nn's `loss::cross_entropy` on the CPU.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor, Var};
use candle_nn::loss::cross_entropy;
use logloss_turns::peer::{Data, Entry, Lap, Peer, lap};

#[derive(Default)]
pub struct CandlePeer {
    batch: Option<(Var, Tensor)>,
}

impl Peer for CandlePeer {
    fn name(&self) -> &str {
        "candle 0.11 (CPU)"
    }

    fn peak_bytes(&self, logits: u64) -> u64 {
        // Logits, five tensors of a composed log-softmax, and their gradients.
        10 * logits
    }

    fn prepare(&mut self, data: &Data) -> Result<Vec<Entry>> {
        let (rows, classes) = (data.shape.rows as usize, data.shape.classes as usize);
        let targets: Vec<u32> = data.targets.iter().map(|&t| t.cast_unsigned()).collect();
        let logits = Var::from_vec(data.logits.clone(), (rows, classes), &Device::Cpu)?;
        self.batch = Some((logits, Tensor::from_vec(targets, rows, &Device::Cpu)?));
        Ok(vec![Entry::new("", false), Entry::new("", true)])
    }

    fn run(&mut self, entry: usize) -> Result<Lap> {
        let (logits, targets) = self.batch.as_ref().context("no batch")?;
        lap(|| {
            if entry == 0 {
                return Ok(f64::from(cross_entropy(&logits.detach(), targets)?.to_scalar::<f32>()?));
            }
            let loss = cross_entropy(logits, targets)?;
            loss.backward()?.get(logits).context("no gradient")?;
            Ok(f64::from(loss.to_scalar::<f32>()?))
        })
    }

    fn release(&mut self) {
        self.batch = None;
    }
}
