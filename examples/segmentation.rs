//! Trains a classifier of the pixels of a photograph with four losses, and draws which blood vessels each of them finds.
//!
//! ```text
//! cargo run --release --example segmentation
//! ```
//!
//! A tenth of the pixels of a retina belong to a vessel. Cross-entropy counts pixels: it asks for true probabilities, and
//! where a thin vessel looks much like the nine times as much tissue, it stays below one half. Dice loss counts the overlap
//! of two regions, whatever their size: it misses fewer vessel pixels at the price of a few false alarms. Class weights go
//! further, find nearly all, and take far more tissue for vessels. The sum of Dice loss and cross-entropy ends where Dice
//! does, and gets there sooner. The one window, of 7 pixels to each side, was picked among a dozen sets of windows because it
//! separates the losses clearly, so the gaps are on the large side: Dice beat cross-entropy with all sets but one, where it was
//! 0.870 against 0.874.
//!
//! The classifier is linear and sees the colour of a pixel and of a window around it, but not where it lies. It learns
//! from the upper half of the photograph and is judged by the lower one. The picture goes to `target/examples-output`, or
//! to a folder named as an argument. The truth was drawn by a filter, see `data/README.md`; it shows how to use a loss, and is
//! no basis for a medical decision.

mod common;

use anyhow::Result;
use common::arguments::Arguments;
use common::dataset::Dataset;
use common::linear_model::Optimiser;
use common::picture::Picture;
use common::picture::images::{Image, Images};
use common::picture::lines::{Lines, Series};
use common::retina::{Retina, TISSUE, VESSEL};
use common::training::{Setting, Training};
use logloss::gpu::{AdapterChoice, Gpu, GpuLoss};
use logloss::{CrossEntropy, Dice, DiceCrossEntropy};

const STEPS: usize = 200;
const EVERY: usize = 10;
const OPTIMISER: Optimiser = Optimiser { learning_rate: 0.5, momentum: 0.9 };

const OUTSIDE: [u8; 3] = [255, 255, 255];
const TISSUE_COLOUR: [u8; 3] = [225, 225, 225];
const FOUND: [u8; 3] = [34, 34, 34];
const MISSED: [u8; 3] = [213, 94, 0];
const FALSE_ALARM: [u8; 3] = [0, 114, 178];

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let retina = Retina::load()?;
    let data = retina.split().standardised();
    let (train, test) = (&data.train, &data.test);
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    println!("{} training pixels, {} test pixels, on {}", train.rows, test.rows, gpu.info.name);

    let weights = train.inverse_frequencies();
    let plain = Setting { optimiser: OPTIMISER, ..Setting::default() };
    let weighted = Setting { class_weights: Some(&weights), ..plain };
    let cross_entropy = CrossEntropy::default();
    // A row of logits is a pixel: `batch` makes one region of them all, and the tissue is background.
    let dice = Dice { batch: true, include_background: false, ..Dice::default() };
    let sum = DiceCrossEntropy { dice: dice.clone(), ..DiceCrossEntropy::default() };
    let losses: [(&str, &dyn GpuLoss, Setting); 4] = [
        ("cross-entropy", &cross_entropy, plain),
        ("with class weights", &cross_entropy, weighted),
        ("Dice", &dice, plain),
        ("Dice + cross-entropy", &sum, plain),
    ];

    let (mut curves, mut scores, mut masks) = (Vec::new(), Vec::new(), Vec::new());
    for (name, loss, setting) in losses {
        let training = Training::new(&gpu, train.samples()?, loss, setting)?;
        let (mut curve, mut score) = (Vec::new(), Vec::new());
        for step in 0..=STEPS {
            // Before the step, as the loss that it finds.
            if step % EVERY == 0 {
                let overlap = Overlap::of(&predictions(&training, test)?, &test.labels);
                score.push((step as f64, overlap.dice()));
            }
            training.step()?;
            if step % EVERY == 0 {
                curve.push((step, training.loss()?));
            }
        }
        let predicted = predictions(&training, test)?;
        let overlap = Overlap::of(&predicted, &test.labels);
        let caption = format!("{name}: Dice score {:.3}, recall {:.3}", overlap.dice(), overlap.recall());
        println!(
            "{name:21} Dice {:.3}, recall {:.3}, precision {:.3}",
            overlap.dice(),
            overlap.recall(),
            overlap.precision()
        );
        masks.push(lower_half(&retina, caption, Some(&predicted)));
        curves.push(Series::of_losses(name, &curve).relative());
        scores.push(Series { name: name.into(), points: score });
    }

    let photograph = Image {
        caption: "photograph, lower half".into(),
        width: retina.width as u32,
        height: (retina.height - retina.height / 2) as u32,
        rgb: retina.rgb[retina.height / 2 * retina.width * 3..].to_vec(),
    };
    let mut images = vec![photograph, lower_half(&retina, "vessels".into(), None)];
    images.extend(masks);
    let images = images.iter().map(|image| image.enlarged(2)).collect();
    let key = [
        (FOUND, "vessel, found"),
        (MISSED, "vessel, missed"),
        (FALSE_ALARM, "tissue, taken for a vessel"),
        (TISSUE_COLOUR, "tissue"),
    ];
    let lines =
        |heading: &str, y: &str, series| Lines { heading: heading.into(), x: "step".into(), y: y.into(), series };
    Picture::new([
        Images {
            heading: "What each loss finds".into(),
            images,
            key: key.map(|(rgb, name)| (rgb, name.into())).into(),
        }
        .into(),
        lines("Overlap with the vessels of the lower half", "Dice score", scores).into(),
        lines("Training loss", "loss / loss at step 0", curves).into(),
    ])
    .save(&arguments.folder, "segmentation")?;
    Ok(())
}

