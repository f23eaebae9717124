//! Every loss against the float64 reference: every layout, dtype and set of instructions, odd values included.

use crate::common::assert_close;
use crate::common::random::Random;
use crate::instructions;
use half::{bf16, f16};
use logloss::cpu::{self, CpuLoss, LogitsMut, Outputs};
use logloss::{
    Activation, Batch, Bce, BceWithLogits, ClassBalance, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Divergence,
    Focal, GeneralizedDice, Gradient, Hinge, KlDiv, Layout, LogitDivergence, Logits, Mse, MultiMargin, Nll, Reduction,
    Request, Shape, SigmoidFocal, SoftCrossEntropy, SquaredHinge, TargetKind, Targets, Tversky, Unit, reference,
};
use reference::ReferenceLoss;

/// The engine under test and the oracle.
trait AnyLoss: CpuLoss + ReferenceLoss {}
impl<L: CpuLoss + ReferenceLoss> AnyLoss for L {}

const RELATIVE: f64 = 2e-6;
/// For weights of order 1; the weights below are at most 2 each, and a temperature of 1/2 doubles once more.
const ABSOLUTE: f64 = 1e-7 * 8.0;

/// Every loss with random options.
fn losses(random: &mut Random) -> Vec<Box<dyn AnyLoss>> {
    let reduction = random.pick(&[Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOver(3.5)]);
    let combined = random.pick(&[Reduction::Sum, Reduction::Mean]);
    let (temperature, z_loss) = (random.pick(&[1.0, 0.5, 3.0]), random.pick(&[0.0, 0.01]));
    let softcap = random.pick(&[None, Some(5.0)]);
    let label_smoothing = random.pick(&[0.0, 0.1]);
    let gamma = random.pick(&[0.0, 0.5, 2.0]);
    let activation = random.pick(&[Activation::Softmax, Activation::Sigmoid]);
    let (p, margin) = (random.pick(&[1, 2]), random.pick(&[1.0, 0.25]));
    let (include_background, batch) = (random.chance(50), random.chance(50));
    let ignore_index = vec![-100];
    let divergence = random.pick(&[Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon]);
    let dice = Dice {
        reduction,
        ignore_index: ignore_index.clone(),
        activation,
        include_background,
        batch,
        squared_pred: random.chance(50),
        jaccard: random.chance(50),
        ..Dice::default()
    };
    let combined = Dice { reduction: combined, ..dice.clone() };
    vec![
        Box::new(CrossEntropy {
            reduction,
            ignore_index: ignore_index.clone(),
            label_smoothing,
            temperature,
            z_loss,
            softcap,
        }),
        Box::new(Focal { reduction, ignore_index: ignore_index.clone(), gamma, temperature, z_loss, softcap }),
        Box::new(Nll { reduction, ignore_index: ignore_index.clone() }),
        Box::new(MultiMargin { reduction, ignore_index: ignore_index.clone(), margin, p }),
        Box::new(SoftCrossEntropy { reduction, label_smoothing, temperature, z_loss, softcap }),
        Box::new(KlDiv { reduction, log_target: false, temperature, z_loss, softcap }),
        Box::new(LogitDivergence { reduction, divergence, temperature, z_loss, softcap }),
        Box::new(Bce { reduction }),
        Box::new(BceWithLogits { reduction }),
        Box::new(SigmoidFocal { reduction, gamma, alpha: random.pick(&[None, Some(0.25)]) }),
        Box::new(Mse { reduction }),
        Box::new(Hinge { reduction, margin }),
        Box::new(SquaredHinge { reduction, margin }),
        Box::new(GeneralizedDice {
            reduction,
            ignore_index: ignore_index.clone(),
            activation,
            include_background,
            balance: random.pick(&[ClassBalance::Square, ClassBalance::Simple, ClassBalance::Uniform]),
            batch,
            ..GeneralizedDice::default()
        }),
        Box::new(Tversky {
            reduction,
            ignore_index,
            activation,
            include_background,
            batch,
            alpha: 0.3,
            beta: 0.7,
            ..Tversky::default()
        }),
        Box::new(dice),
        Box::new(DiceCrossEntropy { dice: combined.clone(), lambda_dice: 0.5, lambda_cross_entropy: 2.0 }),
        Box::new(DiceFocal { dice: combined, gamma, lambda_dice: 0.5, lambda_focal: 2.0 }),
    ]
}

/// Logits of any type.
enum Owned {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Owned {
    fn borrow(&self) -> Logits<'_> {
        match self {
            Self::F32(values) => values.into(),
            Self::F16(values) => values.into(),
            Self::Bf16(values) => values.into(),
        }
    }
}

/// A batch that fits a loss.
struct Case {
    layout: Layout,
    logits: Owned,
    classes: Option<Vec<i32>>,
    dense: Vec<f32>,
    weights: [Option<Vec<f32>>; 3],
}

