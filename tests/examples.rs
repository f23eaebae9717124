//! The trainings of the examples against a float64 training, the files of their results against the reference, their
//! pictures and their command line.

#[path = "../examples/common/mod.rs"]
mod common;

use std::f64::consts::LN_2;
use std::fs;

use approx::assert_abs_diff_eq;
use common::arguments::Arguments;
use common::dataset::Dataset;
use common::linear_model::Optimiser;
use common::patients::{CONDITIONS, Patients};
use common::picture::Picture;
use common::picture::bars::Bars;
use common::picture::images::{Image, Images};
use common::picture::lines::{Lines, Series};
use common::results;
use common::retina::Retina;
use common::split::Split;
use common::training::{Setting, Training};
use logloss::gpu::{AdapterChoice, Gpu};
use logloss::{Batch, BceWithLogits, CrossEntropy, Dice, Request, Shape, reference};

const STEPS: usize = 40;
const EVERY: usize = 10;

fn gpu() -> Gpu {
    Gpu::open(&AdapterChoice::Best).unwrap_or_else(|e| panic!("{e}"))
}

fn shape(dataset: &Dataset) -> Shape {
    Shape::new(dataset.rows.try_into().expect("few rows"), dataset.classes.try_into().expect("few classes"))
}

/// The losses that `Training::run` reports, from float64 parameters, sums and gradients.
fn float64_losses(train: &Dataset, class_weights: Option<&[f32]>) -> Vec<f64> {
    let Optimiser { learning_rate, momentum } = Optimiser::default();
    let (features, classes) = (train.columns, train.classes);
    // Shape (features + 1, classes), the bias last, as in the shader.
    let mut parameters = vec![0.0; (features + 1) * classes];
    let mut velocity = parameters.clone();
    let rows: Vec<Vec<f64>> = train
        .features
        .chunks_exact(features)
        .map(|row| row.iter().map(|&x| f64::from(x)).chain([1.0]).collect())
        .collect();
    let mut losses = Vec::new();
    for step in 0..=STEPS {
        let mut logits = Vec::with_capacity(rows.len() * classes);
        for row in &rows {
            let mut sums = vec![0.0; classes];
            for (x, weights) in row.iter().zip(parameters.chunks_exact(classes)) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
            }
            logits.extend(sums.iter().map(|&sum| sum as f32));
        }
        let batch = Batch { class_weights, ..Batch::new(shape(train), &logits, &train.labels) };
        let truth = reference::evaluate(&CrossEntropy::default(), &batch).unwrap();
        if step % EVERY == 0 {
            losses.push(truth.loss);
        }
        velocity.iter_mut().for_each(|v| *v *= f64::from(momentum));
        for (row, gradients) in rows.iter().zip(truth.gradient.chunks_exact(classes)) {
            for (x, velocities) in row.iter().zip(velocity.chunks_exact_mut(classes)) {
                velocities.iter_mut().zip(gradients).for_each(|(v, gradient)| *v += x * gradient);
            }
        }
        parameters.iter_mut().zip(&velocity).for_each(|(p, v)| *p -= f64::from(learning_rate) * v);
    }
    losses
}

/// Trains briefly and asserts that the loss falls from `ln(classes)` as it does in float64, and that more than
/// `accuracy` of the test rows are recognised.
///
/// - The loss: a logit is a float32 sum of at most 65 products of a size of about 1, whose rounding errors are random and
///   so about sqrt(65) * 2^-24 = 5e-7. Cross-entropy changes by at most twice a change of the logits; the errors of
///   earlier steps shrink with the distance to the minimum, as the steps are stable. 1e-5 leaves a factor of ten; the
///   other 1e-5, relative, is what the library promises of a loss on a GPU.
/// - A row is missed only if its target has at most half of the probability, which costs at least ln 2. So the share of
///   missed rows is at most the mean loss over ln 2.
#[track_caller]
fn learns(Split { train, test }: Split, class_weights: Option<&[f32]>, accuracy: f64) {
    let gpu = gpu();
    let setting = Setting { class_weights, ..Setting::default() };
    let training = Training::new(&gpu, train.samples().unwrap(), &CrossEntropy::default(), setting).unwrap();
    let mut losses = Vec::new();
    training.run(STEPS, EVERY, |_, loss| losses.push(f64::from(loss))).unwrap();

    let truth = float64_losses(&train, class_weights);
    assert_abs_diff_eq!(truth[0], (train.classes as f64).ln(), epsilon = 1e-12);
    assert_eq!(losses.len(), truth.len());
    for (loss, truth) in losses.iter().zip(&truth) {
        assert_abs_diff_eq!(loss, truth, epsilon = 1e-5 * (1.0 + truth));
    }
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");

    let judgement = training.judge(&test).unwrap();
    assert!(judgement.accuracy() > accuracy, "{}", judgement.accuracy());
    assert!(1.0 - judgement.accuracy() <= f64::from(judgement.loss) / LN_2, "{judgement:?}");
}

