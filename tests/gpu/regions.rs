//! Every loss of regions: options, both kinds of targets, element types, layouts, places of the gradient, windows and odd values,
//! against float64 truth of the same values.

use logloss::gpu::{Evaluator, Kernel, Outputs, Reduce, Tuning};
use logloss::reference;
use logloss::{
    ABSENT, Activation, Batch, ClassBalance, DType, Dice, DiceCrossEntropy, DiceFocal, Error, Evaluation,
    GeneralizedDice, Gradient, Layout, Logits, Reduction, Request, Shape, Summary, Targets, Tversky,
};

use crate::buffers::{Guarded, Place, encoder};
use crate::case::{bits, close, reductions};
use crate::common::assert_close;
use crate::common::random::Random;
use crate::rows::{GRADIENTS, Stored, Tested, half_step};

const SUM: Reduction = Reduction::Sum;
const SIGMOID: Activation = Activation::Sigmoid;

/// Every loss of regions, with options that between them have all of its terms. Class 1 is ignored by some.
fn losses() -> Vec<Box<dyn Tested>> {
    let dice = |change: fn(&mut Dice)| {
        let mut dice = Dice { reduction: SUM, ..Dice::default() };
        change(&mut dice);
        dice
    };
    let generalized = |balance| GeneralizedDice { reduction: SUM, balance, ..GeneralizedDice::default() };
    let cross_entropy = |dice| DiceCrossEntropy { dice, lambda_dice: 0.5, lambda_cross_entropy: 2.0 };
    let focal = |dice, gamma| DiceFocal { dice, gamma, lambda_dice: 2.0, lambda_focal: 0.5 };
    vec![
        Box::new(dice(|_| ())),
        Box::new(dice(|d| (d.ignore_index, d.include_background, d.jaccard) = (vec![1, -1], false, true))),
        Box::new(dice(|d| (d.squared_pred, d.batch, d.smooth_nr, d.smooth_dr) = (true, true, 0.0, 1e-3))),
        Box::new(dice(|d| (d.squared_pred, d.jaccard, d.activation) = (true, true, SIGMOID))),
        Box::new(dice(|d| (d.activation, d.batch, d.include_background) = (SIGMOID, true, false))),
        Box::new(Tversky { reduction: SUM, ignore_index: vec![1], alpha: 0.25, beta: 0.75, ..Tversky::default() }),
        Box::new(Tversky {
            reduction: SUM,
            activation: SIGMOID,
            include_background: false,
            batch: true,
            ..Tversky::default()
        }),
        Box::new(generalized(ClassBalance::Square)),
        Box::new(GeneralizedDice { include_background: false, ..generalized(ClassBalance::Simple) }),
        Box::new(GeneralizedDice { activation: SIGMOID, batch: true, ..generalized(ClassBalance::Square) }),
        Box::new(GeneralizedDice { ignore_index: vec![1], ..generalized(ClassBalance::Uniform) }),
        Box::new(cross_entropy(dice(|d| d.ignore_index = vec![1]))),
        Box::new(cross_entropy(dice(|d| (d.reduction, d.include_background) = (Reduction::Mean, false)))),
        Box::new(cross_entropy(dice(|d| (d.activation, d.batch) = (SIGMOID, true)))),
        Box::new(focal(dice(|d| (d.reduction, d.batch) = (Reduction::Mean, true)), 2.0)),
        Box::new(focal(dice(|d| d.ignore_index = vec![1]), 0.5)),
        Box::new(focal(dice(|d| (d.activation, d.squared_pred) = (SIGMOID, true)), 1.5)),
    ]
}

/// Tensors of a batch, the same on every run. Gaps hold NaN.
#[derive(Clone)]
struct Tensors {
    layout: Layout,
    logits: Vec<f32>,
    classes: Vec<i32>,
    dense: Vec<f32>,
    class_weights: Vec<f32>,
}

