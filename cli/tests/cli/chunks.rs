//! However the rows are cut, into chunks or into files, the numbers are the same to the bit.

use std::fs;

use serde_json::Value;

use crate::files::{Files, logits, targets};
use crate::run::{ENGINES, Run, command};

/// What does not depend on time.
fn numbers(mut report: Value) -> Value {
    let object = report.as_object_mut().expect("an object");
    object.remove("seconds").expect("seconds");
    // The size of a chunk follows the clock, and the buffers that of a chunk.
    for key in ["row_seconds", "longest_submission_seconds", "device_bytes"] {
        object.remove(key).expect(key);
    }
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

/// One row more than 1500, so that the last chunk is short whatever the others are.
const ROWS: usize = 1501;

#[test]
fn a_bad_value_in_the_middle_is_named_by_its_row_in_the_file() {
    let files = Files::new();
    let mut dense = vec![0.25; ROWS * 37];
    let x = files.f32("x.npy", &[ROWS, 37], &vec![0.5; ROWS * 37]);
    dense[1234 * 37 + 5] = 1.5;
    let y = files.f32("y.npy", &[ROWS, 37], &dense);
    let mut bad = targets(ROWS, 37);
    bad[1234] = 37;
    let classes = files.i64("classes.npy", &[ROWS], &bad);
    let before = files.names();
    for engine in ENGINES {
        for memory in ["1", "1MB"] {
            let more = |loss: &str| {
                let [loss_file, grad] = ["loss", "grad"].map(|name| files.path(&format!("{name}.npy")));
                let (loss_file, grad) = (loss_file.display(), grad.display());
                format!("--loss {loss} --engine {engine} --memory {memory} --out-loss {loss_file} --out-grad {grad}")
            };
            Run::eval(&x, &y, &more("bce")).fails(1, &["y.npy, row 1234 (index (1234, 5))", "1.5"]);
            Run::eval(&x, &classes, &more("cross-entropy")).fails(1, &["classes.npy, row 1234", "target 37"]);
            assert_eq!(files.names(), before, "engine {engine}, memory {memory}");
        }
    }
}

#[test]
fn buffers_of_the_device_stay_within_memory() {
    let files = Files::new();
    let x = files.f32("x.npy", &[ROWS, 37], &logits(ROWS, 37));
    let y = files.i64("y.npy", &[ROWS], &targets(ROWS, 37));
    let dense = files.f32("dense.npy", &[ROWS, 37], &vec![0.25; ROWS * 37]);
    let grad = files.path("grad.npy");
    let more = |loss: &str, memory: u64| {
        format!("--loss {loss} --engine gpu --json --memory {memory} --out-grad {}", grad.display())
    };
    for (loss, targets) in [("cross-entropy", &y), ("bce-with-logits", &dense)] {
        let bytes = |memory| {
            let report = Run::eval(&x, targets, &more(loss, memory)).json();
            report["device_bytes"].as_u64().expect("a number of bytes")
        };
        // 0.2 MB of logits: all fit at once only into the last.
        let sizes = [30_000, 100_000, 300_000, 100_000_000].map(|memory| {
            let got = bytes(memory);
            assert!(got <= memory, "{loss}: {got} bytes of {memory}");
            got
        });
        assert!(sizes.is_sorted(), "{loss}: {sizes:?}");
        assert!(sizes[0] < sizes[3] / 10, "{loss}: {sizes:?}");
    }
    let report = Run::eval(&x, &y, "--engine cpu --json").json();
    assert!(report["device_bytes"].is_null());
}
