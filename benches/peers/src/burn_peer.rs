//! burn's `CrossEntropyLoss` on its wgpu and CPU backends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, anyhow};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use logloss_turns::peer::{Data, Entry, Lap, Peer, lap};

/// A backend of burn.
pub struct BurnPeer {
    name: &'static str,
    device: Device,
    /// Why there is no gradient, if there is none.
    no_gradient: Option<&'static str>,
    batch: Option<Batch>,
}

struct Batch {
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    loss: CrossEntropyLoss,
}

impl BurnPeer {
    pub fn wgpu() -> Self {
        let no_gradient = Some("burn's backward pass ends the process inside lavapipe");
        Self { name: "burn 0.22, wgpu", device: Device::wgpu(DeviceKind::DefaultDevice), no_gradient, batch: None }
    }

    pub fn flex() -> Self {
        Self { name: "burn 0.22, flex (CPU)", device: Device::flex(), no_gradient: None, batch: None }
    }

    /// Deprecated in 0.22 in favour of flex, and what most programs have.
    #[expect(deprecated)]
    pub fn ndarray() -> Self {
        Self { name: "burn 0.22, ndarray (CPU)", device: Device::ndarray(), no_gradient: None, batch: None }
    }
}

impl Peer for BurnPeer {
    fn name(&self) -> &str {
        self.name
    }

    fn peak_bytes(&self, logits: u64) -> u64 {
        // Logits, their exponentials and log-softmax, with the copies that autodiff keeps.
        7 * logits
    }

    fn prepare(&mut self, data: &Data) -> Result<Vec<Entry>> {
        let (rows, classes) = (data.shape.rows as usize, data.shape.classes as usize);
        let device = self.device.clone();
        self.batch = Some(caught(|| Batch {
            logits: Tensor::from_data(TensorData::new(data.logits.clone(), [rows, classes]), &device),
            targets: Tensor::from_data(TensorData::new(data.targets.clone(), [rows]), &device),
            loss: CrossEntropyLossConfig::new().init(&device),
        })?);
        let gradient = match self.no_gradient {
            None => Entry::new("", true),
            Some(reason) => Entry::left_out("", true, reason),
        };
        Ok(vec![Entry::new("", false), gradient])
    }

    fn run(&mut self, entry: usize) -> Result<Lap> {
        let batch = self.batch.as_ref().context("no batch")?;
        let (logits, targets) = (batch.logits.clone(), batch.targets.clone());
        caught(|| {
            lap(|| {
                if entry == 0 {
                    // To read the number is to wait for it.
                    return Ok(f64::from(batch.loss.forward(logits, targets).into_scalar::<f32>()));
                }
                let leaf = logits.autodiff().require_grad();
                let loss = batch.loss.forward(leaf.clone(), targets.autodiff());
                let gradient = leaf.grad(&loss.backward()).context("no gradient")?;
                self.device.sync().map_err(|error| anyhow!("{error:?}"))?;
                drop(gradient);
                Ok(f64::from(loss.into_scalar::<f32>()))
            })
        })?
    }

    fn release(&mut self) {
        self.batch = None;
        if let Err(error) = caught(|| self.device.memory_cleanup()) {
            eprintln!("{error:#}");
        }
    }
}

/// burn panics where others return an error.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        anyhow!("panics: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word"))
    })
}
