//! PyTorch's golden cases (`tests/golden/README.md`), through files and back, on every engine.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::files::{Files, read_npy};
use crate::run::{Run, number};

/// What a case asks for, and what PyTorch makes of it.
struct Case {
    path: PathBuf,
    loss_name: &'static str,
    reduction: String,
    /// More arguments of `eval`.
    options: String,
    /// The shape of targets and input, as numpy writes it.
    target_shape: String,
    input_shape: String,
    dtype: String,
    loss: Vec<f64>,
    /// In the layout of the file.
    gradient: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let paths = fs::read_dir(folder).expect("golden cases").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .filter(|path| {
            path.file_name().is_some_and(|n| ["cross", "nll"].iter().any(|p| n.to_string_lossy().starts_with(p)))
        })
        .collect();
    paths.sort();
    assert!(paths.len() > 60, "the golden cases are there");
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Case {
    let bytes = fs::read(&path).expect("a readable case");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let case: Value = serde_json::from_str(&header.metadata().as_ref().expect("metadata")["case"]).expect("JSON");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let shape = |name| shape_text(tensors.tensor(name).expect("a tensor").shape());
    let float64 = |name| {
        let tensor = tensors.tensor(name).expect("a tensor");
        assert_eq!(tensor.dtype(), Dtype::F64);
        tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    };
    let given = &case["options"];
    let reduction = given["reduction"].as_str().unwrap_or("mean").to_owned();
    let loss_name = if case["loss"] == "nll" { "nll" } else { "cross-entropy" };
    let mut options = format!("--loss {loss_name} --reduction {reduction}");
    for (name, option) in [("ignore_index", "--ignore-index"), ("label_smoothing", "--label-smoothing")] {
        if let Some(value) = given.get(name) {
            options += &format!(" {option} {value}");
        }
    }
    if tensors.tensor("weight").is_ok() {
        options += &format!(" --weight {}", path.display());
    }
    let dtype = match tensors.tensor("input").expect("an input").dtype() {
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        _ => "float32",
    };
    Case {
        loss_name,
        reduction,
        options,
        target_shape: shape("target"),
        input_shape: shape("input"),
        dtype: dtype.into(),
        loss: float64("loss"),
        gradient: float64("grad"),
        path,
    }
}

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

fn check(engine: &str, relative: f64) {
    let files = Files::new();
    let (out_loss, out_grad) = (files.path("loss.npy"), files.path("grad.npy"));
    for case in cases() {
        let what = format!("{} on {engine}", case.path.display());
        let more = format!(
            "--logits-key input --targets-key target --engine {engine} --json --quiet {} --out-loss {} --out-grad {}",
            case.options,
            out_loss.display(),
            out_grad.display()
        );
        let report = Run::eval(&case.path, &case.path, &more).json();

        let (shape, losses) = read_npy(&out_loss);
        assert_eq!(shape, case.target_shape, "{what}");
        let losses = losses.into_iter().map(f64::from);
        if case.reduction == "none" {
            assert_eq!(report["loss"], Value::Null, "{what}");
            assert_close(&what, losses, &case.loss, relative);
        } else {
            assert_close(&what, [number(&report, "loss")].into_iter(), &case.loss, relative);
            let sum: f64 = losses.sum();
            let denominator = if case.reduction == "mean" { number(&report, "weight_sum") } else { 1.0 };
            assert_close(&what, [sum / denominator].into_iter(), &case.loss, relative);
        }
        let (shape, gradient) = read_npy(&out_grad);
        assert_eq!(shape, case.input_shape, "{what}");
        assert_close(&format!("gradient of {what}"), gradient.into_iter().map(f64::from), &case.gradient, relative);

        assert_eq!(report["loss_name"], case.loss_name);
        assert_eq!(report["reduction"], case.reduction.as_str());
        assert_eq!(report["engine"], engine);
        assert_eq!(report["dtype"], case.dtype.as_str());
    }
}

#[test]
fn on_a_gpu() {
    check("gpu", 1e-5);
}

#[test]
fn on_the_cpu() {
    check("cpu", 2e-6);
}

/// What is written was rounded to float32 once, and label smoothing is the float32 nearest to PyTorch's float64.
#[test]
fn on_the_reference() {
    check("reference", 2e-7);
}
