//! Losses other than those of class indices: what they take, what they write, and what they refuse.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files::{Files, logits, read_npy, targets};
use crate::run::{ENGINES, Run, command, number};

/// A probability for each of so many logits.
fn probabilities(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 11) as f32 / 10.0).collect()
}

/// Scores of 2 images of 6 x 5 pixels and 3 classes, their classes, and the same one-hot.
struct Images {
    files: Files,
    x: PathBuf,
    classes: PathBuf,
    one_hot: PathBuf,
}

const SHAPE: [usize; 4] = [2, 3, 6, 5];
const CLASSES: usize = 3;
const POSITIONS: usize = 30;

impl Images {
    fn new() -> Self {
        let files = Files::new();
        let x = files.f32("x.npy", &SHAPE, &logits(2 * CLASSES, POSITIONS));
        let y = targets(2 * POSITIONS, CLASSES);
        let classes = files.i64("classes.npy", &[2, 6, 5], &y);
        let is =
            |i: usize| y[i / (CLASSES * POSITIONS) * POSITIONS + i % POSITIONS] == (i / POSITIONS % CLASSES) as i64;
        let one_hot = (0..2 * CLASSES * POSITIONS).map(|i| f32::from(u8::from(is(i)))).collect::<Vec<_>>();
        let one_hot = files.f32("one-hot.npy", &SHAPE, &one_hot);
        Self { files, x, classes, one_hot }
    }

    /// The numbers of an array of `SHAPE`, with the classes in the last dimension or, for the first image alone, in the first.
    fn moved(&self, name: &str, path: &Path, axis: usize) -> PathBuf {
        let (_, values) = read_npy(path);
        let last =
            |i: usize| values[(i / CLASSES / POSITIONS * CLASSES + i % CLASSES) * POSITIONS + i / CLASSES % POSITIONS];
        match axis {
            3 => self.files.f32(name, &[2, 6, 5, 3], &(0..values.len()).map(last).collect::<Vec<_>>()),
            0 => self.files.f32(name, &[3, 6, 5], &values[..CLASSES * POSITIONS]),
            other => panic!("no axis {other}"),
        }
    }
}

#[test]
fn a_value_outside_the_domain_is_named_by_file_row_index_and_value() {
    let files = Files::new();
    let x = files.f32("x.npy", &[5, 2], &[0.5; 10]);
    let first = files.f32("first.npy", &[3, 2], &[1.0; 6]);
    let second = files.f32("second.npy", &[2, 2], &[1.0, 1.0, -1.0, 0.25]);
    let out = files.path("out.npy");
    let before = files.names();
    for engine in ENGINES {
        for memory in ["1", "1MiB"] {
            let options = ["--engine", engine, "--memory", memory, "--out-grad"];
            let run = |loss, logits: &[&PathBuf]| {
                let mut run = command(["eval", "--loss", loss, "--targets"]);
                Run::of(run.args([&first, &second]).arg("--logits").args(logits).args(options).arg(&out))
            };
            run("hinge", &[&x]).fails(1, &["second.npy, row 1 (index (1, 1))", "target 0.25", "-1"]);
            run("squared-hinge", &[&x]).fails(1, &["second.npy, row 1 (index (1, 1))", "target 0.25"]);
            run("bce", &[&x]).fails(1, &["second.npy, row 1 (index (1, 0))", "target -1"]);
            assert_eq!(files.names(), before);
        }
    }
    let input = files.f32("input.npy", &[2, 2, 2], &[0.5, 0.5, 0.5, 0.5, 0.5, 1.5, 0.5, 0.5]);
    let y = files.f32("y.npy", &[2, 2, 2], &[0.5; 8]);
    for engine in ENGINES {
        let run = Run::eval(&input, &y, &format!("--loss bce --engine {engine}"));
        run.fails(1, &["input.npy, row 3 (index (1, 0, 1))", "input 1.5", "[0, 1]"]);
    }
}

#[test]
fn integers_will_do_where_a_loss_compares_each_logit() {
    let files = Files::new();
    let x = files.f32("x.npy", &[4, 3], &logits(4, 3));
    let y = [0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1_u8];
    let floats = files.f32("floats.npy", &[4, 3], &y.map(f32::from));
    let doubles = files.f64("doubles.npy", &[4, 3], &y.map(f64::from));
    let integers = files.i64("integers.npy", &[4, 3], &y.map(i64::from));
    let bools = files.add("bools.npy", &crate::files::npy("|b1", &[4, 3], &y));
    for loss in ["bce-with-logits", "mse", "soft-cross-entropy", "kl-div", "sigmoid-focal"] {
        let loss_of =
            |y: &PathBuf| Run::eval(&x, y, &format!("--loss {loss} --engine cpu --json")).json()["loss"].clone();
        let want = loss_of(&floats);
        assert!(want.is_f64());
        assert_eq!([&doubles, &integers, &bools].map(loss_of), [(); 3].map(|()| want.clone()), "{loss}");
    }
}

