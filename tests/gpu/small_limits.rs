//! A device with hardly anything: small bindings, few workgroups, little workgroup memory, no features. The same numbers.

use std::sync::OnceLock;

use logloss::gpu::{Gpu, adapters, instance};
use logloss::{AnyLoss, Batch, DType, Evaluation, Gradient, Layout, Request, Shape, Unit, every_loss, reference};

use crate::common::assert_close;
use crate::stored::{planes, strided};
use crate::support::Example;

/// 64 KiB a binding, 16 workgroups a dimension, 1 KiB of workgroup memory, 64 invocations; neither subgroups nor float16.
fn small() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let adapter = adapters(&instance()).into_iter().next().expect("an adapter");
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 64 << 10,
            max_compute_workgroups_per_dimension: 16,
            max_compute_workgroup_storage_size: 1 << 10,
            max_compute_invocations_per_workgroup: 64,
            max_compute_workgroup_size_x: 64,
            ..wgpu::Limits::default()
        };
        Gpu::with_limits(&adapter, wgpu::Features::empty(), limits).unwrap_or_else(|e| panic!("{e}"))
    })
}

fn run(gpu: &Gpu, loss: &dyn AnyLoss, batch: &Batch<'_>, gradient: Gradient) -> Evaluation {
    let name = format!("{} {:?} {gradient:?}", loss.definition().name, batch.layout);
    let got = gpu.evaluate(loss, Request { gradient, ..Request::FORWARD }, batch);
    got.unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_loss_gives_the_same_numbers() {
    let widened = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    // 96,000 logits, 375 KiB: more than five bindings; some 3,000 rows are more workgroups than a dimension has.
    let layouts = [Layout::from(Shape::new(3200, 30)), strided(1000, 90, 7), planes(24, 5, 800)];
    for loss in every_loss() {
        for layout in layouts {
            // Where every row is a sample, the sums of so many regions exceed a binding, which is an error that says so.
            if matches!(loss.definition().unit, Unit::Region(_)) && layout.inner() == 1 {
                continue;
            }
            let example = Example::new(loss.as_ref(), layout);
            let dtype = DType::F32;
            let stored = example.stored(dtype);
            let batch = example.batch(loss.as_ref(), stored.logits());
            for gradient in [Gradient::Separate, Gradient::InPlace] {
                let name = format!("{} {layout:?} {gradient:?}", loss.definition().name);
                let got = run(small(), loss.as_ref(), &batch, gradient);
                let want = run(crate::gpu(), loss.as_ref(), &batch, gradient);
                // Both are within 1e-5 of the truth.
                assert_close(&format!("{name} loss"), &[got.summary.loss], &[want.summary.loss.into()], 2e-5, 2e-7);
                assert_close(&format!("{name} losses"), &got.losses, &widened(&want.losses), 2e-5, 2e-7);
                assert_close(&format!("{name} gradient"), &got.gradient, &widened(&want.gradient), 2e-5, 2e-7);
            }
        }
    }
}

#[test]
fn float16_is_packed_where_it_is_not_native() {
    for loss in every_loss() {
        let example = Example::new(loss.as_ref(), planes(4, 5, 33));
        let stored = example.stored(DType::F16);
        let batch = example.batch(loss.as_ref(), stored.logits());
        let got = run(small(), loss.as_ref(), &batch, Gradient::Widened);
        let want = run(crate::gpu(), loss.as_ref(), &batch, Gradient::Widened);
        let name = loss.definition().name;
        let truth: Vec<f64> = want.gradient.iter().map(|&g| g.into()).collect();
        assert_close(name, &[got.summary.loss], &[want.summary.loss.into()], 2e-5, 2e-7);
        assert_close(&format!("{name} gradient"), &got.gradient, &truth, 2e-5, 2e-7);
    }
}

/// 80 KB a row: three bindings, and a group of four rows.
#[test]
fn a_row_larger_than_a_binding() {
    let layout = Layout::from(Shape::new(5, 20_001));
    let all = every_loss();
    for loss in all.iter().filter(|loss| ["cross_entropy", "kl_div"].contains(&loss.definition().name)) {
        let example = Example::new(loss.as_ref(), layout);
        let stored = example.stored(DType::F32);
        let batch = example.batch(loss.as_ref(), stored.logits());
        let got = run(small(), loss.as_ref(), &batch, Gradient::InPlace);
        let want = reference::evaluate(loss.as_ref(), &batch).expect("a batch that the reference takes");
        let name = loss.definition().name;
        assert_close(&format!("{name} loss"), &[got.summary.loss], &[want.loss], 1e-5, 1e-7);
        assert_close(&format!("{name} losses"), &got.losses, &want.losses, 1e-5, 1e-7);
        // The absolute tolerance of a sum, divided as the mean of so many rows or logits is.
        assert_close(&format!("{name} gradient"), &got.gradient, &want.gradient, 1e-5, 1e-9);
    }
}
