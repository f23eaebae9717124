//! Every loss of elements: element types, layouts, places of the gradient, weights and odd values, against float64 truth of the
//! same values.

mod bindings;
mod odd_values;
mod truth;

use logloss::gpu::{Evaluator, Tuning};
use logloss::reference;
use logloss::{
    AnyLoss, Batch, Bce, BceWithLogits, DType, Domain, Evaluation, Gradient, Hinge, Layout, Logits, Mse, Reduction,
    Request, Result, Shape, SigmoidFocal, SquaredHinge, Targets, Unit,
};

use crate::buffers::{self, Place};
use crate::case::close;
use crate::common::any_loss::{assert_all, value_in};
use crate::common::assert_close;
use crate::common::random::Random;
use crate::stored::{Stored, assert_gradient, planes, strided};

fn losses(reduction: Reduction) -> Vec<Box<dyn AnyLoss>> {
    let focal = |gamma, alpha| SigmoidFocal { reduction, gamma, alpha };
    let losses: Vec<Box<dyn AnyLoss>> = vec![
        Box::new(Mse { reduction }),
        Box::new(Bce { reduction }),
        Box::new(BceWithLogits { reduction }),
        Box::new(focal(0.0, None)),
        Box::new(focal(0.5, Some(0.25))),
        Box::new(focal(2.0, None)),
        Box::new(focal(5.0, Some(0.75))),
        Box::new(Hinge { reduction, margin: 1.0 }),
        Box::new(SquaredHinge { reduction, margin: 0.75 }),
    ];
    assert_all(&losses, |definition| definition.unit == Unit::Element && definition.name != "kl_div");
    losses
}

/// Tensors of a batch, the same on every run. Gaps hold NaN.
#[derive(Clone)]
struct Tensors {
    layout: Layout,
    logits: Vec<f32>,
    targets: Vec<f32>,
    class_weights: Option<Vec<f32>>,
    pos_weights: Option<Vec<f32>>,
    row_weights: Option<Vec<f32>>,
}

impl Tensors {
    /// Values of all sizes in the loss's domain; weights in [0.5, 2).
    fn new(loss: &dyn AnyLoss, layout: Layout, weights: bool) -> Self {
        let mut random = Random(layout.span() << 20 | u64::from(layout.classes()));
        let definition = loss.definition();
        let mut logits = vec![f32::NAN; layout.span() as usize];
        let mut targets = vec![0.0; layout.elements() as usize];
        for row in 0..layout.rows() {
            for class in 0..layout.classes() {
                // Of targets beyond [0, 1], which binary cross-entropy allows, terms cancel.
                let t = match definition.domains.target {
                    _ if definition.name == "mse" => random.uniform(-4.0, 4.0),
                    Domain::Sign => value_in(Domain::Sign, 1.0, &mut random),
                    _ if random.chance(50) => random.uniform(0.0, 1.0),
                    _ => random.pick(&[0.0, 1.0]),
                };
                let x = match definition.domains.input {
                    Domain::UnitInterval if random.chance(10) => random.pick(&[0.0, 1.0, 1e-40, 1e-10, 1.0 - 1e-7]),
                    Domain::Any if random.chance(10) => {
                        random.pick(&[0.0, 1e-6, 20.0, -20.0, 60.0, -60.0, 300.0, -300.0])
                    }
                    domain => value_in(domain, 8.0, &mut random),
                };
                logits[layout.element(row, class) as usize] = x;
                targets[layout.contiguous().element(row, class) as usize] = t;
            }
        }
        let mut vector = |n: u32| weights.then(|| (0..n).map(|_| random.uniform(0.5, 2.0)).collect::<Vec<_>>());
        let (class_weights, row_weights) = (vector(layout.classes()), vector(layout.rows()));
        let pos_weights = vector(layout.classes()).filter(|_| definition.weights.positive);
        Self { layout, logits, targets, class_weights, pos_weights, row_weights }
    }

