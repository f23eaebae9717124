//! Every loss of rows: element types, layouts, places of the gradient and options, against float64 truth of the same values.

use half::{bf16, f16};
use logloss::gpu::{Evaluator, Team, Tuning};
use logloss::reference;
use logloss::{
    ABSENT, AnyLoss, Batch, CrossEntropy, DType, Divergence, Focal, Gradient, KlDiv, Layout, LogitDivergence, Logits,
    MultiMargin, Nll, Reduction, Request, Shape, SoftCrossEntropy, TargetKind, Targets, Unit,
};

use crate::case::close;
use crate::common::any_loss::assert_all;
use crate::common::assert_close;
use crate::common::random::Random;
use crate::stored::{GRADIENTS, Stored, assert_gradient, planes, strided};

/// Every loss of rows, with options that have all of its terms.
pub fn losses() -> Vec<Box<dyn AnyLoss>> {
    let reduction = Reduction::Sum;
    let divergence = |divergence| LogitDivergence { reduction, divergence, temperature: 2.0, ..Default::default() };
    let losses: Vec<Box<dyn AnyLoss>> = vec![
        Box::new(CrossEntropy {
            reduction,
            ignore_index: vec![1],
            label_smoothing: 0.1,
            temperature: 0.7,
            z_loss: 1e-3,
            softcap: Some(5.0),
        }),
        Box::new(Nll { reduction, ignore_index: vec![1] }),
        Box::new(Focal { reduction, gamma: 0.5, ..Default::default() }),
        Box::new(Focal {
            reduction,
            ignore_index: vec![1],
            gamma: 2.0,
            temperature: 1.5,
            z_loss: 1e-3,
            softcap: Some(8.0),
        }),
        Box::new(MultiMargin { reduction, ignore_index: vec![1], ..Default::default() }),
        Box::new(MultiMargin { reduction, margin: 0.5, p: 2, ..Default::default() }),
        Box::new(SoftCrossEntropy { reduction, ..Default::default() }),
        Box::new(SoftCrossEntropy {
            reduction,
            label_smoothing: 0.2,
            temperature: 0.7,
            z_loss: 1e-3,
            softcap: Some(5.0),
        }),
        Box::new(KlDiv { reduction, ..Default::default() }),
        Box::new(KlDiv { reduction, log_target: true, temperature: 1.5, z_loss: 1e-3, softcap: Some(8.0) }),
        Box::new(divergence(Divergence::Kl)),
        Box::new(divergence(Divergence::ReverseKl)),
        Box::new(LogitDivergence { z_loss: 1e-3, softcap: Some(8.0), ..divergence(Divergence::JensenShannon) }),
    ];
    assert_all(&losses, |definition| definition.unit == Unit::Row || definition.name == "kl_div");
    losses
}

/// Tensors of a batch, the same on every run. Gaps hold NaN.
pub struct Tensors {
    pub layout: Layout,
    pub logits: Vec<f32>,
    pub classes: Vec<i32>,
    pub dense: Vec<f32>,
    pub class_weights: Vec<f32>,
    pub row_weights: Vec<f32>,
}

impl Tensors {
    pub fn new(loss: &dyn AnyLoss, layout: Layout) -> Self {
        let mut random = Random(layout.span() << 20 | u64::from(layout.classes()));
        let Shape { rows, classes } = layout.shape();
        let mut logits = vec![f32::NAN; layout.span() as usize];
        let mut dense = vec![0.0; layout.elements() as usize];
        let is_log = format!("{loss:?}").contains("log_target: true");
        let is_logits = loss.definition().name == "logit_divergence";
        for row in 0..rows {
            let own: Vec<f32> = (0..classes).map(|_| random.uniform(-4.0, 4.0)).collect();
            let mut targets: Vec<f32> = (0..classes).map(|_| random.uniform(0.0, 1.0)).collect();
            let sum: f32 = targets.iter().sum();
            for t in &mut targets {
                *t /= sum;
                if is_log {
                    *t = t.ln();
                } else if is_logits {
                    *t = random.uniform(-4.0, 4.0);
                }
            }
            for class in 0..classes {
                logits[layout.element(row, class) as usize] = own[class as usize];
                dense[layout.contiguous().element(row, class) as usize] = targets[class as usize];
            }
        }
        let mut weights = |n: u32| (0..n).map(|_| random.uniform(0.5, 2.0)).collect::<Vec<_>>();
        let (class_weights, row_weights) = (weights(classes), weights(rows));
        let classes = (0..rows).map(|_| random.below(classes as usize) as i32).collect();
        Self { layout, logits, classes, dense, class_weights, row_weights }
    }

