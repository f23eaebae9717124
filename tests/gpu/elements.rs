//! Every loss of elements: element types, layouts, places of the gradient, weights and odd values, against float64 truth of the
//! same values.

use half::{bf16, f16};
use logloss::gpu::{Evaluator, Inputs, Outputs, Tuning};
use logloss::reference;
use logloss::{
    ABSENT, AnyLoss, Batch, Bce, BceWithLogits, DType, Error, Evaluation, Gradient, Hinge, Layout, Logits, Mse,
    Reduction, Request, Result, Shape, SigmoidFocal, SquaredHinge, Summary, Targets,
};

use crate::buffers::{self, Guarded, Place};
use crate::case::{bits, close};
use crate::common::assert_close;
use crate::common::random::Random;
use crate::rows::{GRADIENTS, Stored, half_step};

fn losses(reduction: Reduction) -> Vec<Box<dyn AnyLoss>> {
    let focal = |gamma, alpha| SigmoidFocal { reduction, gamma, alpha };
    vec![
        Box::new(Mse { reduction }),
        Box::new(Bce { reduction }),
        Box::new(BceWithLogits { reduction }),
        Box::new(focal(0.0, None)),
        Box::new(focal(0.5, Some(0.25))),
        Box::new(focal(2.0, None)),
        Box::new(focal(5.0, Some(0.75))),
        Box::new(Hinge { reduction, margin: 1.0 }),
        Box::new(SquaredHinge { reduction, margin: 0.75 }),
    ]
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
        let name = loss.definition().name;
        let mut logits = vec![f32::NAN; layout.span() as usize];
        let mut targets = vec![0.0; layout.elements() as usize];
        for row in 0..layout.rows() {
            for class in 0..layout.classes() {
                let t = match name {
                    "mse" => random.uniform(-4.0, 4.0),
                    "hinge" | "squared_hinge" => random.pick(&[-1.0, 1.0]),
                    _ if random.chance(50) => random.uniform(0.0, 1.0),
                    _ => random.pick(&[0.0, 1.0]),
                };
                let x = match name {
                    "bce" if random.chance(10) => random.pick(&[0.0, 1.0, 1e-40, 1e-10, 1.0 - 1e-7]),
                    "bce" => random.uniform(0.0, 1.0),
                    _ if random.chance(10) => random.pick(&[0.0, 1e-6, 20.0, -20.0, 60.0, -60.0, 300.0, -300.0]),
                    _ => random.uniform(-8.0, 8.0),
                };
                logits[layout.element(row, class) as usize] = x;
                targets[layout.contiguous().element(row, class) as usize] = t;
            }
        }
        let mut vector = |n: u32| weights.then(|| (0..n).map(|_| random.uniform(0.5, 2.0)).collect::<Vec<_>>());
        let (class_weights, row_weights) = (vector(layout.classes()), vector(layout.rows()));
        let pos_weights = vector(layout.classes()).filter(|_| name == "bce_with_logits");
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
    let mut worst = assert_close(&format!("{name} losses"), &got.losses, &want.losses, 1e-5, 1e-7);
    let s = &got.summary;
    close(&format!("{name} loss, loss_sum"), &[s.loss, s.loss_sum], &[want.loss, want.losses.iter().sum()]);
    assert_eq!((s.bad_targets, s.non_finite, s.rows), (0, 0, tensors.layout.rows()), "{name}");
    if gradient == Gradient::No {
        return worst;
    }
    assert_eq!(got.gradient.len(), want.gradient.len(), "{name}");
    for (i, (&got, &want)) in got.gradient.iter().zip(&want.gradient).enumerate() {
        let tolerance = (1e-5 * want.abs()).max(tensors.absolute()) + half_step(dtype, gradient, want);
        let overflows = dtype == DType::F16 && gradient != Gradient::Widened && want.abs() > 65504.0;
        if !(overflows && got.is_infinite()) {
            let error = (f64::from(got) - want).abs() / tolerance;
            assert!(error <= 1.0, "{name} gradient {i}: {got:e}, want {want:e}");
            worst = worst.max(error);
        }
    }
    worst
}

