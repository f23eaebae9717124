//! Trains a diagnosis on the GPU twice, without and with class weights, and compares what they recognise.
//!
//! ```text
//! cargo run --release --example breast_cancer
//! ```
//!
//! Of the tumours, 37 % are malignant, so a plain mean of the losses cares less for them. Class weights of inverse
//! frequency give each class half of the say: the weights are one more buffer that the loss reads on the GPU, and
//! `common/training.rs` records it. The malignant rows' loss falls, at the price of the benign ones; here they are so
//! far apart that as many rows of each are recognised either way.
//!
//! A picture of both loss curves goes to `target/examples-output`, or to a folder named as an argument.
//!
//! With `--write` the weighted model's logits of the test rows replace `data/breast_cancer-logits.npy`, and their
//! classes `data/breast_cancer-targets.npy`. It shows how to use a loss; it is no basis for a medical decision.

mod common;

use anyhow::Result;
use common::arguments::Arguments;
use common::dataset::Dataset;
use common::picture::Picture;
use common::picture::lines::{Lines, Series};
use common::results;
use common::training::{Judgement, Setting, Training};
use logloss::CrossEntropy;
use logloss::gpu::{AdapterChoice, Gpu};

const STEPS: usize = 100;
const MALIGNANT: i32 = 0;
const BENIGN: i32 = 1;

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let data = Dataset::breast_cancer()?.split().standardised();
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    println!("{} training rows, {} test rows, on {}", data.train.rows, data.test.rows, gpu.info.name);

    let mut curves = Vec::new();
    let mut train_and_judge = |title: String, class_weights: Option<&[f32]>| -> Result<Judgement> {
        println!("{title}");
        let setting = Setting { class_weights, ..Setting::default() };
        let training = Training::new(&gpu, data.train.samples()?, &CrossEntropy::default(), setting)?;
        let mut losses = Vec::new();
        training.run(STEPS, 2, |step, loss| {
            losses.push((step, loss));
            if step % 20 == 0 {
                println!("  step {step:3}  loss {loss:.6}");
            }
        })?;
        curves.push(Series::of_losses(title, &losses));
        let judgement = training.judge(&data.test)?;
        println!("  test loss {:.6}, test accuracy {:.4}", judgement.loss, judgement.accuracy());
        for (name, class) in [("malignant", MALIGNANT), ("benign", BENIGN)] {
            println!("  {name:9}  loss {:.6}, recall {:.4}", judgement.class_loss(class), judgement.recall(class));
        }
        Ok(judgement)
    };

    let weights = data.train.inverse_frequencies();
    train_and_judge("without class weights".into(), None)?;
    let weighted = train_and_judge(format!("with class weights {weights:.3?}"), Some(&weights))?;
    let curves = Lines {
        heading: "Tumours: the training rows' loss".into(),
        x: "step".into(),
        y: "mean cross-entropy (weighted, if so trained), nats".into(),
        series: curves,
    };
    Picture::new([curves.into()]).save(&arguments.folder, "breast_cancer")?;
    if arguments.write {
        results::write("breast_cancer", &weighted)?;
    }
    Ok(())
}