    /// Rows without gaps from `first` on, against class indices.
    pub fn rows(&self, first: u32, count: u32) -> Self {
        let (r, n, classes) = (first as usize, count as usize, self.layout.classes() as usize);
        Self {
            layout: Shape::new(count, self.layout.classes()).into(),
            logits: self.logits[r * classes..(r + n) * classes].to_vec(),
            classes: self.classes[r..r + n].to_vec(),
            dense: Vec::new(),
            class_weights: self.class_weights.clone(),
            row_weights: self.row_weights[r..r + n].to_vec(),
        }
    }

    pub fn batch<'a>(&'a self, loss: &dyn AnyLoss, logits: Logits<'a>) -> Batch<'a> {
        let definition = loss.definition();
        let targets = match definition.targets {
            TargetKind::Classes => Targets::Classes(&self.classes),
            TargetKind::Dense | TargetKind::Either => Targets::Dense(&self.dense),
        };
        Batch {
            class_weights: definition.weights.class.then_some(&self.class_weights),
            row_weights: definition.weights.row.then_some(&self.row_weights),
            ..Batch::new(self.layout, logits, targets)
        }
    }
}

/// A gradient is a difference of a probability and a target, times the weights of row and class, below 2 each, over the
/// temperature, above 0.7: where the difference is small, 1e-7 of 4 / 0.7 is what is left of float32.
pub const GRADIENT_ABSOLUTE: f64 = 1e-7 * 4.0 / 0.7;

#[track_caller]
pub fn check(loss: &dyn AnyLoss, layout: Layout, dtype: DType, gradient: Gradient, tuning: Tuning) {
    let tensors = Tensors::new(loss, layout);
    let stored = Stored::new(dtype, &tensors.logits);
    let batch = tensors.batch(loss, stored.logits());
    let want = reference::evaluate(loss, &batch).expect("a batch that the reference takes");
    let request = Request { dtype, gradient, ..Request::FORWARD };
    let name = format!("{loss:?} {layout:?} {dtype} {gradient:?} {tuning:?}");
    let got = Evaluator::with_tuning(crate::gpu(), loss, request, tuning)
        .and_then(|mut evaluator| evaluator.evaluate(&batch))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_close(&format!("{name} losses"), &got.losses, &want.losses, 1e-5, 1e-7);
    assert_close(&format!("{name} loss"), &[got.summary.loss], &[want.loss], 1e-5, 1e-7);
    assert_eq!(got.summary.non_finite, 0, "{name}");
    assert_gradient(&name, request, &got.gradient, &want.gradient, GRADIENT_ABSOLUTE);
}

fn layouts() -> Vec<Layout> {
    vec![
        Shape::new(5, 3).into(),
        Shape::new(3, 37).into(),
        Shape::new(2, 200).into(),
        strided(5, 3, 2),
        strided(4, 7, 1),
        strided(6, 8, 4),
        strided(3, 17, 3),
        strided(9, 1, 1),
        planes(2, 3, 4),
        planes(3, 5, 7),
        planes(2, 9, 12),
        planes(2, 6, 5),
        planes(3, 4, 2),
    ]
}

#[test]
fn every_loss_in_every_layout() {
    for loss in losses() {
        for layout in layouts() {
            for gradient in [Gradient::No, Gradient::Separate, Gradient::InPlace] {
                check(loss.as_ref(), layout, DType::F32, gradient, Tuning::PLANNED);
            }
            if layout.inner() == 1 {
                for team in [Team::Workgroup, Team::Lane] {
                    let tuning = Tuning { team: Some(team), ..Tuning::PLANNED };
                    check(loss.as_ref(), layout, DType::F32, Gradient::Separate, tuning);
                }
            }
        }
    }
}

#[test]
fn every_element_type_layout_and_place() {
    let loss = &losses()[0];
    for layout in layouts() {
        for dtype in DType::ALL {
            for gradient in GRADIENTS {
                check(loss.as_ref(), layout, dtype, gradient, Tuning::PLANNED);
            }
        }
    }
}

#[test]
fn windows_of_samples_and_of_strided_rows() {
    let tuning = Tuning { max_binding: Some(1024), ..Tuning::PLANNED };
    for loss in [&losses()[0], &losses()[8]] {
        for layout in [strided(40, 7, 2), planes(6, 5, 12), planes(7, 3, 5)] {
            for dtype in DType::ALL {
                check(loss.as_ref(), layout, dtype, Gradient::Separate, tuning);
                check(loss.as_ref(), layout, dtype, Gradient::InPlace, tuning);
            }
        }
    }
}

