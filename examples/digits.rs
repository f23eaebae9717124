//! Trains a classifier of handwritten digits on the GPU: multinomial logistic regression by gradient descent.
//!
//! ```text
//! cargo run --release --example digits
//! ```
//!
//! A wgpu program has shaders of its own (`shaders/linear.wgsl`: the logits, and the step of the parameters) and records
//! the loss with its gradient between them, into its own command encoder: `common/training.rs` is the place to look.
//! Nothing leaves the GPU but the losses that are printed and drawn: the picture of the loss curve goes to
//! `target/examples-output`, or to a folder named as an argument.
//!
//! With `--write` the logits of the test rows replace `data/digits-logits.npy`, and their classes `data/digits-targets.npy`.

mod common;

use std::time::Instant;

use anyhow::Result;
use common::arguments::Arguments;
use common::dataset::Dataset;
use common::picture::Picture;
use common::picture::lines::{Lines, Series};
use common::results;
use common::training::{Setting, Training};
use logloss::CrossEntropy;
use logloss::gpu::{AdapterChoice, Gpu};

const STEPS: usize = 200;

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let data = Dataset::digits()?.split().standardised();
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    println!("{} training rows, {} test rows, on {}", data.train.rows, data.test.rows, gpu.info.name);

    let training = Training::new(&gpu, data.train.samples()?, &CrossEntropy::default(), Setting::default())?;
    let start = Instant::now();
    let mut losses = Vec::new();
    training.run(STEPS, 5, |step, loss| {
        losses.push((step, loss));
        if step % 20 == 0 {
            println!("step {step:3}  loss {loss:.6}");
        }
    })?;
    println!("trained in {:.2} s", start.elapsed().as_secs_f64());

    let judgement = training.judge(&data.test)?;
    println!("test loss {:.6}, test accuracy {:.4}", judgement.loss, judgement.accuracy());
    let curve = Lines {
        heading: "Handwritten digits: the training rows' loss".into(),
        x: "step".into(),
        y: "mean cross-entropy, nats".into(),
        series: vec![Series::of_losses("cross-entropy", &losses)],
    };
    Picture::new([curve.into()]).save(&arguments.folder, "digits")?;
    if arguments.write {
        results::write("digits", &judgement)?;
    }
    Ok(())
}