/// Both sides of every boundary: of a chunk, of a block, of a lane's stride, of classes, samples and gaps in them.
fn layouts() -> Vec<Layout> {
    let rows = |rows, classes| Layout::from(Shape::new(rows, classes));
    let strided =
        |rows, classes, gap| Layout::strided(Shape::new(rows, classes), classes + gap).expect("a small layout");
    let planes = |outer, classes, inner| Layout::planes(outer, classes, inner).expect("a small layout");
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

#[test]
fn every_loss_in_every_layout() {
    for loss in losses(Reduction::Sum) {
        let mut worst = 0.0_f64;
        for layout in layouts() {
            for weights in [false, true] {
                let tensors = Tensors::new(loss.as_ref(), layout, weights);
                for gradient in [Gradient::No, Gradient::Separate, Gradient::InPlace] {
                    worst = worst.max(check(loss.as_ref(), &tensors, DType::F32, gradient, Tuning::PLANNED));
                }
            }
        }
        println!("{loss:?}: the largest error is {worst:.3} of the tolerance");
    }
}

#[test]
fn every_loss_in_every_element_type() {
    for loss in losses(Reduction::Sum) {
        for layout in [Shape::new(67, 37).into(), Layout::strided(Shape::new(5, 9), 11).expect("small")] {
            let tensors = Tensors::new(loss.as_ref(), layout, true);
            for dtype in [DType::F16, DType::Bf16] {
                check(loss.as_ref(), &tensors, dtype, Gradient::Separate, Tuning::PLANNED);
            }
        }
    }
}

#[test]
fn every_element_type_layout_and_place() {
    let loss = BceWithLogits { reduction: Reduction::Sum };
    for layout in layouts() {
        let tensors = Tensors::new(&loss, layout, true);
        for dtype in DType::ALL {
            for gradient in GRADIENTS {
                check(&loss, &tensors, dtype, gradient, Tuning::PLANNED);
            }
        }
        let packed = Tuning { native_f16: Some(false), ..Tuning::PLANNED };
        check(&loss, &tensors, DType::F16, Gradient::Separate, packed);
        check(&loss, &tensors, DType::F16, Gradient::InPlace, packed);
    }
}

#[test]
fn every_reduction() {
    for reduction in
        [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(12.0)]
    {
        for loss in losses(reduction) {
            let tensors = Tensors::new(loss.as_ref(), Shape::new(40, 77).into(), true);
            check(loss.as_ref(), &tensors, DType::F32, Gradient::Separate, Tuning::PLANNED);
        }
    }
}

#[test]
fn an_empty_batch() {
    for (reduction, want) in [(Reduction::Mean, f32::NAN), (Reduction::MeanOrZero, 0.0), (Reduction::Sum, 0.0)] {
        for layout in [Layout::from(Shape::new(0, 5)), Layout::planes(3, 5, 0).expect("small")] {
            let loss = Mse { reduction };
            // What an earlier batch left in the scratch is not this one's.
            let request = Request { gradient: Gradient::Separate, ..Request::FORWARD };
            let mut evaluator = Evaluator::new(crate::gpu(), &loss, request).unwrap();
            evaluator.evaluate(&Batch::new(Shape::new(1, 1), &[3.0_f32], Targets::Dense(&[1.0]))).unwrap();
            let got = evaluator.evaluate(&Batch::new(layout, &[0.0_f32; 0], Targets::Dense(&[]))).unwrap();
            assert_eq!(got.summary.loss.to_bits(), want.to_bits(), "{reduction:?} {layout:?}");
            assert_eq!((got.summary.loss_sum, got.losses.len(), got.gradient.len()), (0.0, 0, 0));
        }
    }
}

/// Windows cut by blocks, within rows, samples, planes and gaps, change no bit; nor do runs.
#[test]
fn windows_and_runs_change_no_bit() {
    let loss = BceWithLogits { reduction: Reduction::Sum };
    for layout in [
        Shape::new(5000, 7).into(),
        Shape::new(9, 5003).into(),
        Layout::strided(Shape::new(800, 27), 29).expect("small"),
        Layout::strided(Shape::new(5, 300), 9000).expect("small"),
        Layout::planes(6, 5, 1001).expect("small"),
        Layout::planes(2, 7, 2000).expect("small"),
        Layout::planes(31, 1, 1001).expect("small"),
    ] {
        let tensors = Tensors::new(&loss, layout, true);
        for dtype in [DType::F32, DType::Bf16] {
            let stored = Stored::new(dtype, &tensors.logits);
            let batch = tensors.batch(stored.logits());
            for gradient in [Gradient::Separate, Gradient::InPlace] {
                let run = |max_binding, max_workgroups| {
                    let tuning = Tuning { max_binding, max_workgroups, ..Tuning::PLANNED };
                    bits(&run(&loss, &batch, gradient, tuning).unwrap_or_else(|e| panic!("{layout:?} {tuning:?}: {e}")))
                };
                let want = run(None, None);
                assert!(want == run(None, Some(3)), "{layout:?} {dtype} {gradient:?}, two-dimensional");
                for max_binding in [8448, 10_000, 25_000, 123_456] {
                    assert!(
                        want == run(Some(max_binding), None),
                        "{layout:?} {dtype} {gradient:?}, {max_binding} bytes"
                    );
                }
            }
        }
        check(&loss, &tensors, DType::F32, Gradient::Separate, Tuning { max_binding: Some(8448), ..Tuning::PLANNED });
    }
}

#[test]
fn a_block_that_exceeds_a_binding_is_refused() {
    let tensors = Tensors::new(&Mse::default(), Shape::new(64, 64).into(), false);
    let tuning = Tuning { max_binding: Some(8447), ..Tuning::PLANNED };
    let got = run(&Mse::default(), &tensors.batch(Logits::F32(&tensors.logits)), Gradient::No, tuning);
    assert!(matches!(got, Err(Error::TooLarge { .. })), "{got:?}");
}

/// Every finite float16 as a logit, and twice it as a gradient: subnormals, the largest, and infinities beyond.
#[test]
fn every_float16_is_read_and_written() {
    let stored: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()).collect();
    let targets = vec![0.0; stored.len()];
    let batch = Batch::new(Shape::new(1, stored.len() as u32), Logits::F16(&stored), Targets::Dense(&targets));
    let loss = Mse { reduction: Reduction::Sum };
    let has_f16 = crate::gpu().device.features().contains(wgpu::Features::SHADER_F16);
    for native in [false, true].into_iter().take(if has_f16 { 2 } else { 1 }) {
        for gradient in [Gradient::Separate, Gradient::Widened] {
            let tuning = Tuning { native_f16: Some(native), ..Tuning::PLANNED };
            let got = run(&loss, &batch, gradient, tuning).expect("a batch that fits");
            for (x, got) in stored.iter().zip(&got.gradient) {
                let twice = 2.0 * x.to_f32();
                let want = if gradient == Gradient::Separate { f16::from_f32(twice).to_f32() } else { twice };
                assert_eq!(got.to_bits(), want.to_bits(), "twice {x:e}, native: {native}, {gradient:?}");
            }
        }
    }
}

