//! The JSON object that scripts rely on, and the values in it.

use serde_json::{Value, json};

use crate::files::{Files, logits, read_npy, targets};
use crate::run::{ENGINES, Run, eval, number, without_adapters};

#[test]
fn has_the_promised_keys_and_types() {
    let files = Files::new();
    let x = files.f32("x.npy", &[6, 4], &logits(6, 4));
    let y = files.i64("y.npy", &[6], &[0, 1, -100, 3, 0, 1]);
    for engine in ENGINES {
        let run = Run::eval(&x, &y, &format!("--json --engine {engine}"));
        let report = run.json();
        for key in ["loss", "seconds", "weight_sum", "perplexity", "bits", "top1", "top5"] {
            assert!(report[key].is_f64(), "{key} in {report}");
        }
        let adapter = &report["adapter"];
        assert_eq!(adapter.is_string(), engine == "gpu", "{adapter}");
        let expected = json!({
            "loss_name": "cross-entropy", "reduction": "mean", "rows": 6, "classes": 4, "ignored": 1, "engine": engine,
            "dtype": "float32", "weight_sum": 5.0, "non_finite_rows": 0, "top5": 1.0
        });
        for (key, value) in expected.as_object().expect("an object") {
            assert_eq!(&report[key], value, "{key}");
        }
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn metrics_of_rows_that_can_be_computed_by_hand() {
    let files = Files::new();
    // Probabilities 1/2, 1/4, 1/4; the target is the largest, then the smaller of two equals.
    let row = [2_f32.ln(), 0.0, 0.0];
    let x = files.f32("x.npy", &[2, 3], &[row, row].concat());
    let y = files.i64("y.npy", &[2], &[0, 2]);
    for engine in ENGINES {
        let report = Run::eval(&x, &y, &format!("--json --engine {engine}")).json();
        let wanted =
            [("loss", 1.5 * 2_f64.ln()), ("bits", 1.5), ("perplexity", 1.5_f64.exp2()), ("top1", 0.5), ("top5", 1.0)];
        for (key, want) in wanted {
            assert!((number(&report, key) - want).abs() < 1e-6, "{key} in {report}");
        }
    }
}

#[test]
fn reduction_none_has_no_loss() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[3, 2], &logits(3, 2)), files.i64("y.npy", &[3], &[0, 1, 1]));
    let report = Run::eval(&x, &y, "--json --reduction none --engine cpu").json();
    assert_eq!((&report["loss"], &report["reduction"]), (&Value::Null, &json!("none")));
}

#[test]
fn numbers_that_are_not_finite_are_strings() {
    let files = Files::new();
    let x = files.f32("x.npy", &[2, 2], &[0.0, f32::NEG_INFINITY, 1.0, 0.0]);
    let y = files.i64("y.npy", &[2], &[1, 0]);
    for engine in ENGINES {
        let report = Run::eval(&x, &y, &format!("--json --engine {engine}")).json();
        assert_eq!((&report["loss"], &report["non_finite_rows"]), (&json!("Infinity"), &json!(0)), "{engine}");
    }
    let ignored = files.i64("ignored.npy", &[2], &[-100, -100]);
    let gradient = files.path("g.npy");
    for engine in ENGINES {
        let more = format!("--json --engine {engine} --out-grad {}", gradient.display());
        let report = Run::eval(&x, &ignored, &more).json();
        assert_eq!((&report["loss"], &report["ignored"]), (&json!("NaN"), &json!(2)), "{engine}");
        assert_eq!(read_npy(&gradient).1, [0.0; 4], "{engine}");
        let sum = Run::eval(&x, &ignored, &format!("--json --reduction sum --engine {engine}")).json();
        assert_eq!(number(&sum, "loss"), 0.0);
    }
}

#[test]
fn a_row_that_is_not_finite_is_counted_and_named() {
    let files = Files::new();
    let mut values = logits(8, 3);
    values[5 * 3 + 1] = f32::NAN;
    let first = files.f32("a.npy", &[3, 3], &values[..9]);
    let second = files.f32("b.npy", &[5, 3], &values[9..]);
    let (ya, yb) = (files.i64("ya.npy", &[3], &targets(3, 3)), files.i64("yb.npy", &[5], &targets(5, 3)));
    for engine in ENGINES {
        let mut run = crate::run::command(["eval", "--json", "--engine", engine, "--logits"]);
        run.args([&first, &second]).arg("--targets").args([&ya, &yb]);
        let run = Run::of(&mut run);
        let report = run.json();
        assert!(number(&report, "loss").is_nan());
        assert_eq!((&report["non_finite_rows"], &report["first_non_finite_row"]), (&json!(1), &json!(5)));
        assert!(run.stderr.contains("warning") && run.stderr.contains("yb.npy, row 2"), "{}", run.stderr);
    }
}

