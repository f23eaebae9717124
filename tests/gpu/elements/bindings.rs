//! Windows and buffers: no bit depends on where a batch is cut, and nothing around the tensors is touched.

use logloss::gpu::Tuning;
use logloss::{BceWithLogits, DType, Error, Gradient, Logits, Mse, Reduction, Shape};

use super::{Tensors, check, layouts, recorded, run};
use crate::case::bits;
use crate::stored::{GRADIENTS, Stored, planes, strided};

/// Windows cut by blocks, within rows, samples, planes and gaps, change no bit; nor do runs.
#[test]
fn windows_and_runs_change_no_bit() {
    let loss = BceWithLogits { reduction: Reduction::Sum };
    for layout in [
        Shape::new(5000, 7).into(),
        Shape::new(9, 5003).into(),
        strided(800, 27, 2),
        strided(5, 300, 8700),
        planes(6, 5, 1001),
        planes(2, 7, 2000),
        planes(31, 1, 1001),
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
                let batch = tensors.batch(stored.logits());
                let want = bits(&run(&loss, &batch, gradient, Tuning::PLANNED).expect("it fits"));
                assert!(want == bits(&recorded(&loss, &batch, gradient, true)), "{name}");
                let without = bits(&recorded(&loss, &batch, gradient, false));
                assert!((&want.1, &want.3) == (&without.1, &without.3), "{name}, without losses");
            }
        }
    }
}
