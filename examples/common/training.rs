//! Training and judging a linear classifier: where `logloss` is recorded among a program's own commands.

use anyhow::Result;
use logloss::gpu::{Gpu, GpuLoss, Inputs, Kernel, Outputs};
use logloss::wgpu;
use logloss::{CrossEntropy, Details, Gradient, Request, Summary, Targets};

use super::dataset::Dataset;
use super::linear_model::{LinearModel, Optimiser, Rows, Samples, storage, zeros};

/// What a training leaves to choose besides the loss.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setting<'a> {
    /// Weight of each class; absent means 1.
    pub class_weights: Option<&'a [f32]>,
    /// Weight of each class where it is present; absent means 1.
    pub pos_weights: Option<&'a [f32]>,
    /// Length and momentum of the steps.
    pub optimiser: Optimiser,
}

/// A model that learns from rows on the GPU.
pub struct Training<'g> {
    gpu: &'g Gpu,
    model: LinearModel,
    rows: Rows,
    weights: Weights,
    loss: Kernel,
    summary: wgpu::Buffer,
}

impl<'g> Training<'g> {
    /// A fresh model that learns the targets of `train` by a loss.
    pub fn new(gpu: &'g Gpu, train: Samples, loss: &(impl GpuLoss + ?Sized), setting: Setting) -> Result<Self> {
        let device = &gpu.device;
        let columns = train.features.len() / train.shape.rows.max(1) as usize;
        let model = LinearModel::new(device, columns.try_into()?, train.shape.classes, setting.optimiser);
        let dense_targets = matches!(train.targets, Targets::Dense(_));
        let request = Request { gradient: Gradient::InPlace, dense_targets, ..Request::default() };
        let training = Self {
            gpu,
            rows: model.upload(device, train)?,
            model,
            weights: Weights {
                class: setting.class_weights.map(|weights| storage(device, "class weights", weights)),
                positive: setting.pos_weights.map(|weights| storage(device, "positive weights", weights)),
            },
            loss: gpu.kernel(loss, request)?,
            summary: zeros(device, "summary", SUMMARY_BYTES / 4),
        };
        // wgpu reports a faulty shader or buffer to the device's error handler, not to the call.
        gpu.check()?;
        Ok(training)
    }

    /// One step of gradient descent over all rows: a single submission, after which everything is still on the GPU.
    pub fn step(&self) -> Result<()> {
        let Self { gpu, model, rows, .. } = self;
        let inputs = inputs(rows, &self.weights);
        let outputs = outputs(&self.summary, None);
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        model.forward(&mut encoder, rows);
        // The loss goes to the summary, and its gradient over the logits.
        self.loss.encode(&mut encoder, rows.shape, &inputs, &outputs)?;
        model.update(&mut encoder, rows);
        gpu.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// The loss over the rows, as the last step found it before it changed the parameters.
    pub fn loss(&self) -> Result<f32> {
        Ok(self.gpu.read_summary(&self.summary, self.rows.shape)?.loss)
    }

    /// Takes steps 0 to `last` and, at every step that `every` divides, calls `report` with the step and its
    /// [`loss`](Self::loss). Only then does the host wait for the GPU.
    pub fn run(&self, last: usize, every: usize, mut report: impl FnMut(usize, f32)) -> Result<()> {
        for step in 0..=last {
            self.step()?;
            if step % every == 0 {
                report(step, self.loss()?);
            }
        }
        Ok(())
    }

    /// Logits of rows that the model need not have seen, (rows, classes) row-major.
    pub fn logits(&self, samples: Samples) -> Result<Vec<f32>> {
        let Self { gpu, model, .. } = self;
        let rows = model.upload(&gpu.device, samples)?;
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logits") });
        model.forward(&mut encoder, &rows);
        gpu.queue.submit([encoder.finish()]);
        Ok(gpu.read(&rows.logits)?)
    }

    /// Judges the model by the cross-entropy of rows that it has not seen; they count alike, whatever the loss and the
    /// weights in training.
    pub fn judge(&self, test: &Dataset) -> Result<Judgement> {
        let Self { gpu, model, .. } = self;
        let rows = model.upload(&gpu.device, test.samples()?)?;
        let request = Request { details: true, ..Request::default() };
        let loss = gpu.kernel(&CrossEntropy::default(), request)?;
        let details_bytes = u64::from(rows.shape.rows) * size_of::<Details>() as u64;
        let details = zeros(&gpu.device, "details", details_bytes / 4);
        let summary = zeros(&gpu.device, "summary", SUMMARY_BYTES / 4);

        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("judge") });
        model.forward(&mut encoder, &rows);
        loss.encode(&mut encoder, rows.shape, &inputs(&rows, &Weights::default()), &outputs(&summary, Some(&details)))?;
        gpu.queue.submit([encoder.finish()]);

        let summary = gpu.read_summary(&summary, rows.shape)?;
        Ok(Judgement {
            loss: summary.loss,
            logits: gpu.read(&rows.logits)?,
            targets: test.labels.clone(),
            details: gpu.read(&details)?,
        })
    }
}

/// What a model made of rows that it had not seen.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Mean cross-entropy in nats.
    pub loss: f32,
    /// Logits, (rows, classes) row-major.
    pub logits: Vec<f32>,
    /// Class index of each row.
    pub targets: Vec<i32>,
    /// Log-probability of the target, and its rank among the logits, for each row.
    pub details: Vec<Details>,
}

impl Judgement {
    /// Share of the rows whose target has the largest logit.
    pub fn accuracy(&self) -> f64 {
        mean(self.details.iter().map(is_correct))
    }

    /// Share of the rows of a class that were recognised.
    pub fn recall(&self, class: i32) -> f64 {
        mean(self.of_class(class).map(is_correct))
    }

    /// Mean cross-entropy of the rows of a class, in nats.
    pub fn class_loss(&self, class: i32) -> f64 {
        mean(self.of_class(class).map(|row| -f64::from(row.log_prob)))
    }

    fn of_class(&self, class: i32) -> impl Iterator<Item = &Details> {
        self.targets.iter().zip(&self.details).filter(move |(target, _)| **target == class).map(|(_, row)| row)
    }
}

fn is_correct(row: &Details) -> f64 {
    f64::from(u8::from(row.rank == 0))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

const SUMMARY_BYTES: u64 = size_of::<Summary>() as u64;

/// Weights on the GPU.
#[derive(Debug, Default)]
struct Weights {
    class: Option<wgpu::Buffer>,
    positive: Option<wgpu::Buffer>,
}

fn inputs<'a>(rows: &'a Rows, weights: &'a Weights) -> Inputs<'a> {
    let whole = |buffer: &'a Option<wgpu::Buffer>| buffer.as_ref().map(wgpu::Buffer::as_entire_buffer_binding);
    Inputs {
        class_weights: whole(&weights.class),
        pos_weights: whole(&weights.positive),
        ..Inputs::new(&rows.logits, &rows.targets)
    }
}

fn outputs<'a>(summary: &'a wgpu::Buffer, details: Option<&'a wgpu::Buffer>) -> Outputs<'a> {
    Outputs { details: details.map(wgpu::Buffer::as_entire_buffer_binding), ..Outputs::new(summary) }
}
