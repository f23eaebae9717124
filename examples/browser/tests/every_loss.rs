//! Every loss with random options over random batches, in a browser: `scripts/test-browser.sh`.
#![cfg(target_arch = "wasm32")]

#[path = "../../../tests/common/mod.rs"]
mod common;

use common::any_loss::{Case, LARGEST_SCALE, LARGEST_WEIGHT, compare, losses, trials};
use common::assert_close;
use logloss::gpu::{AdapterChoice, Evaluator, Gpu};
use logloss::{DType, Gradient, Layout, Request, Shape, cpu, reference};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

/// The contract's 1e-7 is for weights of 1.
const ABSOLUTE: f64 = 1e-7 * (LARGEST_WEIGHT * LARGEST_WEIGHT * LARGEST_SCALE) as f64;

#[wasm_bindgen_test]
async fn every_loss_meets_the_reference() {
    let gpu = Gpu::open_async(&AdapterChoice::Best).await.expect("a WebGPU device");
    for (trial, mut random) in trials(2) {
        for loss in losses(&mut random) {
            let loss = loss.as_ref();
            for layout in [Layout::from(Shape::new(37, 10)), Layout::planes(3, 7, 40).expect("a small shape")] {
                for dtype in DType::ALL {
                    let case = Case::of_layout(&mut random, loss, layout, dtype, true);
                    let batch = case.batch();
                    let want = reference::evaluate(loss, &batch).expect("a valid batch");
                    let request = Request {
                        dtype,
                        gradient: Gradient::Widened,
                        details: false,
                        dense_targets: case.classes.is_none(),
                    };
                    let name = format!("{trial}: {loss:?}, {layout:?}, {dtype}");
                    let mut evaluator = Evaluator::new(&gpu, loss, request).unwrap_or_else(|e| panic!("{name}: {e}"));
                    let got = evaluator.evaluate_async(&batch).await.unwrap_or_else(|e| panic!("{name}: {e}"));
                    compare(&format!("{name}, GPU"), loss, &got, &want, 1e-5, ABSOLUTE);
                    assert_close(&format!("{name}, GPU: gradient"), &got.gradient, &want.gradient, 1e-5, ABSOLUTE);
                    let got = cpu::evaluate(loss, request, &batch).unwrap_or_else(|e| panic!("{name}: {e}"));
                    compare(&format!("{name}, CPU"), loss, &got, &want, 2e-6, ABSOLUTE);
                    assert_close(&format!("{name}, CPU: gradient"), &got.gradient, &want.gradient, 2e-6, ABSOLUTE);
                }
            }
        }
    }
}
