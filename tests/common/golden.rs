//! Golden cases: `tests/golden/README.md` describes the files.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use logloss::{Batch, CrossEntropy, Nll, Reduction, Shape};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The loss of a case with its options, as this library names them.
#[derive(Debug, Clone, PartialEq)]
pub enum GoldenLoss {
    CrossEntropy(CrossEntropy),
    Nll(Nll),
}

/// One golden case with the class axis moved last: every tensor is in row layout, (rows, classes) row-major.
#[derive(Debug)]
pub struct GoldenCase {
    /// File name without its extension.
    pub name: String,
    pub loss: GoldenLoss,
    /// PyTorch's float64 label smoothing, of which the options hold the nearest float32.
    pub label_smoothing: f64,
    /// Dtype of the input in the file: F32, F16 or BF16.
    pub dtype: Dtype,
    /// Shape of the input in the file, class axis at 1.
    pub input_shape: Vec<usize>,
    pub shape: Shape,
    /// The input widened to float32, which is exact.
    pub logits: Vec<f32>,
    pub targets: Vec<i32>,
    pub class_weights: Option<Vec<f32>>,
    /// One element, or one per row for [`Reduction::None`].
    pub want_loss: Vec<f64>,
    /// Shape (rows, classes).
    pub want_gradient: Vec<f64>,
}

impl GoldenCase {
    pub fn reduction(&self) -> Reduction {
        match &self.loss {
            GoldenLoss::CrossEntropy(options) => options.reduction,
            GoldenLoss::Nll(options) => options.reduction,
        }
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch { class_weights: self.class_weights.as_deref(), ..Batch::new(self.shape, &self.logits, &self.targets) }
    }

    /// Of a reduced loss and the row losses, what `want_loss` holds.
    pub fn comparable<T: Copy>(&self, loss: T, losses: &[T]) -> Vec<T> {
        if self.reduction() == Reduction::None { losses.to_vec() } else { vec![loss] }
    }

    /// From row layout to the layout of the file's input.
    pub fn to_input_layout<T: Copy>(&self, rows: &[T]) -> Vec<T> {
        class_axis_to_1(&self.input_shape, rows)
    }
}

/// Runs `check` on every case whose name passes `filter` and returns how many there were, in the order of their names.
#[track_caller]
pub fn for_each_golden_case(filter: impl Fn(&str) -> bool, mut check: impl FnMut(&GoldenCase)) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("tests/golden is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .filter(|path| filter(stem(path)))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no golden case passes the filter");
    for path in &paths {
        check(&read(path));
    }
    paths.len()
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).expect("case names are ASCII")
}

fn read(path: &Path) -> GoldenCase {
    let bytes = fs::read(path).expect("a readable case");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
    let case = &header.metadata().as_ref().expect("metadata")["case"];
    let case: Value = serde_json::from_str(case).expect("JSON");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensor = |name| tensors.tensor(name).expect("a tensor of the case");

    let input = tensor("input");
    let input_shape = input.shape().to_vec();
    let classes = input_shape[1];
    let rows = input_shape.iter().product::<usize>() / classes;
    GoldenCase {
        name: stem(path).to_owned(),
        loss: loss(&case),
        label_smoothing: case["options"]["label_smoothing"].as_f64().unwrap_or(0.0),
        dtype: input.dtype(),
        shape: Shape::new(rows.try_into().expect("few rows"), classes.try_into().expect("few classes")),
        logits: class_axis_to_last(&input_shape, &float32(&input)),
        targets: int32(&tensor("target")),
        class_weights: tensors.tensor("weight").ok().map(|weight| float32(&weight)),
        want_loss: float64(&tensor("loss")),
        want_gradient: class_axis_to_last(&input_shape, &float64(&tensor("grad"))),
        input_shape,
    }
}

fn loss(case: &Value) -> GoldenLoss {
    let options = case["options"].as_object().expect("options");
    let known = ["reduction", "ignore_index", "label_smoothing"];
    assert!(options.keys().all(|key| known.contains(&key.as_str())), "an unknown option in {case}");
    let reduction = match options.get("reduction").map(|name| name.as_str().expect("a string")) {
        None | Some("mean") => Reduction::Mean,
        Some("sum") => Reduction::Sum,
        Some("none") => Reduction::None,
        Some(other) => panic!("unknown reduction {other}"),
    };
    let index = |index: &Value| index.as_i64().and_then(|index| index.try_into().ok()).expect("an int32");
    let ignore_index = options.get("ignore_index").map(index).into_iter().collect();
    let label_smoothing = options.get("label_smoothing").map_or(0.0, |e| e.as_f64().expect("a number")) as f32;
    match case["loss"].as_str() {
        Some("cross_entropy") => GoldenLoss::CrossEntropy(CrossEntropy {
            reduction,
            ignore_index,
            label_smoothing,
            ..CrossEntropy::default()
        }),
        Some("nll") => GoldenLoss::Nll(Nll { reduction, ignore_index }),
        other => panic!("unknown loss {other:?}"),
    }
}

/// From (N, C, d1, .., dk) to (N, d1, .., dk, C), both row-major.
pub fn class_axis_to_last<T: Copy>(input_shape: &[usize], input: &[T]) -> Vec<T> {
    let (samples, classes, positions) = axes(input_shape);
    let element = move |n: usize, d: usize, c: usize| input[(n * classes + c) * positions + d];
    let row = |n, d| (0..classes).map(move |c| (n, d, c));
    let index = (0..samples).flat_map(|n| (0..positions).flat_map(move |d| row(n, d)));
    index.map(|(n, d, c)| element(n, d, c)).collect()
}

/// From (N, d1, .., dk, C) to the input's shape (N, C, d1, .., dk), both row-major.
pub fn class_axis_to_1<T: Copy>(input_shape: &[usize], rows: &[T]) -> Vec<T> {
    let (samples, classes, positions) = axes(input_shape);
    // The same permutation with the two last axes exchanged.
    class_axis_to_last(&[samples, positions, classes], rows)
}

/// (N, C, d1 * .. * dk) of an input's shape.
fn axes(input_shape: &[usize]) -> (usize, usize, usize) {
    (input_shape[0], input_shape[1], input_shape[2..].iter().product())
}

fn float32(tensor: &TensorView<'_>) -> Vec<f32> {
    match tensor.dtype() {
        Dtype::F32 => elements(tensor, f32::from_le_bytes),
        Dtype::F16 => elements(tensor, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => elements(tensor, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        other => panic!("unexpected dtype {other:?}"),
    }
}

fn float64(tensor: &TensorView<'_>) -> Vec<f64> {
    assert_eq!(tensor.dtype(), Dtype::F64);
    elements(tensor, f64::from_le_bytes)
}

fn int32(tensor: &TensorView<'_>) -> Vec<i32> {
    assert_eq!(tensor.dtype(), Dtype::I64);
    elements(tensor, |bytes| i64::from_le_bytes(bytes).try_into().expect("an int32"))
}

fn elements<T, const N: usize>(tensor: &TensorView<'_>, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, rest) = tensor.data().as_chunks::<N>();
    assert!(rest.is_empty(), "a whole number of elements");
    chunks.iter().map(|&bytes| convert(bytes)).collect()
}