#[test]
fn only_losses_of_class_indices_have_metrics() {
    let files = Files::new();
    let x = files.f32("x.npy", &[4, 3], &logits(4, 3));
    let y = files.f32("y.npy", &[4, 3], &[0.5; 12]);
    let classes = files.i64("classes.npy", &[4], &[0, 1, -100, 2]);
    for engine in ENGINES {
        for loss in ["soft-cross-entropy", "bce", "mse", "kl-div", "dice"] {
            // Probabilities will do for all.
            let report = Run::eval(&y, &y, &format!("--json --loss {loss} --engine {engine}")).json();
            assert!(report["loss"].is_f64(), "{report}");
            for key in ["weight_sum", "perplexity", "bits", "top1", "top5"] {
                assert_eq!(report.get(key), None, "{key} in {report}");
            }
            assert_eq!((&report["rows"], &report["classes"], &report["ignored"]), (&4.into(), &3.into(), &0.into()));
            assert_eq!(report["non_finite_rows"], 0);
        }
        for loss in ["focal", "multi-margin"] {
            let report = Run::eval(&x, &classes, &format!("--json --loss {loss} --engine {engine}")).json();
            for key in ["weight_sum", "perplexity", "bits", "top1", "top5"] {
                assert!(report[key].is_f64(), "{key} in {report}");
            }
            assert_eq!((&report["ignored"], &report["weight_sum"]), (&1.into(), &3.0.into()));
        }
    }
}

#[test]
fn batchmean_divides_by_the_first_dimension() {
    let files = Files::new();
    let x = files.f32("x.npy", &[3, 2, 5], &logits(15, 2));
    let y = files.f32("y.npy", &[3, 2, 5], &probabilities(30));
    let (of_sum, of_mean) = (files.path("sum.npy"), files.path("mean.npy"));
    for engine in ENGINES {
        let run = |reduction: &str, out: &PathBuf| {
            let more =
                format!("--loss kl-div --json --engine {engine} --reduction {reduction} --out-grad {}", out.display());
            number(&Run::eval(&x, &y, &more).json(), "loss")
        };
        let (sum, mean) = (run("sum", &of_sum), run("batchmean", &of_mean));
        assert!((sum / 3.0 / mean - 1.0).abs() < 1e-12, "{sum} {mean}");
        let ((_, sum), (_, mean)) = (read_npy(&of_sum), read_npy(&of_mean));
        assert!(sum.iter().zip(&mean).all(|(sum, mean)| (sum / 3.0 - mean).abs() <= 1e-6 * mean.abs()));
    }
}

#[test]
fn a_row_that_is_not_finite_is_counted_and_named() {
    let files = Files::new();
    let mut values = logits(6, 3);
    values[4 * 3 + 1] = f32::NAN;
    let (first, second) = (files.f32("a.npy", &[2, 3], &values[..6]), files.f32("b.npy", &[4, 3], &values[6..]));
    let y = files.f32("y.npy", &[6, 3], &[0.5; 18]);
    for engine in ENGINES {
        for loss in ["soft-cross-entropy", "mse"] {
            let mut run = command(["eval", "--json", "--memory", "1", "--loss", loss, "--engine", engine, "--targets"]);
            let run = Run::of(run.arg(&y).arg("--logits").args([&first, &second]));
            let report = run.json();
            assert!(number(&report, "loss").is_nan(), "{loss} on {engine}");
            let counted = (&report["non_finite_rows"], &report["first_non_finite_row"]);
            assert_eq!(counted, (&1.into(), &4.into()), "{loss} on {engine}");
            assert!(run.stderr.contains("b.npy, row 2"), "{}", run.stderr);
        }
    }
}