/// An element knows nothing of its workgroup.
#[test]
fn lanes_and_bounds_checks_change_no_element() {
    for loss in losses(Reduction::Sum) {
        let tensors = Tensors::new(loss.as_ref(), Shape::new(67, 61).into(), true);
        let batch = tensors.batch(Logits::F32(&tensors.logits));
        let run = |lanes, checked| {
            let tuning = Tuning { lanes: Some(lanes), checked, ..Tuning::PLANNED };
            let got = run(loss.as_ref(), &batch, Gradient::Separate, tuning).expect("a batch that fits");
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a batch that the reference takes");
            close(&format!("{loss:?} {lanes} lanes"), &[got.summary.loss], &[want.loss]);
            let (losses, gradient, ..) = bits(&got);
            (losses, gradient)
        };
        let want = run(8, false);
        assert!(want == run(8, true), "{loss:?}, checked");
        for lanes in [4, 64, 256] {
            assert!(want == run(lanes, false), "{loss:?}, {lanes} lanes");
        }
    }
}

/// Logits of every size, down to where nothing but the loss's own smallness is left, and weights that remove what is infinite.
#[test]
fn extremes() {
    let inf = f32::INFINITY;
    let sizes = [0.0, 1e-38, 1e-20, 1e-7, 1e-3, 0.3, 1.0, 5.0, 15.0, 30.0, 80.0, 87.0, 88.5, 104.0, 1e4, 1e30, inf];
    let probabilities = [0.0, 1e-45, 1e-42, 1.2e-38, 1e-30, 1e-7, 1e-3, 0.25, 0.5, 0.7, 0.999, 1.0 - 6e-8, 1.0];
    for loss in losses(Reduction::None) {
        let is_bce = loss.definition().name == "bce";
        let signed: Vec<f32> = sizes.iter().flat_map(|&x| [x, -x]).collect();
        let values = if is_bce { &probabilities[..] } else { &signed[..] };
        let labels: &[f32] = match loss.definition().name {
            "mse" => &[0.0, 1.0, -3e5],
            "hinge" | "squared_hinge" => &[-1.0, 1.0],
            _ => &[0.0, 1.0],
        };
        let logits: Vec<f32> = values.iter().flat_map(|&x| labels.iter().map(move |_| x)).collect();
        let targets: Vec<f32> = values.iter().flat_map(|_| labels).copied().collect();
        let shape = Shape::new(values.len() as u32, labels.len() as u32);
        let none = vec![0.0; labels.len()];
        for class_weights in [None, Some(none.as_slice())] {
            let batch = Batch { class_weights, ..Batch::new(shape, &logits, Targets::Dense(&targets)) };
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a batch that the reference takes");
            let got = run(loss.as_ref(), &batch, Gradient::Separate, Tuning::PLANNED).expect("a batch that fits");
            for (what, got, want) in
                [("losses", &got.losses, &want.losses), ("gradient", &got.gradient, &want.gradient)]
            {
                let odd = got.iter().zip(want).zip(logits.iter().zip(&targets));
                let odd: Vec<_> = odd.filter(|((g, w), _)| g.is_nan() != w.is_nan()).take(5).collect();
                close(&format!("{loss:?} {what} {odd:?}"), got, want);
            }
        }
    }
}