    fn batch<'a>(&'a self, logits: Logits<'a>) -> Batch<'a> {
        Batch {
            class_weights: self.class_weights.as_deref(),
            pos_weights: self.pos_weights.as_deref(),
            row_weights: self.row_weights.as_deref(),
            ..Batch::new(self.layout, logits, Targets::Dense(&self.targets))
        }
    }

    /// 1e-7 of the largest weight that there may be.
    fn absolute(&self) -> f64 {
        let up_to_2 = [&self.class_weights, &self.pos_weights, &self.row_weights];
        1e-7 * 2_f64.powi(up_to_2.into_iter().flatten().count() as i32)
    }
}

fn run(loss: &dyn AnyLoss, batch: &Batch<'_>, gradient: Gradient, tuning: Tuning) -> Result<Evaluation> {
    let request = Request { dtype: batch.logits.dtype(), gradient, ..Request::FORWARD };
    let got = Evaluator::with_tuning(crate::gpu(), loss, request, tuning)?.evaluate(batch);
    crate::gpu().check().expect("no error that wgpu reported");
    got
}

/// Returns the largest error in units of the tolerance.
#[track_caller]
fn check(loss: &dyn AnyLoss, tensors: &Tensors, dtype: DType, gradient: Gradient, tuning: Tuning) -> f64 {
    let stored = Stored::new(dtype, &tensors.logits);
    let batch = tensors.batch(stored.logits());
    let want = reference::evaluate(loss, &batch).expect("a batch that the reference takes");
    let weighted = tensors.class_weights.is_some();
    let name = format!("{loss:?} {:?} {dtype} {gradient:?} {tuning:?} weighted: {weighted}", tensors.layout);
    let got = run(loss, &batch, gradient, tuning).unwrap_or_else(|e| panic!("{name}: {e}"));
    let worst = assert_close(&format!("{name} losses"), &got.losses, &want.losses, 1e-5, 1e-7);
    let s = &got.summary;
    close(&format!("{name} loss, loss_sum"), &[s.loss, s.loss_sum], &[want.loss, want.losses.iter().sum()]);
    assert_eq!((s.bad_targets, s.non_finite, s.rows), (0, 0, tensors.layout.rows()), "{name}");
    let request = Request { dtype, gradient, ..Request::FORWARD };
    worst.max(assert_gradient(&name, request, &got.gradient, &want.gradient, tensors.absolute()))
}

/// Both sides of every boundary: of a chunk, of a block, of a lane's stride, of classes, samples and gaps in them.
fn layouts() -> Vec<Layout> {
    let rows = |rows, classes| Layout::from(Shape::new(rows, classes));
    vec![
        rows(1, 1),
        rows(3, 1),
        rows(2, 2),
        rows(5, 3),
        rows(1, 2047),
        rows(2, 1024),
        rows(3, 683),
        rows(1, 2052),
        rows(4097, 1),
        rows(7, 1003),
        strided(5, 3, 2),
        strided(4, 7, 1),
        strided(6, 8, 4),
        strided(9, 1, 1),
        strided(3, 2, 2500),
        strided(700, 3, 1),
        strided(3, 2046, 2),
        planes(2, 3, 4),
        planes(3, 5, 7),
        planes(1, 2, 2048),
        planes(2, 3, 683),
        planes(5, 1, 1000),
        planes(700, 3, 2),
    ]
}

/// Records a kernel into buffers with guard bytes around every tensor; without `losses`, it is not asked for them.
fn recorded(loss: &dyn AnyLoss, batch: &Batch<'_>, gradient: Gradient, losses: bool) -> Evaluation {
    let gpu = crate::gpu();
    let request = Request { dtype: batch.logits.dtype(), gradient, ..Request::FORWARD };
    let kernel = gpu.kernel(loss, request).expect("a kernel");
    let tensors = buffers::Tensors::of_batch(gpu, batch, Unit::Element, request, Place { offset: 256, behind: 64 });
    tensors.run(gpu, &kernel, losses).expect("bindings that fit")
}
