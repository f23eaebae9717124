//! Losses and gradients in every combination, and for every width of a workgroup.

use half::f16;
use logloss::gpu::{Evaluator, Tuning};
use logloss::reference;
use logloss::{Batch, BceWithLogits, DType, Gradient, Layout, Logits, Mse, Reduction, Request, Shape, Targets};

use super::{Tensors, check, layouts, losses, run};
use crate::case::{bits, close};
use crate::stored::{GRADIENTS, planes, strided};

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
        for layout in [Shape::new(67, 37).into(), strided(5, 9, 2)] {
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
        for layout in [Layout::from(Shape::new(0, 5)), planes(3, 5, 0)] {
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
