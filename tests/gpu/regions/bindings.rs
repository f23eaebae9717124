//! Windows and buffers: no bit depends on where a batch is cut, and nothing around the tensors is touched.

use logloss::gpu::{Evaluator, Kernel, Reduce, Tuning};
use logloss::reference;
use logloss::{DType, Dice, Error, Evaluation, Logits, Request, Shape};

use super::{Tensors, compare, losses};
use crate::buffers::{self, Place};
use crate::case::{IN_PLACE, SEPARATE, bits};
use crate::stored::planes;

#[test]
fn the_same_bits_on_every_run_and_for_every_binding_limit() {
    for loss in losses() {
        for layout in [planes(9, 3, 60), planes(70, 4, 7), Shape::new(700, 3).into(), planes(5, 3, 150)] {
            let tensors = Tensors::new(layout);
            for request in [SEPARATE, IN_PLACE, Request { dtype: DType::Bf16, ..IN_PLACE }] {
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

/// Bindings at offsets, with guard bytes around every tensor; losses wanted or not.
#[test]
fn nothing_around_the_tensors_is_touched() {
    let gpu = crate::gpu();
    let place = Place { offset: 256, behind: 40 };
    for loss in [&losses()[0], &losses()[6], &losses()[11]] {
        for layout in [planes(2, 3, 7), planes(3, 3, 5), planes(2, 2, 8), Shape::new(7, 3).into()] {
            let tensors = Tensors::new(layout);
            let batch = tensors.batch(loss.as_ref(), false, Logits::F32(&tensors.logits));
            let want = reference::evaluate(loss.as_ref(), &batch).unwrap();
            for (request, max_binding) in [(SEPARATE, None), (IN_PLACE, None), (SEPARATE, Some(1000))] {
                let tuning = Tuning { max_binding, ..Tuning::PLANNED };
                let kernel = Kernel::with_tuning(&gpu.device, loss.as_ref(), request, tuning).unwrap();
                let name = format!("{loss:?} {layout:?} {request:?}");
                let recorded = |losses| {
                    let unit = loss.definition().unit;
                    buffers::Tensors::of_batch(gpu, &batch, unit, request, place).run(gpu, &kernel, losses).unwrap()
                };
                let got = recorded(true);
                compare(&name, request, &got, &want, layout, 1e-7);
                let without = Evaluation { losses: got.losses, ..recorded(false) };
                compare(&format!("{name}, without losses"), request, &without, &want, layout, 1e-7);
            }
        }
    }
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