/// The relative error alone, for losses that lose no digits however small they are.
#[test]
fn a_confident_element_keeps_its_digits() {
    for (loss, logits, targets) in [
        (
            &BceWithLogits { reduction: Reduction::None } as &dyn AnyLoss,
            [20.0, -20.0, 60.0, -80.0],
            [1.0, 0.0, 1.0, 0.0],
        ),
        (
            &SigmoidFocal { reduction: Reduction::None, ..Default::default() },
            [9.0, -9.0, 20.0, -25.0],
            [1.0, 0.0, 1.0, 0.0],
        ),
        (&Bce { reduction: Reduction::None }, [1e-7, 1e-30, 0.999_999_9, 1e-3], [0.0, 0.0, 1.0, 0.0]),
    ] {
        let batch = Batch::new(Shape::new(2, 2), &logits, Targets::Dense(&targets));
        let want = reference::evaluate(loss, &batch).expect("a batch that the reference takes");
        let got = run(loss, &batch, Gradient::Separate, Tuning::PLANNED).expect("a batch that fits");
        assert_close(&format!("{loss:?} losses"), &got.losses, &want.losses, 1e-5, 0.0);
        assert_close(&format!("{loss:?} gradient"), &got.gradient, &want.gradient, 1e-5, 0.0);
    }
}

/// NaN logits spoil their own element, are counted, and the first row that has one is named.
#[test]
fn nan_logits() {
    for loss in losses(Reduction::Mean) {
        if loss.definition().name == "bce" {
            continue; // NaN is no probability: see below.
        }
        for layout in [
            Layout::from(Shape::new(40, 77)),
            Layout::strided(Shape::new(40, 77), 80).expect("small"),
            Layout::planes(4, 7, 111).expect("small"),
        ] {
            for weights in [false, true] {
                let mut tensors = Tensors::new(loss.as_ref(), layout, weights);
                // The first in memory is not in the first row where classes are planes.
                for (row, class) in [(39, 0), (7, 6), (7, 5), (21, 3)] {
                    tensors.logits[layout.element(row, class) as usize] = f32::NAN;
                }
                let batch = tensors.batch(Logits::F32(&tensors.logits));
                let want = reference::evaluate(loss.as_ref(), &batch).expect("a batch that the reference takes");
                for gradient in [Gradient::Separate, Gradient::InPlace] {
                    let got = run(loss.as_ref(), &batch, gradient, Tuning::PLANNED).expect("a batch that fits");
                    let name = format!("{loss:?} {layout:?} {gradient:?} weights: {weights}");
                    close(&format!("{name} losses"), &got.losses, &want.losses);
                    close(&format!("{name} gradient"), &got.gradient, &want.gradient);
                    let s = &got.summary;
                    assert!(s.loss.is_nan() && s.loss_sum.is_nan(), "{name}");
                    let status = (s.non_finite, s.first_non_finite, s.bad_targets, s.first_bad_row);
                    assert_eq!(status, (4, 7, 0, ABSENT), "{name}");
                    assert_eq!(want.first_non_finite, Some(7), "{name}");
                }
            }
        }
    }
}