impl Tensors {
    /// Logits in [-4, 4); dense targets that are soft in half of the positions and one-hot in the others.
    fn new(layout: Layout) -> Self {
        let mut random = Random(layout.span() << 20 | u64::from(layout.classes()));
        let Shape { rows, classes } = layout.shape();
        let labels: Vec<i32> = (0..rows).map(|_| random.below(classes as usize) as i32).collect();
        let mut tensors = Self {
            layout,
            logits: vec![f32::NAN; layout.span() as usize],
            classes: labels,
            dense: vec![0.0; layout.elements() as usize],
            class_weights: (0..classes).map(|_| random.uniform(0.5, 2.0)).collect(),
        };
        for row in 0..rows {
            let soft: Vec<f32> = (0..classes).map(|_| random.uniform(0.0, 1.0)).collect();
            let sum: f32 = soft.iter().sum();
            let is_soft = random.chance(50);
            for class in 0..classes {
                let hard = f32::from(u8::from(tensors.classes[row as usize] == class as i32));
                tensors.logits[layout.element(row, class) as usize] = random.uniform(-4.0, 4.0);
                tensors.dense[layout.contiguous().element(row, class) as usize] =
                    if is_soft { soft[class as usize] / sum } else { hard };
            }
        }
        tensors
    }

    fn batch<'a>(&'a self, loss: &dyn Tested, dense: bool, logits: Logits<'a>) -> Batch<'a> {
        let targets = if dense { Targets::Dense(&self.dense) } else { Targets::Classes(&self.classes) };
        Batch {
            class_weights: loss.definition().weights.class.then_some(&self.class_weights),
            ..Batch::new(self.layout, logits, targets)
        }
    }

    #[track_caller]
    fn run(&self, loss: &dyn Tested, dense: bool, request: Request, tuning: Tuning) -> Evaluation {
        let stored = Stored::new(request.dtype, &self.logits);
        let request = Request { dense_targets: dense, ..request };
        let got = Evaluator::with_tuning(crate::gpu(), loss, request, tuning)
            .and_then(|mut evaluator| evaluator.evaluate(&self.batch(loss, dense, stored.logits())))
            .unwrap_or_else(|e| panic!("{loss:?} {:?} {request:?} {tuning:?}: {e}", self.layout));
        crate::gpu().check().expect("no error that wgpu reported");
        got
    }

    /// Compares everything with the reference.
    #[track_caller]
    fn check(&self, loss: &dyn Tested, dense: bool, request: Request, tuning: Tuning) {
        let stored = Stored::new(request.dtype, &self.logits);
        let batch = self.batch(loss, dense, stored.logits());
        let want = reference::evaluate(loss, &batch).expect("a batch that the reference takes");
        let got = self.run(loss, dense, request, tuning);
        let name = format!("{loss:?} {:?} dense {dense} {request:?} {tuning:?}", self.layout);
        // Against soft targets the gradient of cross-entropy is a difference of numbers up to the factor, 2, times a class
        // weight, up to 2.
        let absolute = if dense { 4e-7 } else { 1e-7 };
        compare(&name, request, &got, &want, self.layout, absolute);
        let s = got.summary;
        let is_sum_of_two = loss.definition().name.starts_with("dice_");
        let sum = if is_sum_of_two { want.loss } else { want.losses.iter().sum() };
        if !want.losses.is_empty() {
            close(&format!("{name} loss_sum"), &[s.loss_sum], &[sum]);
        }
    }
}