#[test]
fn digits_are_learned() {
    learns(Dataset::digits().unwrap().split().standardised(), None, 0.95);
}

#[test]
fn tumours_are_learned() {
    learns(Dataset::breast_cancer().unwrap().split().standardised(), None, 0.95);
}

#[test]
fn tumours_are_learned_with_class_weights() {
    let data = Dataset::breast_cancer().unwrap().split().standardised();
    let weights = data.train.inverse_frequencies();
    learns(data, Some(&weights), 0.95);
}

/// Nobody's measurements make a stroke likelier than not, so that plain cross-entropy finds none of the 41 test patients
/// with one. Weighed by frequency, such a patient counts as much as the 22 without, and float64 finds 30; half is enough
/// to tell the two apart.
#[test]
fn positive_weights_find_the_rare_condition() {
    let Split { train, test } = Patients::load().unwrap().split().standardised();
    let gpu = gpu();
    let found = |pos_weights: Option<&[f32]>| {
        let setting =
            Setting { pos_weights, optimiser: Optimiser { learning_rate: 1.0, momentum: 0.9 }, ..Setting::default() };
        let training = Training::new(&gpu, train.samples().unwrap(), &BceWithLogits::default(), setting).unwrap();
        training.run(60, 60, |_, _| {}).unwrap();
        let logits = training.logits(test.samples().unwrap()).unwrap();
        let stroke = CONDITIONS.len() - 1;
        let answers = logits.iter().skip(stroke).step_by(CONDITIONS.len()).map(|&logit| logit > 0.0);
        test.with(stroke).zip(answers).filter(|&(with, answer)| with && answer).count()
    };
    assert_eq!(found(None), 0);
    assert!(found(Some(&train.positive_weights())) > 20);
}

/// Logits of 0 have probabilities of 1/2: of n pixels, v of them vessels, the overlap is 2 (v / 2) / (n / 2 + v).
#[test]
fn vessels_are_learned_with_dice_loss() {
    let Split { train, .. } = Retina::load().unwrap().split().standardised();
    let gpu = gpu();
    let dice = Dice { batch: true, include_background: false, ..Dice::default() };
    let setting = Setting { optimiser: Optimiser { learning_rate: 0.5, momentum: 0.9 }, ..Setting::default() };
    let training = Training::new(&gpu, train.samples().unwrap(), &dice, setting).unwrap();
    let mut losses = Vec::new();
    training.run(20, 5, |_, loss| losses.push(f64::from(loss))).unwrap();
    assert_abs_diff_eq!(losses[0], 1.0 - 2865.0 / (27_046.0 / 2.0 + 2865.0), epsilon = 1e-5);
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    assert!(losses[4] < 0.4, "{losses:?}");
}

fn read<T: npyz::Deserialize>(name: &str, what: &str, shape: &[u64]) -> Vec<T> {
    let bytes = fs::read(results::path(name, what)).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!((file.shape(), file.order()), (shape, npyz::Order::C));
    file.into_vec().unwrap()
}