#[test]
fn float64_is_rounded_and_said_so() {
    let files = Files::new();
    let x = files.f64("x.npy", &[1, 2], &[0.1, 0.2]);
    let y = files.i64("y.npy", &[1], &[0]);
    let run = Run::eval(&x, &y, "--json --engine reference");
    assert_eq!(run.json()["dtype"], "float64");
    assert!(run.stderr.contains("float64") && run.stderr.contains("rounded to float32"), "{}", run.stderr);
}

#[test]
fn auto_says_which_engine() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[1, 2], &[0.0, 0.0]), files.i64("y.npy", &[1], &[0]));
    let run = Run::of(without_adapters(&mut eval(&x, &y, "--json")));
    assert_eq!((&run.json()["engine"], &run.json()["adapter"]), (&json!("cpu"), &Value::Null));
    assert!(run.stderr.contains("engine: cpu"), "{}", run.stderr);
}

#[test]
fn log_softmax_is_written_in_the_logits_layout() {
    let files = Files::new();
    // Two classes, three positions; position i has logits (0, ln 3 + offset).
    let offsets = [0.0, 0.0, 0.0];
    let x: Vec<f32> = offsets.iter().copied().chain(offsets.iter().map(|o| o + 3_f32.ln())).collect();
    let x = files.f32("x.npy", &[1, 2, 3], &x);
    let y = files.i64("y.npy", &[1, 3], &[0, 1, -100]);
    let out = files.path("p.npy");
    for engine in ENGINES {
        Run::eval(&x, &y, &format!("--json --engine {engine} --out-log-prob {}", out.display())).json();
        let (shape, got) = read_npy(&out);
        assert_eq!(shape, "1, 2, 3");
        let want = [0.25_f32, 0.25, 0.25, 0.75, 0.75, 0.75];
        assert!(got.iter().zip(want).all(|(got, want)| (got.exp() - want).abs() < 1e-6), "{got:?}");
    }
}

#[test]
fn the_table_has_the_loss_and_no_line_is_too_wide() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[1, 2], &[0.0, 0.0]), files.i64("y.npy", &[1], &[0]));
    let run = Run::eval(&x, &y, "--engine gpu");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("0.6931472 nats"), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.chars().count() < 100), "{}", run.stdout);
}

#[test]
fn an_empty_batch() {
    let files = Files::new();
    let (x, y) = (files.f32("x.npy", &[0, 5], &[]), files.i64("y.npy", &[0], &[]));
    let out = files.path("g.npy");
    for engine in ENGINES {
        let report = Run::eval(&x, &y, &format!("--json --engine {engine} --out-grad {}", out.display())).json();
        assert_eq!((&report["loss"], &report["rows"], &report["top1"]), (&json!("NaN"), &json!(0), &json!("NaN")));
        assert_eq!(read_npy(&out), ("0, 5".into(), Vec::new()));
        let sum = Run::eval(&x, &y, &format!("--json --engine {engine} --reduction sum")).json();
        assert_eq!(sum["loss"], 0.0);
    }
}

/// The numbers are those of `examples/data/README.md`.
#[test]
fn the_data_that_ship_with_the_repository() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data");
    for (name, loss, right, rows) in [("digits", 0.123_651, 345.0, 355.0), ("breast_cancer", 0.052_465, 112.0, 113.0)] {
        let [x, y] = ["logits", "targets"].map(|part| data.join(format!("{name}-{part}.npy")));
        for engine in ENGINES {
            let report = Run::eval(&x, &y, &format!("--json --engine {engine}")).json();
            assert_eq!((number(&report, "rows"), (number(&report, "top1") * rows).round()), (rows, right), "{name}");
            assert!(name != "digits" || (number(&report, "loss") - loss).abs() < 1e-6, "{name}: {report}");
        }
    }
}