/// A value outside the domain is an error that names it; whoever reads the summary alone learns the row.
#[test]
fn bad_values() {
    let labels: &[f32] = &[0.0, 2.0, f32::NAN, -1.5];
    let cases: [(&dyn AnyLoss, &str, &[f32]); 5] = [
        (&Bce::default(), "input", &[1.5, -0.1, f32::NAN, f32::INFINITY]),
        (&Bce::default(), "target", &[-1.0, 1.000_000_1, f32::NAN, -1e-40]),
        (&SigmoidFocal::default(), "target", &[-1.0, 1.1, 2.0, -1e-30]),
        (&Hinge::default(), "target", labels),
        (&SquaredHinge::default(), "target", labels),
    ];
    for (loss, tensor, values) in cases {
        let domain = if loss.definition().name.contains("hinge") { "-1 or +1" } else { "in [0, 1]" };
        for layout in [
            Layout::from(Shape::new(40, 77)),
            Layout::strided(Shape::new(40, 77), 79).expect("small"),
            Layout::planes(4, 7, 111).expect("small"),
        ] {
            let mut tensors = Tensors::new(loss, layout, false);
            for ((row, class), &value) in [(7, 5), (7, 6), (39, 0), (21, 3)].into_iter().zip(values) {
                if tensor == "input" {
                    tensors.logits[layout.element(row, class) as usize] = value;
                } else {
                    tensors.targets[layout.contiguous().element(row, class) as usize] = value;
                }
            }
            let batch = tensors.batch(Logits::F32(&tensors.logits));
            for gradient in [Gradient::No, Gradient::Separate, Gradient::InPlace] {
                let name = format!("{loss:?} {tensor} {layout:?} {gradient:?}");
                let got = run(loss, &batch, gradient, Tuning::PLANNED);
                let want = Error::BadValue { tensor, row: 7, class: 5, value: values[0], domain, count: 4 };
                assert_eq!(got, Err(want), "{name}");
            }
            let summary = recorded(loss, &tensors, DType::F32, Gradient::Separate, true).summary;
            let status = (summary.bad_targets, summary.first_bad_row, summary.first_bad_target, summary.non_finite);
            assert_eq!(status, (4, 7, 0, 0), "{loss:?} {tensor} {layout:?}");
            assert!(summary.loss.is_nan());
            assert_eq!(summary.check(layout.shape()), Err(Error::OutsideDomain { row: 7, count: 4 }));
        }
    }
}