#[test]
fn packed_float16_equals_native() {
    if !crate::gpu().device.features().contains(wgpu::Features::SHADER_F16) {
        return;
    }
    let loss = &losses()[0];
    // Gradients from subnormal to overflowing float16.
    for scale in [1e-6_f32, 1.0, 1e5] {
        let layout = Layout::from(Shape::new(6, 33));
        let mut tensors = Tensors::new(loss.as_ref(), layout);
        tensors.row_weights.iter_mut().for_each(|w| *w *= scale);
        let stored = Stored::new(DType::F16, &tensors.logits);
        let batch = tensors.batch(loss.as_ref(), stored.logits());
        let request = Request { dtype: DType::F16, gradient: Gradient::Separate, ..Request::FORWARD };
        let run = |native| {
            let tuning = Tuning { native_f16: Some(native), ..Tuning::PLANNED };
            Evaluator::with_tuning(crate::gpu(), loss.as_ref(), request, tuning).unwrap().evaluate(&batch).unwrap()
        };
        let (packed, native) = (run(false), run(true));
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&packed.gradient), bits(&native.gradient), "gradients times {scale}");
        assert_eq!(bits(&packed.losses), bits(&native.losses));
        assert!(packed.gradient.iter().any(|&g| g != 0.0));
    }
}

/// The gradient of 16 bits is the float32 gradient rounded once, to nearest, ties to even.
#[test]
fn a_16_bit_gradient_is_the_float32_gradient_rounded_once() {
    let loss = &losses()[0];
    for scale in [1e-6_f32, 1e-3, 1.0, 1e5] {
        let mut tensors = Tensors::new(loss.as_ref(), Shape::new(6, 33).into());
        tensors.row_weights.iter_mut().for_each(|w| *w *= scale);
        for dtype in [DType::F16, DType::Bf16] {
            let stored = Stored::new(dtype, &tensors.logits);
            let batch = tensors.batch(loss.as_ref(), stored.logits());
            let run = |gradient| {
                let request = Request { dtype, gradient, ..Request::FORWARD };
                crate::gpu().evaluate(loss.as_ref(), request, &batch).unwrap().gradient
            };
            let rounded: Vec<f32> = run(Gradient::Widened)
                .into_iter()
                .map(|g| if dtype == DType::F16 { f16::from_f32(g).to_f32() } else { bf16::from_f32(g).to_f32() })
                .collect();
            assert_eq!(run(Gradient::Separate), rounded, "{dtype} times {scale}");
            assert_eq!(run(Gradient::InPlace), rounded, "{dtype} times {scale}, in place");
        }
    }
}

/// What a row may hold: NaN and infinities, at the target and elsewhere.
#[test]
fn odd_logits() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for loss in losses() {
        for layout in [Layout::from(Shape::new(9, 6)), planes(1, 6, 9)] {
            let mut tensors = Tensors::new(loss.as_ref(), layout);
            let mut set = |row, class, x| tensors.logits[layout.element(row, class) as usize] = x;
            set(1, 2, nan);
            set(2, 5, inf);
            set(3, 4, -inf);
            set(4, 0, -inf);
            (0..6).for_each(|class| set(5, class, -inf));
            (0..5).for_each(|class| set(6, class, -inf));
            set(7, 3, 5e37);
            let targets = [0, 3, 0, 0, 0, 2, 5, 3, 1];
            tensors.classes.copy_from_slice(&targets);
            // A target of 0 where the logit is -inf: it contributes nothing.
            for (row, class) in [(3, 4), (6, 0), (6, 1), (6, 2), (6, 3), (6, 4)] {
                tensors.dense[layout.contiguous().element(row, class) as usize] = match loss.definition().name {
                    "logit_divergence" => -inf,
                    _ if format!("{loss:?}").contains("log_target: true") => -inf,
                    _ => 0.0,
                };
            }
            let batch = tensors.batch(loss.as_ref(), Logits::F32(&tensors.logits));
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a batch that the reference takes");
            for (gradient, team) in [(Gradient::Separate, Team::Lane), (Gradient::InPlace, Team::Workgroup)] {
                let name = format!("{loss:?} {layout:?} {gradient:?} {team:?}");
                let request = Request { gradient, ..Request::FORWARD };
                let tuning = Tuning { team: Some(team), ..Tuning::PLANNED };
                let evaluator = Evaluator::with_tuning(crate::gpu(), loss.as_ref(), request, tuning);
                let got = evaluator.unwrap().evaluate(&batch).unwrap();
                close(&format!("{name} losses"), &got.losses, &want.losses);
                assert_close(&format!("{name} gradient"), &got.gradient, &want.gradient, 1e-5, GRADIENT_ABSOLUTE);
                close(&format!("{name} loss"), &[got.summary.loss], &[want.loss]);
                assert_eq!(
                    (got.summary.non_finite, got.summary.first_non_finite),
                    (want.non_finite, want.first_non_finite.unwrap_or(ABSENT)),
                    "{name}"
                );
            }
        }
    }
}