impl Case {
    fn new(random: &mut Random, loss: &dyn AnyLoss, classes: usize, odd: bool) -> Self {
        let definition = loss.definition();
        let (outer, inner) = (1 + random.below(3) as u32, random.pick(&[1, 2, 3, 17, 40]));
        let shape = Shape::new(outer * inner, classes as u32);
        let layout = match random.below(3) {
            0 => shape.into(),
            1 => Layout::strided(shape, shape.classes + 3).expect("a small stride"),
            _ => Layout::planes(outer, shape.classes, inner).expect("a small shape"),
        };
        let is_hinge = definition.name.ends_with("hinge");
        let is_probability = definition.name == "bce";
        let mut value = |i: usize| match i {
            _ if is_probability => random.uniform(0.0, 1.0),
            _ if odd && random.chance(2) => random.pick(&[f32::NEG_INFINITY, f32::NAN, f32::INFINITY, 1.0, 30.0]),
            _ => random.uniform(-6.0, 6.0),
        };
        let logits: Vec<f32> = (0..layout.span() as usize).map(&mut value).collect();
        let logits = match random.below(3) {
            0 => Owned::F32(logits),
            1 => Owned::F16(logits.iter().map(|&x| f16::from_f32(x)).collect()),
            _ => Owned::Bf16(logits.iter().map(|&x| bf16::from_f32(x)).collect()),
        };
        let has_classes = match definition.targets {
            TargetKind::Classes => true,
            TargetKind::Dense => false,
            TargetKind::Either => random.chance(50),
        };
        let label = |random: &mut Random| {
            let can_ignore = !definition.ignore_index.is_empty();
            if can_ignore && random.chance(15) { -100 } else { random.below(classes) as i32 }
        };
        let dense = (0..layout.elements()).map(|_| match definition.name {
            _ if is_hinge => random.pick(&[-1.0, 1.0]),
            "logit_divergence" => random.uniform(-4.0, 4.0),
            _ => random.pick(&[0.0, 0.0, 1.0, 0.3, 0.7]),
        });
        let dense = dense.collect();
        let classes_of_rows = has_classes.then(|| (0..shape.rows).map(|_| label(random)).collect());
        let mut weights = |taken: bool, n: u32| {
            (taken && random.chance(50)).then(|| (0..n).map(|_| random.pick(&[0.0, 0.5, 1.25, 2.0])).collect())
        };
        let taken = definition.weights;
        let weights = [
            weights(taken.class, shape.classes),
            weights(taken.positive, shape.classes),
            weights(taken.row, shape.rows),
        ];
        Self { layout, logits, classes: classes_of_rows, dense, weights }
    }

    fn batch(&self) -> Batch<'_> {
        let targets: Targets<'_> = match &self.classes {
            Some(classes) => classes.into(),
            None => (&self.dense).into(),
        };
        Batch {
            class_weights: self.weights[0].as_deref(),
            pos_weights: self.weights[1].as_deref(),
            row_weights: self.weights[2].as_deref(),
            ..Batch::new(self.layout, self.logits.borrow(), targets)
        }
    }
}

const ALL: Request =
    Request { dtype: logloss::DType::F32, gradient: Gradient::Widened, details: true, dense_targets: false };

#[test]
fn every_loss_meets_the_reference() {
    let mut random = Random(11);
    for trial in 0..40 {
        let classes = [1, 2, 3, 5, 10, 31, 64, 65, 130, 1029][trial % 10];
        for loss in losses(&mut random) {
            let case = Case::new(&mut random, loss.as_ref(), classes, trial % 3 == 0);
            let batch = case.batch();
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a valid batch");
            for set in instructions() {
                let name = format!("trial {trial}, {classes} classes, {set:?}, {loss:?}, {:?}", case.layout);
                let got = cpu::evaluate_with(set, loss.as_ref(), ALL, &batch).expect("a valid batch");
                assert_close(&format!("{name}: losses"), &got.losses, &want.losses, RELATIVE, ABSOLUTE);
                assert_close(&format!("{name}: gradient"), &got.gradient, &want.gradient, RELATIVE, ABSOLUTE);
                let n = f64::from(case.layout.rows()) * classes as f64;
                assert_close(&format!("{name}: loss"), &[got.summary.loss], &[want.loss], RELATIVE, ABSOLUTE * n);
                assert_close(&name, &[got.summary.weight_sum], &[want.weight_sum], 1e-6, 0.0);
                let rows = (got.summary.ignored, got.summary.non_finite);
                assert_eq!(rows, (want.ignored, want.non_finite_rows), "{name}");
                let first = |row: Option<u32>| row.unwrap_or(logloss::ABSENT);
                assert_eq!(got.summary.first_ignored, first(want.first_ignored), "{name}");
                assert_eq!(got.summary.first_non_finite, first(want.first_non_finite), "{name}");
                if loss.definition().targets == TargetKind::Classes && loss.definition().name != "nll" {
                    let lse: Vec<f32> = got.details.iter().map(|d| d.lse).collect();
                    assert_close(&format!("{name}: lse"), &lse, &want.lse, RELATIVE, ABSOLUTE);
                    let ranks: Vec<u32> = got.details.iter().map(|d| d.rank).collect();
                    assert_eq!(ranks, want.rank, "{name}");
                }
            }
        }
    }
}