/// Records a kernel into buffers with guard bytes around every tensor; without `losses`, it is not asked for them.
fn recorded(loss: &dyn AnyLoss, tensors: &Tensors, dtype: DType, gradient: Gradient, losses: bool) -> Evaluation {
    let gpu = crate::gpu();
    let place = Place { offset: 256, behind: 64 };
    let stored = Stored::new(dtype, &tensors.logits);
    let input = |data: &[u8]| Guarded::new(gpu, data, place);
    let weights = |weights: &Option<Vec<f32>>| weights.as_ref().map(|w| input(bytemuck::cast_slice(w)));
    let separate = matches!(gradient, Gradient::Separate | Gradient::Widened);
    let gradient_dtype = if gradient == Gradient::Widened { DType::F32 } else { dtype };
    let logits = input(stored.logits().as_bytes());
    let targets = input(bytemuck::cast_slice(&tensors.targets));
    let [class_weights, pos_weights, row_weights] =
        [weights(&tensors.class_weights), weights(&tensors.pos_weights), weights(&tensors.row_weights)];
    let output = |bytes| Guarded::unwritten(gpu, bytes, place);
    let loss_buffer = losses.then(|| output(4 * tensors.layout.elements()));
    let gradient_buffer = separate.then(|| output(gradient_dtype.bytes() * tensors.layout.span()));
    let summary = output(64);

    let kernel = gpu.kernel(loss, Request { dtype, gradient, ..Request::FORWARD }).expect("a kernel");
    let mut encoder = buffers::encoder(gpu);
    let inputs = Inputs {
        logits: logits.binding(),
        targets: targets.binding(),
        class_weights: class_weights.as_ref().map(Guarded::binding),
        pos_weights: pos_weights.as_ref().map(Guarded::binding),
        row_weights: row_weights.as_ref().map(Guarded::binding),
    };
    let outputs = Outputs {
        summary: summary.binding(),
        losses: loss_buffer.as_ref().map(Guarded::binding),
        details: None,
        gradient: gradient_buffer.as_ref().map(Guarded::binding),
    };
    kernel.encode(&mut encoder, tensors.layout, &inputs, &outputs).expect("bindings that fit");
    gpu.queue.submit([encoder.finish()]);
    gpu.check().expect("no error that wgpu reported");
    let written = match gradient {
        Gradient::No => None,
        Gradient::InPlace => Some(&logits),
        Gradient::Separate | Gradient::Widened => gradient_buffer.as_ref(),
    };
    let gradient = written.map_or_else(Vec::new, |g| widened(gradient_dtype, g));
    Evaluation {
        summary: summary.read::<Summary>(gpu)[0],
        losses: loss_buffer.map_or_else(Vec::new, |losses| losses.read(gpu)),
        gradient,
        details: Vec::new(),
    }
}

fn widened(dtype: DType, tensor: &Guarded) -> Vec<f32> {
    let gpu = crate::gpu();
    match dtype {
        DType::F32 => tensor.read(gpu),
        DType::F16 => tensor.read::<f16>(gpu).into_iter().map(f16::to_f32).collect(),
        DType::Bf16 => tensor.read::<bf16>(gpu).into_iter().map(bf16::to_f32).collect(),
    }
}

/// Every entry is written, no byte around a tensor, and none in a gap. With and without losses, the numbers are the same.
#[test]
fn what_is_written() {
    let loss = BceWithLogits { reduction: Reduction::Sum };
    for layout in layouts() {
        let tensors = Tensors::new(&loss, layout, true);
        for dtype in DType::ALL {
            let stored = Stored::new(dtype, &tensors.logits);
            for gradient in GRADIENTS {
                let name = format!("{layout:?} {dtype} {gradient:?}");
                let got = recorded(&loss, &tensors, dtype, gradient, true);
                let want = run(&loss, &tensors.batch(stored.logits()), gradient, Tuning::PLANNED).expect("it fits");
                assert_eq!(got.losses, want.losses, "{name}");
                assert_eq!(bytemuck::bytes_of(&got.summary), bytemuck::bytes_of(&want.summary), "{name}");
                if gradient != Gradient::No {
                    compare_gaps(&name, layout, dtype, gradient, &got.gradient, &want.gradient);
                }
                let without = recorded(&loss, &tensors, dtype, gradient, false);
                assert_eq!(bytemuck::bytes_of(&without.summary), bytemuck::bytes_of(&want.summary), "{name}");
            }
        }
    }
}

/// A gap still holds what was there: NaN in the logits, guard bytes elsewhere.
#[track_caller]
fn compare_gaps(name: &str, layout: Layout, dtype: DType, gradient: Gradient, got: &[f32], want: &[f32]) {
    let guard = match (dtype, gradient) {
        (DType::F32, _) | (_, Gradient::Widened) => f32::from_bits(0xa5a5_a5a5),
        (DType::F16, _) => f16::from_bits(0xa5a5).to_f32(),
        (DType::Bf16, _) => bf16::from_bits(0xa5a5).to_f32(),
    };
    let (stride, own) = (layout.outer_stride() as usize, (layout.classes() * layout.inner()) as usize);
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        if i % stride < own {
            assert_eq!(got.to_bits(), want.to_bits(), "{name} gradient {i}");
        } else if gradient == Gradient::InPlace {
            assert!(got.is_nan(), "{name}: gap {i} was written");
        } else {
            assert_eq!(got, guard, "{name}: gap {i} was written");
        }
    }
}
