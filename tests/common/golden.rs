//! Golden cases: `tests/golden/README.md` describes the files.

use std::fs;
use std::path::Path;

use half::{bf16, f16};
use logloss::cpu::CpuLoss;
use logloss::gpu::GpuLoss;
use logloss::reference::ReferenceLoss;
use logloss::{Batch, CrossEntropy, Layout, Logits, Nll, Reduction, Regions, Shape, Targets, Unit};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::golden_loss::{Options, Rounding};

/// What the suites ask of a case's loss.
pub type AnyGoldenLoss = Box<dyn Tested>;

/// The engines under test and the oracle.
pub trait Tested: GpuLoss + CpuLoss + ReferenceLoss {}
impl<L: GpuLoss + CpuLoss + ReferenceLoss> Tested for L {}

/// The loss of a case with its options, as this library names them: by its type where engines are still chosen by type.
#[derive(Debug)]
pub enum GoldenLoss {
    CrossEntropy(CrossEntropy),
    Nll(Nll),
    Other(AnyGoldenLoss),
}

impl GoldenLoss {
    pub fn any(&self) -> &dyn Tested {
        match self {
            Self::CrossEntropy(loss) => loss,
            Self::Nll(loss) => loss,
            Self::Other(loss) => loss.as_ref(),
        }
    }
}

/// One golden case. The fields are in row layout: the class axis moved last, (rows, classes) row-major.
#[derive(Debug)]
pub struct GoldenCase {
    /// File name without its extension.
    pub name: String,
    pub loss: GoldenLoss,
    /// PyTorch's float64 options, of which `loss` has the nearest float32: the mean of these losses by these weights. Losses are
    /// smooth in their options, so that a mean over two neighbouring float32 is as good as exact.
    pub exact: Vec<(f64, GoldenLoss)>,
    /// Dtype of the input in the file: F32, F16 or BF16.
    pub dtype: Dtype,
    /// Shape of the input in the file, class axis at 1.
    pub input_shape: Vec<usize>,
    pub shape: Shape,
    /// The input widened to float32, which is exact.
    pub logits: Vec<f32>,
    pub targets: GoldenTargets,
    pub class_weights: Option<Vec<f32>>,
    pub pos_weights: Option<Vec<f32>>,
    /// One element, or one a unit of the loss for [`Reduction::None`].
    pub want_loss: Vec<f64>,
    /// Shape (rows, classes).
    pub want_gradient: Vec<f64>,
    /// The input as in the file.
    input: GoldenLogits,
}

/// Logits in a dtype of their own.
#[derive(Debug, Clone)]
pub enum GoldenLogits {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

/// Class indices, or one value a logit.
#[derive(Debug, Clone)]
pub enum GoldenTargets {
    Classes(Vec<i32>),
    Dense(Vec<f32>),
}

/// Where the logits of a case lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// As in the file: class axis 1.
    Planes,
    /// Class axis last.
    Rows,
    /// Class axis last, with gaps of 3 elements that hold NaN.
    Gaps,
}

/// A case in an arrangement, in the dtype of the file.
#[derive(Debug)]
pub struct Arranged {
    pub layout: Layout,
    pub logits: GoldenLogits,
    pub targets: GoldenTargets,
    pub class_weights: Option<Vec<f32>>,
    pub pos_weights: Option<Vec<f32>>,
    /// One element, or one a unit of the loss for [`Reduction::None`].
    pub want_loss: Vec<f64>,
    /// As long as `logits`; 0 in gaps.
    pub want_gradient: Vec<f64>,
}

impl GoldenCase {
    pub fn reduction(&self) -> Reduction {
        self.loss.any().definition().reduction
    }

    /// The arrangements that leave the loss as it is. With the class axis last every row is a sample, which a region of one
    /// sample notices.
    pub fn arrangements(&self) -> &'static [Arrangement] {
        match self.loss.any().definition().unit {
            Unit::Region(Regions { samples_together: false, .. }) => &[Arrangement::Planes],
            _ => &[Arrangement::Planes, Arrangement::Rows, Arrangement::Gaps],
        }
    }

    /// The batch in row layout and float32; it is of use in [`arrangements`](Self::arrangements) with rows only.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            class_weights: self.class_weights.as_deref(),
            pos_weights: self.pos_weights.as_deref(),
            ..Batch::new(self.shape, &self.logits, self.targets.borrow())
        }
    }

    /// Of a reduced loss and the unreduced losses, what `want_loss` holds.
    pub fn comparable<T: Copy>(&self, loss: T, losses: &[T]) -> Vec<T> {
        if self.reduction() == Reduction::None { losses.to_vec() } else { vec![loss] }
    }

    /// From row layout to the layout of the file's input.
    pub fn to_input_layout<T: Copy>(&self, rows: &[T]) -> Vec<T> {
        class_axis_to_1(&self.input_shape, rows)
    }

    pub fn arranged(&self, arrangement: Arrangement) -> Arranged {
        let rows = Layout::from(self.shape);
        let layout = match arrangement {
            Arrangement::Planes => Layout::of_axis(&self.input_shape, 1).expect("a small case"),
            Arrangement::Rows => rows,
            Arrangement::Gaps => Layout::strided(self.shape, self.shape.classes + 3).expect("a small case"),
        };
        let of_each_logit = |values: &[f64]| values.len() as u64 == rows.elements() && values.len() > 1;
        Arranged {
            layout,
            logits: match &self.input {
                // The input is in the file's layout, all else in row layout.
                GoldenLogits::F32(input) => GoldenLogits::F32(self.rearranged(input, &layout, f32::NAN)),
                GoldenLogits::F16(input) => GoldenLogits::F16(self.rearranged(input, &layout, f16::NAN)),
                GoldenLogits::Bf16(input) => GoldenLogits::Bf16(self.rearranged(input, &layout, bf16::NAN)),
            },
            targets: match &self.targets {
                GoldenTargets::Classes(targets) => GoldenTargets::Classes(targets.clone()),
                GoldenTargets::Dense(rows) => {
                    let targets = self.to_input_layout(rows);
                    GoldenTargets::Dense(self.rearranged(&targets, &layout.contiguous(), f32::NAN))
                }
            },
            class_weights: self.class_weights.clone(),
            pos_weights: self.pos_weights.clone(),
            want_loss: if of_each_logit(&self.want_loss) {
                self.rearranged(&self.to_input_layout(&self.want_loss), &layout.contiguous(), f64::NAN)
            } else {
                self.want_loss.clone()
            },
            want_gradient: self.rearranged(&self.to_input_layout(&self.want_gradient), &layout, 0.0),
        }
    }

    /// From the layout of the file to another, with `gap` in the gaps.
    fn rearranged<T: Copy>(&self, input: &[T], layout: &Layout, gap: T) -> Vec<T> {
        let rows = class_axis_to_last(&self.input_shape, input);
        let mut out = vec![gap; layout.span() as usize];
        for (row, values) in (0..).zip(rows.chunks_exact(layout.classes() as usize)) {
            for (class, value) in (0..).zip(values) {
                out[layout.element(row, class) as usize] = *value;
            }
        }
        out
    }
}