#[test]
fn regions_take_indices_or_values_and_classes_on_any_axis() {
    let images = Images::new();
    let (loss, grad) = (images.files.path("loss.npy"), images.files.path("grad.npy"));
    let last = [("x-last.npy", &images.x), ("y-last.npy", &images.one_hot)].map(|(n, p)| images.moved(n, p, 3));
    let first = [("x-first.npy", &images.x), ("y-first.npy", &images.one_hot)].map(|(n, p)| images.moved(n, p, 0));
    for engine in ENGINES {
        let run = |x, y, more: &str| {
            let options = format!("--out-loss {} --out-grad {}", loss.display(), grad.display());
            let run = Run::eval(x, y, &format!("--json --loss dice --engine {engine} {more} {options}"));
            (number(&run.json(), "loss"), read_npy(&loss), read_npy(&grad))
        };
        let of_classes = run(&images.x, &images.classes, "");
        assert_eq!(of_classes, run(&images.x, &images.one_hot, ""), "{engine}");
        let (value, (shape, losses), _) = of_classes;
        assert_eq!((shape.as_str(), losses.len()), ("2, 3, 1, 1", 6));

        let (other, (shape, others), (grad_shape, gradient)) = run(&last[0], &last[1], "--class-axis -1");
        assert_eq!((other, &others, shape.as_str(), grad_shape.as_str()), (value, &losses, "2, 1, 1, 3", "2, 6, 5, 3"));
        run(&images.x, &images.one_hot, "");
        let moved = images.moved("moved.npy", &grad, 3);
        assert_eq!(gradient, read_npy(&moved).1);

        let (_, (shape, others), _) = run(&first[0], &first[1], "--class-axis 0");
        assert_eq!((shape.as_str(), others.as_slice()), ("3, 1, 1", &losses[..3]));
        let (_, (shape, others), _) = run(&images.x, &images.classes, "--include-background no");
        assert_eq!((shape.as_str(), others), ("2, 2, 1, 1", [&losses[1..3], &losses[4..]].concat()));
        let (_, (shape, together), _) = run(&images.x, &images.classes, "--batch");
        assert_eq!((shape.as_str(), together.len()), ("3, 1, 1", 3));
    }
}

#[test]
fn every_loss_of_regions_agrees_on_every_engine() {
    let images = Images::new();
    let grad = images.files.path("grad.npy");
    for options in [
        "--loss dice --jaccard",
        "--loss generalized-dice --balance simple --activation sigmoid",
        "--loss tversky --alpha 0.3 --beta 0.7 --reduction sum",
        "--loss dice-cross-entropy --lambda-dice 0.5 --lambda-ce 2",
        "--loss dice-focal --gamma 1.5 --lambda-focal 0.5 --reduction sum --include-background false",
    ] {
        for targets in [&images.classes, &images.one_hot] {
            let run = |engine| {
                let more = format!("--json --engine {engine} {options} --out-grad {}", grad.display());
                (number(&Run::eval(&images.x, targets, &more).json(), "loss"), read_npy(&grad).1)
            };
            let (exact, exact_gradient) = run("reference");
            for engine in ["cpu", "gpu"] {
                let (loss, gradient) = run(engine);
                assert!((loss / exact - 1.0).abs() < 1e-5, "{options} on {engine}: {loss}, not {exact}");
                let close = |(got, want): (&f32, &f32)| (got - want).abs() <= 1e-7_f32.max(1e-5 * want.abs());
                assert!(gradient.iter().zip(&exact_gradient).all(close), "{options} on {engine}");
            }
        }
    }
}

#[test]
fn a_divergence_between_logits() {
    let files = Files::new();
    let (x, y) = ([2_f32.ln(), 0.0], [0.0, 0.0]);
    let (x, y) = (files.f32("x.npy", &[1, 2], &x), files.f32("y.npy", &[1, 2], &y));
    // q = (2/3, 1/3), p = (1/2, 1/2).
    let (q, p) = ([2.0 / 3.0, 1.0 / 3.0_f64], [0.5, 0.5]);
    let kl = |a: [f64; 2], b: [f64; 2]| a[0] * (a[0] / b[0]).ln() + a[1] * (a[1] / b[1]).ln();
    let m = [0, 1].map(|i| f64::midpoint(p[i], q[i]));
    let cases = [("", kl(p, q)), ("reverse-kl", kl(q, p)), ("jensen-shannon", f64::midpoint(kl(p, m), kl(q, m)))];
    for engine in ENGINES {
        for (name, want) in cases {
            let option = if name.is_empty() { String::new() } else { format!("--divergence {name}") };
            let more = format!("--json --loss logit-divergence --engine {engine} {option}");
            let loss = number(&Run::eval(&x, &y, &more).json(), "loss");
            assert!((loss - want).abs() < 1e-6 * want, "{name} on {engine}: {loss}, not {want}");
            assert_eq!(number(&Run::eval(&x, &x, &more).json(), "loss"), 0.0, "{name} on {engine}");
        }
    }
}