#[track_caller]
fn compare(
    name: &str,
    request: Request,
    got: &Evaluation,
    want: &reference::Evaluation,
    layout: Layout,
    absolute: f64,
) {
    close(&format!("{name} losses"), &got.losses, &want.losses);
    close(&format!("{name} loss"), &[got.summary.loss], &[want.loss]);
    let s = &got.summary;
    assert_eq!(
        (s.weight_sum, s.rows, s.ignored, s.first_ignored, s.non_finite, s.first_non_finite),
        (
            want.weight_sum as f32,
            layout.rows(),
            want.ignored,
            want.first_ignored.unwrap_or(ABSENT),
            want.non_finite_rows,
            want.first_non_finite.unwrap_or(ABSENT)
        ),
        "{name}: weights, rows, ignored, first, non-finite, first"
    );
    if request.gradient == Gradient::No {
        return;
    }
    assert_eq!(got.gradient.len(), want.gradient.len(), "{name}");
    for (i, (&got, &want)) in got.gradient.iter().zip(&want.gradient).enumerate() {
        let got = f64::from(got);
        let tolerance = (1e-5 * want.abs()).max(absolute) + half_step(request.dtype, request.gradient, want);
        assert!(
            got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance,
            "{name} gradient {i}: {got:e}, want {want:e}"
        );
    }
}

fn request(dtype: DType, gradient: Gradient) -> Request {
    Request { dtype, gradient, ..Request::FORWARD }
}

const SEPARATE: Request = Request { gradient: Gradient::Separate, ..Request::FORWARD };
const IN_PLACE: Request = Request { gradient: Gradient::InPlace, ..Request::FORWARD };

fn planes(outer: u32, classes: u32, inner: u32) -> Layout {
    Layout::planes(outer, classes, inner).expect("a small layout")
}

fn strided(rows: u32, classes: u32, gap: u32) -> Layout {
    Layout::strided(Shape::new(rows, classes), classes + gap).expect("a small layout")
}

/// Blocks are of 128 positions where a workgroup has eight lanes.
fn layouts() -> Vec<Layout> {
    vec![
        planes(2, 3, 4),
        planes(3, 5, 7),
        planes(1, 2, 127),
        planes(2, 3, 129),
        planes(2, 4, 640),
        planes(3, 3, 3),
        planes(4, 1, 6),
        planes(2, 70, 9),
        Shape::new(9, 3).into(),
        Shape::new(40, 6).into(),
        strided(7, 5, 3),
        strided(300, 3, 1),
    ]
}

#[test]
fn every_loss_in_every_layout() {
    for loss in losses() {
        for layout in layouts() {
            // Without class 0 there may be no region at all, whose logits nobody reads.
            let tensors = Tensors::new(layout);
            for dense in [false, true] {
                tensors.check(loss.as_ref(), dense, SEPARATE, Tuning::PLANNED);
            }
            tensors.check(loss.as_ref(), false, Request::FORWARD, Tuning::PLANNED);
            tensors.check(loss.as_ref(), true, IN_PLACE, Tuning::PLANNED);
        }
    }
}

#[test]
fn every_element_type_and_place() {
    for loss in [&losses()[0], &losses()[13]] {
        for layout in [planes(2, 3, 8), planes(3, 5, 7), planes(3, 3, 3), planes(5, 2, 1), strided(6, 3, 2)] {
            let tensors = Tensors::new(layout);
            for dtype in DType::ALL {
                for gradient in GRADIENTS {
                    tensors.check(loss.as_ref(), false, request(dtype, gradient), Tuning::PLANNED);
                }
            }
        }
    }
}

