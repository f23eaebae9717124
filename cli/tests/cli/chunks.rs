//! However the rows are cut, into chunks or into files, the numbers are the same to the bit.

use std::fs;

use serde_json::Value;

use crate::files::{Files, logits, targets};
use crate::run::{ENGINES, Run, command};

/// What does not depend on time.
fn numbers(mut report: Value) -> Value {
    let object = report.as_object_mut().expect("an object");
    object.remove("seconds").expect("seconds");
    object.remove("row_seconds");
    report
}

#[test]
fn any_memory_gives_the_same_bits() {
    let files = Files::new();
    // 2 x 7 x 23 rows of 37 classes: no size is a multiple of another, and the classes are not the last axis.
    let y = files.i64("y.npy", &[2, 7, 23], &targets(2 * 7 * 23, 37));
    let outputs = ["loss", "grad", "prob"].map(|name| files.path(&format!("{name}.npy")));
    for (axis, shape) in [(1, [2, 37, 7, 23]), (3, [2, 7, 23, 37])] {
        let x = files.f32("x.npy", &shape, &logits(2 * 7 * 23, 37));
        for engine in ENGINES {
            let mut results = Vec::new();
            for memory in ["1", "20KB", "60KB", "256MiB"] {
                let [loss, grad, prob] = &outputs;
                let more = format!(
                    "--engine {engine} --class-axis {axis} --memory {memory} --json --label-smoothing 0.1 --out-loss {} \
                     --out-grad {} --out-log-prob {}",
                    loss.display(),
                    grad.display(),
                    prob.display()
                );
                let report = numbers(Run::eval(&x, &y, &more).json());
                results.push((report, outputs.each_ref().map(|path| fs::read(path).expect("an output"))));
            }
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "engine {engine}, axis {axis}");
        }
    }
}

#[test]
fn several_files_are_one_batch() {
    let files = Files::new();
    let (rows, classes) = (50, 11);
    let (all_x, all_y) = (logits(rows, classes), targets(rows, classes));
    let x = files.f32("x.npy", &[rows, classes], &all_x);
    let y = files.i64("y.npy", &[rows], &all_y);
    let cut = |at: usize| {
        let (low, high) = all_x.split_at(at * classes);
        [(low, 0), (high, at)]
            .map(|(part, first)| files.f32(&format!("x-{at}-{first}.npy"), &[part.len() / classes, classes], part))
    };
    let y_parts = [
        files.i64("y-0.npy", &[30], &all_y[..30]),
        files.i64("y-1.npy", &[0], &[]),
        files.i64("y-2.npy", &[20], &all_y[30..]),
    ];
    for engine in ENGINES {
        let whole = Run::eval(&x, &y, &format!("--engine {engine} --json")).json();
        for at in [1, 17] {
            let mut run = command(["eval", "--json", "--engine", engine, "--logits"]);
            run.args(cut(at)).arg("--targets").args(&y_parts);
            assert_eq!(numbers(Run::of(&mut run).json()), numbers(whole.clone()), "engine {engine}, cut at {at}");
        }
    }
}

// Until every engine has every loss.
#[cfg(any())]
#[test]
fn any_memory_gives_the_same_bits_of_every_kind_of_loss() {
    let files = Files::new();
    // 3 x 7 x 23 rows of 5 classes.
    let count = 3 * 7 * 23 * 5;
    let dense: Vec<f32> = (0..count).map(|i| (i * 37 % 11) as f32 / 10.0).collect();
    let outputs = ["loss", "grad"].map(|name| files.path(&format!("{name}.npy")));
    for (axis, shape) in [(1, [3, 5, 7, 23]), (3, [3, 7, 23, 5])] {
        let x = files.f32("x.npy", &shape, &logits(count / 5, 5));
        let y = files.f32("y.npy", &shape, &dense);
        for loss in ["soft-cross-entropy", "kl-div", "bce-with-logits", "mse", "dice", "generalized-dice"] {
            for engine in ENGINES {
                let run = |memory| {
                    let [loss_file, grad] = outputs.each_ref().map(|path| path.display());
                    let more = format!(
                        "--loss {loss} --engine {engine} --class-axis {axis} --memory {memory} --json --out-loss {loss_file} \
                         --out-grad {grad}"
                    );
                    let report = numbers(Run::eval(&x, &y, &more).json());
                    (report, outputs.each_ref().map(|path| fs::read(path).expect("an output")))
                };
                let whole = run("256MiB");
                for memory in ["1", "50KB"] {
                    assert!(run(memory) == whole, "{loss} on {engine}, axis {axis}, memory {memory}");
                }
            }
        }
    }
}