impl Arranged {
    pub fn batch(&self) -> Batch<'_> {
        let logits: Logits<'_> = match &self.logits {
            GoldenLogits::F32(logits) => logits.into(),
            GoldenLogits::F16(logits) => logits.into(),
            GoldenLogits::Bf16(logits) => logits.into(),
        };
        Batch {
            class_weights: self.class_weights.as_deref(),
            pos_weights: self.pos_weights.as_deref(),
            ..Batch::new(self.layout, logits, self.targets.borrow())
        }
    }
}

impl GoldenTargets {
    pub fn borrow(&self) -> Targets<'_> {
        match self {
            Self::Classes(targets) => targets.into(),
            Self::Dense(targets) => targets.into(),
        }
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
    let weights = |name| tensors.tensor(name).ok().map(|weights| logits(&weights).widened());

    let input = tensor("input");
    let input_shape = input.shape().to_vec();
    let classes = input_shape[1];
    let rows = input_shape.iter().product::<usize>() / classes;
    let to_rows = |values: Vec<f64>| class_axis_to_last(&input_shape, &values);
    let target = tensor("target");
    let loss = float64(&tensor("loss"));
    GoldenCase {
        name: stem(path).to_owned(),
        loss: Options::new(&case, Rounding::Nearest).loss(),
        exact: exact(&case),
        dtype: input.dtype(),
        shape: Shape::new(rows.try_into().expect("few rows"), classes.try_into().expect("few classes")),
        logits: class_axis_to_last(&input_shape, &logits(&input).widened()),
        targets: match target.dtype() {
            Dtype::I64 => GoldenTargets::Classes(int32(&target)),
            _ => GoldenTargets::Dense(class_axis_to_last(&input_shape, &logits(&target).widened())),
        },
        class_weights: weights("weight"),
        pos_weights: weights("pos_weight"),
        want_loss: if tensor("loss").shape() == input_shape { to_rows(loss) } else { loss },
        want_gradient: to_rows(float64(&tensor("grad"))),
        input: logits(&input),
        input_shape,
    }
}

/// The losses whose weighted mean has the case's own float64 options.
fn exact(case: &Value) -> Vec<(f64, GoldenLoss)> {
    let (below, above) = (Options::new(case, Rounding::Down), Options::new(case, Rounding::Up));
    let losses = (below.loss(), above.loss());
    match below.rounded() {
        None => vec![(1.0, losses.0)],
        Some((exact, low)) => {
            let (_, high) = above.rounded().expect("what is rounded down is rounded up");
            let weight = (exact - low) / (high - low);
            vec![(1.0 - weight, losses.0), (weight, losses.1)]
        }
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

impl GoldenLogits {
    /// As float32, which is exact.
    fn widened(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::F16(values) => values.iter().map(|x| x.to_f32()).collect(),
            Self::Bf16(values) => values.iter().map(|x| x.to_f32()).collect(),
        }
    }
}

fn logits(tensor: &TensorView<'_>) -> GoldenLogits {
    match tensor.dtype() {
        Dtype::F32 => GoldenLogits::F32(elements(tensor, f32::from_le_bytes)),
        Dtype::F16 => GoldenLogits::F16(elements(tensor, f16::from_le_bytes)),
        Dtype::BF16 => GoldenLogits::Bf16(elements(tensor, bf16::from_le_bytes)),
        other => panic!("unexpected dtype {other:?}"),
    }
}

fn float64(tensor: &TensorView<'_>) -> Vec<f64> {
    assert_eq!(tensor.dtype(), Dtype::F64);
    elements(tensor, f64::from_le_bytes)
}

fn int32(tensor: &TensorView<'_>) -> Vec<i32> {
    elements(tensor, |bytes| i64::from_le_bytes(bytes).try_into().expect("an int32"))
}

fn elements<T, const N: usize>(tensor: &TensorView<'_>, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, rest) = tensor.data().as_chunks::<N>();
    assert!(rest.is_empty(), "a whole number of elements");
    chunks.iter().map(|&bytes| convert(bytes)).collect()
}
