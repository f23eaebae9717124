//! Trains a classifier of handwritten digits: the loss is recorded between the program's own shaders, and nothing leaves the GPU but
//! the losses that are drawn.

use anyhow::Result;
use logloss::gpu::{Gpu, Inputs, Outputs};
use logloss::{CrossEntropy, Details, Gradient, Request, Summary, wgpu};

use crate::common::dataset::Dataset;
use crate::common::linear_model::{LinearModel, Optimiser, Rows, zeros};
use crate::common::picture::Picture;
use crate::common::picture::lines::{Lines, Series};
use crate::page::Page;

const STEPS: usize = 200;

/// Steps between two looks at the loss.
const LOOK: usize = 5;

const SUMMARY_BYTES: u64 = size_of::<Summary>() as u64;

/// Trains, draws the losses as they come, and says how many of the test rows are recognised.
pub async fn train(gpu: &Gpu, page: &Page) -> Result<()> {
    let device = &gpu.device;
    let data = Dataset::digits()?.split().standardised();
    let (train, test) = (data.train.samples()?, data.test.samples()?);
    let columns = data.train.columns.try_into()?;
    let model = LinearModel::new(device, columns, train.shape.classes, Optimiser::default());
    let (train, test) = (model.upload(device, train)?, model.upload(device, test)?);
    let kernel = gpu.kernel(&CrossEntropy::default(), Request { gradient: Gradient::InPlace, ..Request::FORWARD })?;
    let summary = zeros(device, "summary", SUMMARY_BYTES / 4);

    let mut losses = Vec::new();
    for step in 0..=STEPS {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        model.forward(&mut encoder, &train);
        // The loss goes to the summary, and its gradient over the logits.
        let inputs = Inputs::new(&train.logits, &train.targets);
        kernel.encode(&mut encoder, train.shape, &inputs, &Outputs::new(&summary))?;
        model.update(&mut encoder, &train);
        gpu.queue.submit([encoder.finish()]);
        if step % LOOK == 0 {
            let loss = gpu.read_summary_async(&summary, train.shape).await?.loss;
            losses.push((step, loss));
            page.text("training", &format!("Handwritten digits, step {step} of {STEPS}: {loss:.4} nats"))?;
            // One point makes no line.
            if step > 0 {
                page.draw("curve", &curve(&losses)?)?;
            }
        }
    }
    let (loss, accuracy) = judge(gpu, &model, &test).await?;
    page.text(
        "training",
        &format!(
            "Handwritten digits, {} rows, {STEPS} steps of gradient descent. Of {} test rows {:.1} % are recognised, at {loss:.4} nats.",
            train.shape.rows,
            test.shape.rows,
            100.0 * accuracy
        ),
    )
}

/// Mean cross-entropy, and the share of the rows whose target has the largest logit.
async fn judge(gpu: &Gpu, model: &LinearModel, rows: &Rows) -> Result<(f32, f64)> {
    let device = &gpu.device;
    let kernel = gpu.kernel(&CrossEntropy::default(), Request { details: true, ..Request::FORWARD })?;
    let summary = zeros(device, "summary", SUMMARY_BYTES / 4);
    let details = zeros(device, "details", u64::from(rows.shape.rows) * size_of::<Details>() as u64 / 4);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("judge") });
    model.forward(&mut encoder, rows);
    let outputs = Outputs { details: Some(details.as_entire_buffer_binding()), ..Outputs::new(&summary) };
    kernel.encode(&mut encoder, rows.shape, &Inputs::new(&rows.logits, &rows.targets), &outputs)?;
    gpu.queue.submit([encoder.finish()]);
    let loss = gpu.read_summary_async(&summary, rows.shape).await?.loss;
    let details: Vec<Details> = gpu.read_async(&details).await?;
    let right = details.iter().filter(|row| row.rank == 0).count();
    Ok((loss, right as f64 / details.len() as f64))
}

fn curve(losses: &[(usize, f32)]) -> Result<String> {
    let lines = Lines {
        heading: "Loss of the training rows".into(),
        x: "step".into(),
        y: "mean cross-entropy, nats".into(),
        series: vec![Series::of_losses("cross-entropy", losses)],
    };
    Picture::new([lines.into()]).to_svg()
}
