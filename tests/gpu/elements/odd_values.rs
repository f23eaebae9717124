//! Extremes, NaN, and values outside the domain.

use logloss::gpu::Tuning;
use logloss::reference;
use logloss::{
    ABSENT, AnyLoss, Batch, Bce, BceWithLogits, Domain, Domains, Error, Gradient, Hinge, Layout, Logits, Reduction,
    Shape, SigmoidFocal, SquaredHinge, Targets,
};

use super::{Tensors, losses, recorded, run};
use crate::case::close;
use crate::common::assert_close;
use crate::stored::{planes, strided};

/// Logits of every size, down to where nothing but the loss's own smallness is left, and weights that remove what is infinite.
#[test]
fn extremes() {
    let inf = f32::INFINITY;
    let sizes = [0.0, 1e-38, 1e-20, 1e-7, 1e-3, 0.3, 1.0, 5.0, 15.0, 30.0, 80.0, 87.0, 88.5, 104.0, 1e4, 1e30, inf];
    let probabilities = [0.0, 1e-45, 1e-42, 1.2e-38, 1e-30, 1e-7, 1e-3, 0.25, 0.5, 0.7, 0.999, 1.0 - 6e-8, 1.0];
    for loss in losses(Reduction::None) {
        let Domains { input, target } = loss.definition().domains;
        let signed: Vec<f32> = sizes.iter().flat_map(|&x| [x, -x]).collect();
        let values = if input == Domain::UnitInterval { &probabilities[..] } else { &signed[..] };
        let labels: &[f32] = match (loss.definition().name, target) {
            ("mse", _) => &[0.0, 1.0, -3e5],
            (_, Domain::Sign) => &[-1.0, 1.0],
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
        if loss.definition().domains.input != Domain::Any {
            continue; // NaN is no probability: see below.
        }
        for layout in [Layout::from(Shape::new(40, 77)), strided(40, 77, 3), planes(4, 7, 111)] {
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
                    assert_eq!((want.non_finite, want.first_non_finite), (4, Some(7)), "{name}");
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
        let Domains { input, target } = loss.definition().domains;
        let domain = if tensor == "input" { input.words() } else { target.words() };
        for layout in [Layout::from(Shape::new(40, 77)), strided(40, 77, 2), planes(4, 7, 111)] {
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
            let summary = recorded(loss, &batch, Gradient::Separate, true).summary;
            let status = (summary.bad_targets, summary.first_bad_row, summary.first_bad_target, summary.non_finite);
            assert_eq!(status, (4, 7, 0, 0), "{loss:?} {tensor} {layout:?}");
            assert!(summary.loss.is_nan());
            assert_eq!(summary.check(layout.shape()), Err(Error::OutsideDomain { row: 7, count: 4 }));
        }
    }
}
