//! Every loss against the float64 reference: every layout, dtype and set of instructions, odd values included.

use crate::common::any_loss::{Case, LARGEST_SCALE, LARGEST_WEIGHT, compare, losses, trials};
use crate::common::assert_close;
use crate::common::random::Random;
use crate::common::stored::Stored;
use crate::instructions;
use half::{bf16, f16};
use logloss::cpu::{self, LogitsMut, Outputs};
use logloss::{
    AnyLoss, Batch, Domain, Gradient, Layout, Logits, MultiMargin, Nll, Reduction, Request, Shape, TargetKind, Targets,
    Unit, reference,
};

const RELATIVE: f64 = 2e-6;
/// The contract's 1e-7 is for weights of 1.
const ABSOLUTE: f64 = 1e-7 * (LARGEST_WEIGHT * LARGEST_WEIGHT * LARGEST_SCALE) as f64;

const ALL: Request =
    Request { dtype: logloss::DType::F32, gradient: Gradient::Widened, details: true, dense_targets: false };

#[test]
fn every_loss_meets_the_reference() {
    for (trial, mut random) in trials(24) {
        for loss in losses(&mut random) {
            let (most, odd) = (random.pick(&[300, 3000, 30_000]), random.chance(33));
            let case = Case::new(&mut random, loss.as_ref(), most, odd);
            let batch = case.batch();
            let want = reference::evaluate(loss.as_ref(), &batch).expect("a valid batch");
            for set in instructions() {
                let name = format!("{trial}: {set:?}, {loss:?}, {:?}", case.layout);
                let got = cpu::evaluate_with(set, loss.as_ref(), ALL, &batch).expect("a valid batch");
                compare(&name, loss.as_ref(), &got, &want, RELATIVE, ABSOLUTE);
                assert_close(&format!("{name}: gradient"), &got.gradient, &want.gradient, RELATIVE, ABSOLUTE);
            }
        }
    }
}

#[test]
fn a_weight_of_0_removes_the_infinite_slopes_of_a_masked_target() {
    let logits = [f32::NEG_INFINITY, 1.0, 2.0, 0.5, 1.0, 2.0];
    let batch = Batch { row_weights: Some(&[0.0, 1.0]), ..Batch::new(Shape::new(2, 3), &logits, &[0, 0]) };
    for p in [1, 2] {
        let loss = MultiMargin { p, reduction: Reduction::Sum, ..MultiMargin::default() };
        let want = reference::evaluate(&loss, &batch).expect("a valid batch");
        assert_eq!((want.losses[0], &want.gradient[..3]), (0.0, &[0.0; 3][..]));
        for set in instructions() {
            let got = cpu::evaluate_with(set, &loss, ALL, &batch).expect("a valid batch");
            assert_close(&format!("{set:?}: gradient"), &got.gradient, &want.gradient, RELATIVE, 0.0);
            assert_close(&format!("{set:?}: losses"), &got.losses, &want.losses, RELATIVE, 0.0);
        }
    }
}

#[test]
fn nan_stands_where_minus_infinity_does() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let logits = [nan, -inf, 1.0, -inf, nan, 1.0, nan, -inf, -inf, 1.0, nan, -inf];
    let batch = Batch::new(Shape::new(4, 3), &logits, &[1, 0, 1, 2]);
    for set in instructions() {
        let got = cpu::evaluate_with(set, &Nll::default(), ALL, &batch).expect("a valid batch");
        let order: Vec<_> = got.details.iter().map(|d| (d.rank, d.argmax)).collect();
        assert_eq!(order, [(2, 2), (1, 2), (1, 0), (2, 0)], "{set:?}");
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
            let dense = if definition.domains.target == Domain::Sign { dense } else { logits.clone() };
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
    for _ in 0..20 {
        for loss in losses(&mut random) {
            let case = Case::new(&mut random, loss.as_ref(), 5000, false);
            let batch = case.batch();
            let want = cpu::evaluate(loss.as_ref(), ALL, &batch).expect("a valid batch");
            let n = batch.logits.len();
            // A gradient in 16 bits is the float32 gradient, rounded once.
            let (in_place, apart): (Vec<f32>, Vec<f32>) = match &case.logits {
                Stored::F32(logits) => {
                    let (mut x, mut g) = (logits.clone(), vec![7.0; n]);
                    both(loss.as_ref(), &batch, (&mut x).into(), (&mut g).into());
                    (x, g)
                }
                Stored::F16(logits) => {
                    let (mut x, mut g) = (logits.clone(), vec![f16::ONE; n]);
                    both(loss.as_ref(), &batch, (&mut x).into(), (&mut g).into());
                    (x.iter().map(|x| x.to_f32()).collect(), g.iter().map(|x| x.to_f32()).collect())
                }
                Stored::Bf16(logits) => {
                    let (mut x, mut g) = (logits.clone(), vec![bf16::ONE; n]);
                    both(loss.as_ref(), &batch, (&mut x).into(), (&mut g).into());
                    (x.iter().map(|x| x.to_f32()).collect(), g.iter().map(|x| x.to_f32()).collect())
                }
            };
            let rounded: Vec<f32> = match &case.logits {
                Stored::F32(_) => want.gradient.clone(),
                Stored::F16(_) => want.gradient.iter().map(|&g| f16::from_f32(g).to_f32()).collect(),
                Stored::Bf16(_) => want.gradient.iter().map(|&g| bf16::from_f32(g).to_f32()).collect(),
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