#[test]
fn log_softmax_is_of_capped_logits() {
    let files = Files::new();
    let x = files.f32("x.npy", &[1, 2], &[1e6, -1e6]);
    let y = files.f32("y.npy", &[1, 2], &[1.0, 0.0]);
    let out = files.path("p.npy");
    // +-3, over 2.
    let more =
        format!("--loss kl-div --softcap 3 --temperature 2 --engine cpu --json --out-log-prob {}", out.display());
    let report = Run::eval(&x, &y, &more).json();
    let want = -(-3_f64).exp().ln_1p();
    let (_, got) = read_npy(&out);
    assert!((f64::from(got[0]) - want).abs() < 1e-7 && (f64::from(got[1]) - want + 3.0).abs() < 1e-6, "{got:?}");
    assert!((number(&report, "loss") + want / 2.0).abs() < 1e-7, "{report}");

    let images = Images::new();
    let out = images.files.path("p.npy");
    let more = format!("--loss dice --engine cpu --json --out-log-prob {}", out.display());
    Run::eval(&images.x, &images.classes, &more).json();
    let dice = fs::read(&out).expect("log-probabilities");
    Run::eval(&images.x, &images.classes, &more.replace("dice", "cross-entropy")).json();
    assert_eq!(dice, fs::read(&out).expect("log-probabilities"));
}

#[test]
fn targets_of_the_wrong_kind() {
    let files = Files::new();
    let x = files.f32("x.npy", &[4, 3], &logits(4, 3));
    let classes = files.i64("classes.npy", &[4], &targets(4, 3));
    let dense = files.f32("dense.npy", &[4, 3], &[0.5; 12]);
    let odd = files.f32("odd.npy", &[3, 4], &[0.5; 12]);
    for loss in ["mse", "soft-cross-entropy"] {
        let run = |y| Run::eval(&x, y, &format!("--engine cpu --loss {loss}"));
        run(&classes).fails(1, &["classes.npy", "(4,)", "(4, 3)", "class indices"]);
        run(&odd).fails(1, &["odd.npy", "(3, 4)", "(4, 3)"]);
    }
    Run::eval(&x, &dense, "--engine cpu --loss focal").fails(1, &["dense.npy", "integers"]);
    Run::eval(&x, &odd, "--engine cpu --loss dice").fails(1, &["odd.npy"]);
    for option in ["--ignore-index 1", "--no-ignore-index"] {
        Run::eval(&x, &dense, &format!("--engine cpu --loss dice {option}"))
            .fails(2, &["--ignore-index", "class indices"]);
    }
    let bad = files.i64("bad.npy", &[4], &[0, 1, 3, 2]);
    Run::eval(&x, &bad, "--engine cpu --loss dice").fails(1, &["bad.npy, row 2", "target 3"]);
}

#[test]
fn a_whole_batch_must_fit_memory() {
    let images = Images::new();
    for options in ["--loss dice --batch", "--loss dice-cross-entropy", "--loss tversky --batch"] {
        let run = Run::eval(&images.x, &images.classes, &format!("{options} --engine cpu --memory 1KiB"));
        run.fails(2, &["--memory", "1.00 KiB", "whole batch"]);
    }
}

#[test]
fn empty_batches() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[0, 3, 4], &[]), files.f32("y.npy", &[0, 3, 4], &[]));
    let grad = files.path("g.npy");
    for engine in ENGINES {
        for loss in ["mse", "soft-cross-entropy", "kl-div", "dice", "generalized-dice"] {
            let more = format!("--json --engine {engine} --loss {loss} --out-grad {}", grad.display());
            let report = Run::eval(&x, &y, &more).json();
            assert_eq!((&report["loss"], &report["rows"]), (&Value::from("NaN"), &0.into()), "{loss} on {engine}");
            assert_eq!(read_npy(&grad), ("0, 3, 4".into(), Vec::new()));
            let report = Run::eval(&x, &y, &format!("{more} --reduction sum")).json();
            assert_eq!(report["loss"], 0.0, "{loss} on {engine}");
        }
        let report = Run::eval(&x, &y, &format!("--json --engine {engine} --loss dice --batch")).json();
        assert_eq!(report["loss"], 0.0, "no prediction and no truth agree");
    }
}
