//! The golden cases of PyTorch and MONAI (`tests/golden/README.md`), through files and back, on every engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::files::{Files, read_npy};
use crate::run::{Run, number};

/// Losses that some engine does not have yet.
const PENDING: &[&str] = &[
    "bce",
    "bce-with-logits",
    "dice",
    "focal",
    "hinge",
    "kl-div",
    "mse",
    "multi-margin",
    "sigmoid-focal",
    "soft-cross-entropy",
    "squared-hinge",
];

/// What a case asks for, and what PyTorch makes of it.
struct Case {
    path: PathBuf,
    loss_name: String,
    reduction: String,
    /// More arguments of `eval`.
    options: String,
    /// The shape of the unreduced losses.
    loss_shape: Vec<usize>,
    input_shape: Vec<usize>,
    dtype: &'static str,
    loss: Vec<f64>,
    /// In the layout of the file.
    gradient: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let paths = fs::read_dir(folder).expect("golden cases").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    paths.sort();
    assert_eq!(paths.len(), 162, "the golden cases are there");
    paths.into_iter().map(read).filter(|case| !PENDING.contains(&case.loss_name.as_str())).collect()
}

fn read(path: PathBuf) -> Case {
    let bytes = fs::read(&path).expect("a readable case");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let case: Value = serde_json::from_str(&header.metadata().as_ref().expect("metadata")["case"]).expect("JSON");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let shape = |name| tensors.tensor(name).expect("a tensor").shape().to_vec();
    let float64 = |name| {
        let tensor = tensors.tensor(name).expect("a tensor");
        assert_eq!(tensor.dtype(), Dtype::F64);
        tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    };
    let loss_name = case["loss"].as_str().expect("a name").replace('_', "-");
    let mut options = format!("--loss {loss_name}");
    for (name, value) in case["options"].as_object().expect("options") {
        let option = name.replace('_', "-");
        match value {
            Value::Bool(value) if option == "include-background" => options += &format!(" --{option} {value}"),
            Value::Bool(true) => options += &format!(" --{option}"),
            Value::Bool(false) | Value::Null => {}
            Value::String(value) => options += &format!(" --{option} {value}"),
            value => options += &format!(" --{option} {value}"),
        }
    }
    for (name, option) in [("weight", "--weight"), ("pos_weight", "--pos-weight")] {
        if tensors.tensor(name).is_ok() {
            options += &format!(" {option} {}", path.display());
        }
    }
    let (input_shape, target_shape) = (shape("input"), shape("target"));
    let loss_shape = match loss_name.as_str() {
        "dice" => {
            let (samples, classes) = (input_shape[0], input_shape[1]);
            let classes = classes - usize::from(options.contains("--include-background false"));
            let regions = if options.contains("--batch") { vec![classes] } else { vec![samples, classes] };
            [regions, vec![1; input_shape.len() - 2]].concat()
        }
        "soft-cross-entropy" => [&input_shape[..1], &input_shape[2..]].concat(),
        _ => target_shape,
    };
    Case {
        reduction: case["options"]["reduction"].as_str().unwrap_or("mean").to_owned(),
        loss_name,
        options,
        loss_shape,
        input_shape,
        dtype: match tensors.tensor("input").expect("an input").dtype() {
            Dtype::F16 => "float16",
            Dtype::BF16 => "bfloat16",
            _ => "float32",
        },
        loss: float64("loss"),
        gradient: float64("grad"),
        path,
    }
}

/// A shape as numpy writes it.
fn shape_text(shape: &[usize]) -> String {
    let text = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 { text + "," } else { text }
}

/// Asserts that every number is within `max(1e-7, relative * |want|)` of what is wanted.
#[track_caller]
fn assert_close(what: &str, got: impl ExactSizeIterator<Item = f64>, want: &[f64], relative: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, &want)) in got.zip(want).enumerate() {
        let same = got == want || got.is_nan() && want.is_nan();
        assert!(
            same || (got - want).abs() <= 1e-7_f64.max(relative * want.abs()),
            "{what}, {i}: {got:e}, not {want:e}"
        );
    }
}

/// Checks all cases, on as many threads as there are processors: each is a process of its own.
fn check(engine: &str, relative: f64) {
    let cases = cases();
    let next = AtomicUsize::new(0);
    let check_some = || {
        let files = Files::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            check_case(case, &files, engine, relative);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(check_some);
        }
    });
}

fn check_case(case: &Case, files: &Files, engine: &str, relative: f64) {
    let (out_loss, out_grad) = (files.path("loss.npy"), files.path("grad.npy"));
    let what = format!("{} on {engine}", case.path.display());
    let more = format!(
        "--logits-key input --targets-key target --engine {engine} --json --quiet {} --out-loss {} --out-grad {}",
        case.options,
        out_loss.display(),
        out_grad.display()
    );
    let report = Run::eval(&case.path, &case.path, &more).json();

    let (shape, losses) = read_npy(&out_loss);
    assert_eq!(shape, shape_text(&case.loss_shape), "{what}");
    let count = losses.len() as f64;
    let losses = losses.into_iter().map(f64::from);
    if case.reduction == "none" {
        assert_eq!(report["loss"], Value::Null, "{what}");
        assert_close(&what, losses, &case.loss, relative);
    } else {
        assert_close(&what, [number(&report, "loss")].into_iter(), &case.loss, relative);
        let denominator = match (case.reduction.as_str(), report.get("weight_sum")) {
            ("sum", _) => 1.0,
            ("batchmean", _) => case.input_shape[0] as f64,
            (_, Some(_)) if case.loss_name != "multi-margin" => number(&report, "weight_sum"),
            _ => count,
        };
        assert_close(&what, [losses.sum::<f64>() / denominator].into_iter(), &case.loss, relative);
    }
    let (shape, gradient) = read_npy(&out_grad);
    assert_eq!(shape, shape_text(&case.input_shape), "{what}");
    assert_close(&format!("gradient of {what}"), gradient.into_iter().map(f64::from), &case.gradient, relative);

    assert_eq!(report["loss_name"], case.loss_name.as_str());
    assert_eq!(report["reduction"], case.reduction.as_str());
    assert_eq!(report["engine"], engine);
    assert_eq!(report["dtype"], case.dtype);
}

#[test]
fn on_a_gpu() {
    check("gpu", 1e-5);
}

#[test]
fn on_the_cpu() {
    check("cpu", 2e-6);
}

/// What is written was rounded to float32 once, and options are the float32 nearest to PyTorch's float64.
#[test]
fn on_the_reference() {
    check("reference", 2e-7);
}