/// Bits of a result, NaN as one.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }).collect()
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut random = Random(12);
    for (rows, classes) in [(5000, 3), (300, 700), (3, 140_000)] {
        for loss in losses(&mut random) {
            let definition = loss.definition();
            if classes > 1000 && definition.name != "cross_entropy" {
                continue;
            }
            let layout = Layout::from(Shape::new(rows, classes));
            let logits: Vec<f32> = (0..layout.elements()).map(|_| random.uniform(0.0, 1.0)).collect();
            let labels: Vec<i32> = (0..rows).map(|_| random.below(classes as usize) as i32).collect();
            let dense: Vec<f32> = (0..layout.elements()).map(|_| random.pick(&[-1.0, 1.0])).collect();
            let dense = if definition.name.ends_with("hinge") { dense } else { logits.clone() };
            let targets: Targets<'_> =
                if definition.targets == TargetKind::Dense { (&dense).into() } else { (&labels).into() };
            let batch = Batch::new(layout, &logits, targets);
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                pool.install(|| cpu::evaluate(loss.as_ref(), ALL, &batch)).expect("a valid batch")
            };
            let want = with(1);
            for threads in [2, 3, 8] {
                let got = with(threads);
                assert_eq!(got.summary.loss.to_bits(), want.summary.loss.to_bits(), "{loss:?}");
                assert!(bits(&got.losses) == bits(&want.losses), "{loss:?}");
                assert!(bits(&got.gradient) == bits(&want.gradient), "{loss:?}");
            }
        }
    }
}

#[test]
fn into_slices_of_the_caller() {
    let mut random = Random(13);
    for trial in 0..20 {
        for loss in losses(&mut random) {
            let case = Case::new(&mut random, loss.as_ref(), [3, 70, 300][trial % 3], false);
            let batch = case.batch();
            let want = cpu::evaluate(loss.as_ref(), ALL, &batch).expect("a valid batch");
            let n = batch.logits.len();
            // A gradient in 16 bits is the float32 gradient, rounded once.
            let (in_place, apart): (Vec<f32>, Vec<f32>) = match &case.logits {
                Owned::F32(logits) => {
                    let (mut x, mut g) = (logits.clone(), vec![7.0; n]);
                    both(loss.as_ref(), &batch, (&mut x).into(), (&mut g).into());
                    (x, g)
                }
                Owned::F16(logits) => {
                    let (mut x, mut g) = (logits.clone(), vec![f16::ONE; n]);
                    both(loss.as_ref(), &batch, (&mut x).into(), (&mut g).into());
                    (x.iter().map(|x| x.to_f32()).collect(), g.iter().map(|x| x.to_f32()).collect())
                }
                Owned::Bf16(logits) => {
                    let (mut x, mut g) = (logits.clone(), vec![bf16::ONE; n]);
                    both(loss.as_ref(), &batch, (&mut x).into(), (&mut g).into());
                    (x.iter().map(|x| x.to_f32()).collect(), g.iter().map(|x| x.to_f32()).collect())
                }
            };
            let rounded: Vec<f32> = match &case.logits {
                Owned::F32(_) => want.gradient.clone(),
                Owned::F16(_) => want.gradient.iter().map(|&g| f16::from_f32(g).to_f32()).collect(),
                Owned::Bf16(_) => want.gradient.iter().map(|&g| bf16::from_f32(g).to_f32()).collect(),
            };
            assert_eq!(bits(&apart), bits(&rounded), "{loss:?}, {:?}", case.layout);
            for row in 0..case.layout.rows() {
                for class in 0..case.layout.classes() {
                    let i = case.layout.element(row, class) as usize;
                    assert_eq!(bits(&in_place[i..=i]), bits(&rounded[i..=i]), "{loss:?}, {:?}", case.layout);
                }
            }
        }
    }
}

/// Evaluates in place and into a buffer, without losses; checks that the summary is the same.
fn both(loss: &dyn AnyLoss, batch: &Batch<'_>, in_place: LogitsMut<'_>, apart: LogitsMut<'_>) {
    let a = cpu::evaluate_into(loss, batch, Outputs { gradient: Some(apart), ..Outputs::default() }).expect("valid");
    let units = loss.definition().unit.count(&batch.layout) as usize;
    let mut losses = vec![0.0; units];
    let outputs = Outputs { losses: Some(&mut losses), ..Outputs::default() };
    let no_logits: Batch<'_> = Batch { logits: Logits::F32(&[]), ..*batch };
    let b = cpu::evaluate_in_place(loss, &no_logits, in_place, outputs).expect("valid");
    assert_eq!(a.loss.to_bits(), b.loss.to_bits());
    assert!(matches!(loss.definition().unit, Unit::Region(_)) || losses.len() == units);
}