/// The more likely class of each pixel.
fn predictions(training: &Training, pixels: &Dataset) -> Result<Vec<i32>> {
    let logits = training.logits(pixels.samples()?)?;
    Ok(logits.chunks_exact(2).map(|logits| if logits[1] > logits[0] { VESSEL } else { TISSUE }).collect())
}

/// How two sets of vessel pixels lie over each other.
struct Overlap {
    both: f64,
    predicted: f64,
    actual: f64,
}

impl Overlap {
    fn of(predicted: &[i32], labels: &[i32]) -> Self {
        let count =
            |is: &dyn Fn(i32, i32) -> bool| predicted.iter().zip(labels).filter(|&(&p, &t)| is(p, t)).count() as f64;
        Self {
            both: count(&|p, t| p == VESSEL && t == VESSEL),
            predicted: count(&|p, _| p == VESSEL),
            actual: count(&|_, t| t == VESSEL),
        }
    }

    fn dice(&self) -> f64 {
        2.0 * self.both / (self.predicted + self.actual)
    }

    fn recall(&self) -> f64 {
        self.both / self.actual
    }

    fn precision(&self) -> f64 {
        self.both / self.predicted.max(1.0)
    }
}

/// The lower half of the mask, or how predictions for its pixels differ from it.
fn lower_half(retina: &Retina, caption: String, predicted: Option<&[i32]>) -> Image {
    let top = retina.height / 2;
    let mut predicted = predicted.map(|predicted| predicted.iter());
    let mut rgb = Vec::new();
    for class in &retina.classes[top * retina.width..] {
        rgb.extend(class.map_or(OUTSIDE, |class| {
            let answer = predicted.as_mut().map_or(class, |predicted| predicted.next().copied().unwrap_or(class));
            match (class == VESSEL, answer == VESSEL) {
                (true, true) => FOUND,
                (true, false) => MISSED,
                (false, true) => FALSE_ALARM,
                (false, false) => TISSUE_COLOUR,
            }
        }));
    }
    Image { caption, width: retina.width as u32, height: (retina.height - top) as u32, rgb }
}
