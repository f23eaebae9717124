//! A case on the CPU engine, and on the reference.

use logloss::{AnyLoss, Layout, Reduction, cpu, reference};

use super::case::{Case, Pass};
use super::data::{Data, Elements};
use super::host::{Host, seconds};

/// A case on the CPU engine.
pub(super) struct CpuSubject {
    loss: Box<dyn AnyLoss>,
    gradient: Elements,
}

impl CpuSubject {
    /// Makes room for the gradient of `rows` rows.
    pub fn new(case: &Case<'_>, passes: &[Pass], rows: u32) -> Self {
        let wants_gradient = passes.iter().any(|pass| pass.has_gradient());
        let n = if wants_gradient { usize::try_from(case.elements(rows)).unwrap_or(usize::MAX) } else { 0 };
        Self { loss: case.loss.reduced(Reduction::Mean), gradient: Elements::zeros(case.dtype, n) }
    }

    /// Computes a pass of the first rows: seconds, and the loss.
    ///
    /// # Errors
    /// As the library.
    pub fn run(&mut self, host: &Host, data: &Data, pass: Pass, layout: Layout) -> logloss::Result<(f64, f64)> {
        let batch = data.batch(layout);
        let Self { loss, gradient } = self;
        let gradient = pass.has_gradient().then(|| gradient.first_mut(batch.logits.len()));
        let outputs = cpu::Outputs { gradient, ..cpu::Outputs::default() };
        let mut value = 0.0;
        let taken = host.pool.install(|| {
            seconds(|| {
                value = cpu::evaluate_into(loss.as_ref(), &batch, outputs)?.loss.into();
                Ok::<_, logloss::Error>(())
            })
        })?;
        Ok((taken, value))
    }

    /// Loss and gradient of the first rows by the float64 reference: seconds, and the loss.
    ///
    /// # Errors
    /// As the library.
    pub fn run_reference(&self, data: &Data, layout: Layout) -> logloss::Result<(f64, f64)> {
        let mut value = 0.0;
        let taken = seconds(|| {
            value = reference::evaluate(self.loss.as_ref(), &data.batch(layout))?.loss;
            Ok::<_, logloss::Error>(())
        })?;
        Ok((taken, value))
    }
}