#[test]
fn every_reduction() {
    let reductions =
        [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(2.5)];
    for layout in [planes(2, 3, 20), planes(0, 3, 20), planes(2, 3, 0), planes(2, 1, 6)] {
        let tensors = Tensors::new(layout);
        for reduction in reductions {
            for include_background in [true, false] {
                for batch in [true, false] {
                    for dense in [true, false] {
                        let dice = Dice { reduction, include_background, batch, ..Dice::default() };
                        tensors.check(&dice, dense, SEPARATE, Tuning::PLANNED);
                        let generalized =
                            GeneralizedDice { reduction, include_background, batch, ..GeneralizedDice::default() };
                        tensors.check(&generalized, dense, SEPARATE, Tuning::PLANNED);
                        if matches!(reduction, Reduction::Sum | Reduction::Mean) {
                            let combined = DiceCrossEntropy { dice, ..DiceCrossEntropy::default() };
                            tensors.check(&combined, dense, SEPARATE, Tuning::PLANNED);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_width_and_reduce() {
    for loss in losses() {
        for layout in [planes(2, 5, 70), planes(30, 3, 7)] {
            let tensors = Tensors::new(layout);
            for reduce in reductions() {
                for lanes in [4, 16, 64, 256] {
                    let tuning = Tuning { lanes: Some(lanes), reduce: Some(reduce), ..Tuning::PLANNED };
                    tensors.check(loss.as_ref(), false, SEPARATE, tuning);
                }
            }
            let tuning = Tuning { max_workgroups: Some(3), checked: true, ..Tuning::PLANNED };
            tensors.check(loss.as_ref(), true, SEPARATE, tuning);
        }
    }
}

/// More than 1024 blocks, of one sample and of two together.
#[test]
fn a_tree_of_blocks() {
    for batch in [false, true] {
        let dice = Dice { reduction: SUM, batch, ..Dice::default() };
        Tensors::new(planes(2, 2, 70_001)).check(&dice, false, SEPARATE, Tuning::PLANNED);
        Tensors::new(planes(1, 2, 140_000)).check(&dice, false, SEPARATE, Tuning::PLANNED);
        Tensors::new(Shape::new(140_000, 2).into()).check(
            &Dice { reduction: Reduction::Mean, ..dice },
            false,
            SEPARATE,
            Tuning::PLANNED,
        );
    }
}

/// Sums beyond 2^24 terms of float32, in blocks of few: the error does not grow with the volume.
#[test]
fn a_large_volume() {
    let inner = (1 << 22) + 5;
    let layout = planes(1, 2, inner);
    let n = inner as usize;
    let logits: Vec<f32> = (0..2 * n).map(|i| if i < n { 0.3 } else { -0.4 }).collect();
    let targets: Vec<i32> = (0..n).map(|i| i32::from(i % 3 == 0)).collect();
    let dice = Dice { reduction: Reduction::None, ..Dice::default() };
    let got = crate::gpu().evaluate(&dice, SEPARATE, &Batch::new(layout, &logits, &targets)).unwrap();
    let p = 1.0 / (1.0 + (f64::from(-0.4_f32) - f64::from(0.3_f32)).exp());
    let ones = n.div_ceil(3) as f64;
    let loss = |p: f64, t: f64| {
        let wrong = p * (n as f64 - t) + (1.0 - p) * t;
        wrong / (2.0 * p * t + wrong + f64::from(1e-5_f32))
    };
    let want = [loss(p, n as f64 - ones), loss(1.0 - p, ones)];
    assert_close("a large volume", &got.losses, &want, 1e-6, 0.0);
}

/// A segmentation that is nearly right has a loss far below the rounding of 1, with all its digits.
#[test]
fn confident_positions_keep_their_digits() {
    for loss in losses() {
        for margin in [8.0_f32, 20.0, 40.0] {
            for layout in [planes(2, 3, 33), planes(1, 5, 8)] {
                let mut tensors = Tensors::new(layout);
                for row in 0..layout.rows() {
                    for class in 0..layout.classes() {
                        let sign = if tensors.classes[row as usize] == class as i32 { 1.0 } else { -1.0 };
                        let x = &mut tensors.logits[layout.element(row, class) as usize];
                        *x = 0.1 * *x + 0.5 * sign * margin;
                    }
                }
                let batch = tensors.batch(loss.as_ref(), false, Logits::F32(&tensors.logits));
                let want = reference::evaluate(loss.as_ref(), &batch).unwrap();
                let got = tensors.run(loss.as_ref(), false, SEPARATE, Tuning::PLANNED);
                let name = format!("{loss:?} {layout:?} {margin}");
                assert_close(&format!("{name} losses"), &got.losses, &want.losses, 1e-5, 1e-30);
                assert_close(&format!("{name} loss"), &[got.summary.loss], &[want.loss], 1e-5, 1e-30);
                assert_close(&format!("{name} gradient"), &got.gradient, &want.gradient, 1e-5, 1e-30);
            }
        }
    }
}

/// A class that nobody has and nobody predicts costs next to nothing, though its loss is a quotient of small numbers.
#[test]
fn empty_regions() {
    for loss in losses() {
        let mut tensors = Tensors::new(planes(2, 4, 50));
        for (i, t) in tensors.classes.iter_mut().enumerate() {
            *t = if i < 50 { 2 } else { 0 };
        }
        tensors.logits.iter_mut().for_each(|x| *x *= 8.0);
        tensors.check(loss.as_ref(), false, SEPARATE, Tuning::PLANNED);
        // Every position of the second sample ignored; then every one.
        let loss = Dice { reduction: SUM, ignore_index: vec![0], ..Dice::default() };
        tensors.check(&loss, false, SEPARATE, Tuning::PLANNED);
        for reduction in [SUM, Reduction::Mean] {
            let dice = Dice { reduction, ignore_index: vec![0, 2], ..Dice::default() };
            tensors.check(&dice, false, SEPARATE, Tuning::PLANNED);
            tensors.check(&DiceFocal { dice, ..DiceFocal::default() }, false, SEPARATE, Tuning::PLANNED);
        }
    }
}

#[test]
fn the_same_bits_on_every_run_and_for_every_binding_limit() {
    for loss in losses() {
        for layout in [planes(9, 3, 60), planes(70, 4, 7), Shape::new(700, 3).into(), planes(5, 3, 150)] {
            let tensors = Tensors::new(layout);
            for request in [SEPARATE, IN_PLACE, request(DType::Bf16, Gradient::InPlace)] {
                let want = bits(&tensors.run(loss.as_ref(), false, request, Tuning::PLANNED));
                let name = format!("{loss:?} {layout:?} {request:?}");
                assert!(want == bits(&tensors.run(loss.as_ref(), false, request, Tuning::PLANNED)), "{name}");
                // Above the binding that a block of 1024 summands needs.
                for max_binding in [4400, 5000, 7000] {
                    let tuning = Tuning { max_binding: Some(max_binding), ..Tuning::PLANNED };
                    assert!(want == bits(&tensors.run(loss.as_ref(), false, request, tuning)), "{name} {max_binding}");
                }
            }
        }
    }
}

#[test]
fn odd_logits() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for loss in losses() {
        for (layout, dense) in [(planes(3, 4, 9), false), (planes(3, 4, 9), true), (Shape::new(27, 4).into(), false)] {
            let clean = Tensors::new(layout);
            let set = |values: &[(u32, u32, f32)]| {
                let mut tensors = clean.clone();
                tensors.classes[11] = 1;
                for &(row, class, x) in values {
                    tensors.logits[layout.element(row, class) as usize] = x;
                }
                tensors.check(loss.as_ref(), dense, SEPARATE, Tuning::PLANNED);
                tensors.check(loss.as_ref(), dense, IN_PLACE, Tuning::PLANNED);
            };
            set(&[(3, 1, nan)]);
            set(&[(2, 0, -nan), (11, 3, nan), (12, 2, nan)]);
            set(&[(10, 2, -inf), (3, 0, -inf), (3, 1, -inf)]);
            set(&[(10, 2, inf)]);
            set(&[(20, 0, -inf), (20, 1, -inf), (20, 2, -inf), (20, 3, -inf)]);
            set(&[(1, 3, f32::MIN), (5, 2, f32::MAX), (6, 0, -1e30), (7, 1, 1e30)]);
        }
    }
}

#[test]
fn bad_targets() {
    for loss in losses() {
        let mut tensors = Tensors::new(planes(2, 3, 70));
        (tensors.classes[100], tensors.classes[90]) = (3, -7);
        let batch = tensors.batch(loss.as_ref(), false, Logits::F32(&tensors.logits));
        let want = Error::BadTarget { row: 90, value: -7, classes: 3, count: 2 };
        assert_eq!(crate::gpu().evaluate(loss.as_ref(), SEPARATE, &batch), Err(want));
    }
}

/// Bindings at offsets, with guard bytes around every tensor; no losses wanted.
#[test]
fn nothing_around_the_tensors_is_touched() {
    let gpu = crate::gpu();
    let place = Place { offset: 256, behind: 40 };
    for loss in [&losses()[0], &losses()[6], &losses()[11]] {
        for layout in [planes(2, 3, 7), planes(3, 3, 5), planes(2, 2, 8), Shape::new(7, 3).into()] {
            for (request, max_binding) in [(SEPARATE, None), (IN_PLACE, None), (SEPARATE, Some(1000))] {
                let tuning = Tuning { max_binding, ..Tuning::PLANNED };
                let tensors = Tensors::new(layout);
                let kernel = Kernel::with_tuning(&gpu.device, loss.as_ref(), request, tuning).unwrap();
                let input = |data: &[u8]| Guarded::new(gpu, data, place);
                let logits = input(bytemuck::cast_slice(&tensors.logits));
                let targets = input(bytemuck::cast_slice(&tensors.classes));
                let weights = input(bytemuck::cast_slice(&tensors.class_weights));
                let gradient = Guarded::unwritten(gpu, 4 * layout.span(), place);
                let losses = Guarded::unwritten(gpu, 4 * loss.definition().unit.count(&layout), place);
                let summary = Guarded::unwritten(gpu, 64, place);
                for with_losses in [true, false] {
                    let mut inputs = logloss::gpu::Inputs::new(&logits.buffer, &targets.buffer);
                    (inputs.logits, inputs.targets) = (logits.binding(), targets.binding());
                    inputs.class_weights = loss.definition().weights.class.then(|| weights.binding());
                    let outputs = Outputs {
                        summary: summary.binding(),
                        losses: with_losses.then(|| losses.binding()),
                        details: None,
                        gradient: (request.gradient == Gradient::Separate).then(|| gradient.binding()),
                    };
                    gpu.queue.write_buffer(&logits.buffer, 256, bytemuck::cast_slice(&tensors.logits));
                    let mut encoder = encoder(gpu);
                    kernel.encode(&mut encoder, layout, &inputs, &outputs).unwrap();
                    gpu.queue.submit([encoder.finish()]);
                    let got = Evaluation {
                        summary: summary.read::<Summary>(gpu)[0],
                        losses: losses.read(gpu),
                        gradient: if request == SEPARATE { gradient.read(gpu) } else { logits.read(gpu) },
                        details: Vec::new(),
                    };
                    let batch = tensors.batch(loss.as_ref(), false, Logits::F32(&tensors.logits));
                    let want = reference::evaluate(loss.as_ref(), &batch).unwrap();
                    compare(&format!("{loss:?} {layout:?} {request:?}"), request, &got, &want, layout, 1e-7);
                }
            }
        }
    }
    gpu.check().unwrap();
}

#[test]
fn a_sample_beyond_the_binding_limit_is_an_error() {
    let tensors = Tensors::new(planes(2, 3, 200));
    let tuning = Tuning { max_binding: Some(2000), reduce: Some(Reduce::Workgroup), ..Tuning::PLANNED };
    let batch = tensors.batch(&Dice::default(), false, Logits::F32(&tensors.logits));
    let got = Evaluator::with_tuning(crate::gpu(), &Dice::default(), SEPARATE, tuning)
        .and_then(|mut evaluator| evaluator.evaluate(&batch));
    assert!(matches!(got, Err(Error::TooLarge { .. })), "{got:?}");
    crate::gpu().check().unwrap();
}