/// `loss` and `missed` are what the example printed when it wrote the files.
#[track_caller]
fn result_holds(name: &str, test: &Dataset, loss: f64, missed: usize) {
    let shape = shape(test);
    let logits: Vec<f32> = read(name, "logits", &[shape.rows.into(), shape.classes.into()]);
    let targets: Vec<i64> = read(name, "targets", &[shape.rows.into()]);
    let targets: Vec<i32> = targets.into_iter().map(|target| target.try_into().unwrap()).collect();
    assert_eq!(targets, test.labels);

    let batch = Batch::new(shape, &logits, &targets);
    let truth = reference::evaluate(&CrossEntropy::default(), &batch).unwrap();
    let got = gpu().evaluate(&CrossEntropy::default(), Request::default(), &batch).unwrap();
    assert_abs_diff_eq!(truth.loss, loss, epsilon = 1e-6);
    assert_abs_diff_eq!(f64::from(got.summary.loss), truth.loss, epsilon = 1e-5 * truth.loss);
    assert_eq!(truth.rank.iter().filter(|&&rank| rank > 0).count(), missed);
}

#[test]
fn the_file_of_digits_holds_what_the_example_printed() {
    result_holds("digits", &Dataset::digits().unwrap().split().test, 0.123_651, 10);
}

#[test]
fn the_file_of_tumours_holds_what_the_example_printed() {
    result_holds("breast_cancer", &Dataset::breast_cancer().unwrap().split().test, 0.052_465, 1);
}

fn lines(points: Vec<(f64, f64)>) -> Lines {
    Lines { heading: "Falling".into(), series: vec![Series { name: "a < b".into(), points }], ..Lines::default() }
}

fn bars(shares: Vec<f64>) -> Bars {
    let groups = vec!["rare".into(), "frequent".into()];
    Bars { heading: "Found".into(), groups, series: vec![("loss".into(), shares)], ..Bars::default() }
}

fn images(rgb: Vec<u8>) -> Images {
    Images { images: vec![Image { caption: "photograph".into(), width: 2, height: 1, rgb }], ..Images::default() }
}

#[test]
fn a_picture_shows_its_lines_bars_and_images() {
    let lines = lines(vec![(0.0, 1.0), (100.0, 0.5)]);
    let svg = Picture::new([lines.into(), bars(vec![0.25, 1.0]).into(), images(vec![0; 6]).into()]).to_svg().unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for part in ["Falling", "a &lt; b", "<polyline", "rare", "frequent", "0.25", "photograph", "data:image/png;base64,"]
    {
        assert!(svg.contains(part), "{part}");
    }
}

#[test]
fn a_picture_refuses_what_it_cannot_show() {
    let error = |section| Picture::new([section]).to_svg().unwrap_err().to_string();
    assert_eq!(error(lines(vec![]).into()), r#"the chart "Falling" has no extent"#);
    assert_eq!(error(lines(vec![(1.0, f64::NAN)]).into()), r#"the chart "Falling" has a point that is not finite"#);
    assert_eq!(error(bars(vec![0.5]).into()), r#""loss" in the chart "Found" needs a share for each group"#);
    assert_eq!(error(bars(vec![0.5, 1.5]).into()), r#""loss" in the chart "Found" is no share of 0 to 1"#);
    assert_eq!(error(images(vec![0; 5]).into()), r#"the image "photograph" must have 2 x 1 pixels of three bytes"#);
}

#[test]
fn an_enlarged_image_repeats_its_pixels() {
    let image = Image { width: 2, height: 1, rgb: vec![1, 2, 3, 4, 5, 6], ..Image::default() }.enlarged(2);
    assert_eq!((image.width, image.height), (4, 2));
    assert_eq!(image.rgb, [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6].repeat(2));
}

#[test]
fn an_example_takes_a_folder_and_an_option() {
    let parse = |arguments: &[&str]| Arguments::of(arguments.iter().map(ToString::to_string));
    let none = parse(&[]).unwrap();
    assert!(!none.write && none.folder.ends_with("target/examples-output"));
    assert_eq!(parse(&["out", "--write"]).unwrap(), Arguments { write: true, folder: "out".into() });
    for (arguments, expected) in [
        (["--wirte", "out"], r#"unknown option "--wirte"; the only one is --write"#),
        (["out", "in"], r#""in" is one folder too many; pictures go to a single one"#),
    ] {
        assert_eq!(parse(&arguments).unwrap_err().to_string(), expected);
    }
}
