//! Rows in slices: boundaries of slices, every loss, rows larger than a binding, and the same bits however a batch is cut.

use logloss::gpu::{RowSchedule, Softmax, Team, Tuning};
use logloss::wgpu::util::DeviceExt;
use logloss::{CrossEntropy, DType, Gradient, Layout, Reduction, Shape, wgpu};

use crate::case::{Case, FORWARD, IN_PLACE, IN_PLACE_WITH_DETAILS, Loss, SEPARATE, SEPARATE_WITH_DETAILS, bits, plain};
use crate::rows::{check, losses};
use crate::stored::{GRADIENTS, strided};

const fn sliced(classes: u32) -> Tuning {
    Tuning { team: Some(Team::Slices), slice: Some(classes), lanes: Some(4), ..Tuning::PLANNED }
}

#[test]
fn one_slice_and_two_and_a_class_more_or_less() {
    for slice in [4, 16, 64] {
        for classes in [slice - 1, slice, slice + 1, 2 * slice - 1, 2 * slice, 2 * slice + 1, 5 * slice + 2] {
            // Every place within a chunk that a row can start at, and rows that do not fill a group.
            for rows in [1, 4, 7] {
                let case = Case::random(plain(), rows, classes).with_everything();
                case.check(&[FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE], &[sliced(slice)]);
            }
        }
    }
}

#[test]
fn every_loss_element_type_and_place() {
    let layouts = [Layout::from(Shape::new(3, 37)), strided(5, 23, 3)];
    // The element type and the place are the same fragments for every loss.
    for dtype in DType::ALL {
        for gradient in GRADIENTS {
            check(losses()[0].as_ref(), layouts[1], dtype, gradient, sliced(16));
        }
    }
    for loss in &losses()[1..] {
        for layout in layouts {
            check(loss.as_ref(), layout, DType::F32, Gradient::InPlace, sliced(16));
        }
    }
}

/// A binding holds a part of a row: of an aligned one, of one in a group of four, of the last of a batch, of one with a gap.
#[test]
fn rows_beyond_a_binding() {
    for layout in [Shape::new(2, 512).into(), Shape::new(6, 403).into(), strided(3, 402, 3)] {
        let tuning = Tuning { max_binding: Some(1024), ..sliced(64) };
        for loss in losses() {
            check(loss.as_ref(), layout, DType::F32, Gradient::InPlace, tuning);
        }
        check(losses()[0].as_ref(), layout, DType::Bf16, Gradient::Separate, tuning);
        check(losses()[10].as_ref(), layout, DType::F16, Gradient::Widened, tuning);
    }
}

#[test]
fn a_binding_changes_no_bit() {
    for (rows, classes) in [(1, 1001), (5, 1003), (3, 1024)] {
        let case = Case::random(plain(), rows, classes).with_everything();
        for request in [SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS] {
            let want = bits(&case.run(request, sliced(32)));
            for max_binding in [600, 2048, 4096, 5000] {
                let tuning = Tuning { max_binding: Some(max_binding), ..sliced(32) };
                assert!(want == bits(&case.run(request, tuning)), "{:?} {tuning:?}", case.shape);
            }
        }
    }
}

#[test]
fn a_row_in_any_batch() {
    let (rows, classes) = (9, 203);
    let case = Case::random(plain(), rows, classes).with_everything();
    let all = case.run(SEPARATE_WITH_DETAILS, sliced(32));
    for (first, rows) in [(0_usize, 1_usize), (4, 5), (8, 1)] {
        let c = classes as usize;
        let part = Case {
            shape: Shape::new(rows as u32, classes),
            logits: case.logits[first * c..(first + rows) * c].to_vec(),
            targets: case.targets[first..first + rows].to_vec(),
            row_weights: case.row_weights.as_ref().map(|w| w[first..first + rows].to_vec()),
            ..case.clone()
        };
        let got = part.run(SEPARATE_WITH_DETAILS, sliced(32));
        assert_eq!(got.losses, all.losses[first..first + rows], "rows {first}..");
        assert_eq!(got.gradient, all.gradient[first * c..(first + rows) * c], "rows {first}..");
        assert_eq!(got.details, all.details[first..first + rows], "rows {first}..");
    }
}

#[test]
fn ignored_rows_and_rows_that_are_not_finite() {
    let loss = CrossEntropy { reduction: Reduction::Sum, ignore_index: vec![2], ..CrossEntropy::default() };
    let mut case = Case::random(Loss::CrossEntropy(loss), 6, 131);
    case.targets[1] = 2;
    case.logits[2 * 131 + 130] = f32::NAN;
    case.logits[3 * 131 + 7] = f32::INFINITY;
    case.logits[4 * 131 + 40] = f32::NEG_INFINITY;
    for max_binding in [None, Some(512)] {
        let tuning = Tuning { max_binding, ..sliced(16) };
        case.check(&[FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS], &[tuning]);
    }
}

#[test]
fn dispatches_of_two_dimensions() {
    let tuning = Tuning { max_workgroups: Some(3), ..sliced(16) };
    Case::random(plain(), 5, 131).check(&[SEPARATE, IN_PLACE], &[tuning]);
}

/// More slices of a row than lanes that combine them.
#[test]
fn a_row_of_the_planned_slices() {
    for classes in [9 * 8192 - 1, 9 * 8192 + 4] {
        let tuning = Tuning { team: Some(Team::Slices), ..Tuning::PLANNED };
        Case::random(plain(), 1, classes).check(&[SEPARATE], &[tuning]);
    }
}

#[test]
fn softmax() {
    let (gpu, shape) = (crate::gpu(), Shape::new(3, 203));
    let case = Case::random(plain(), shape.rows, shape.classes);
    let run = |tuning| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let contents = bytemuck::cast_slice(&case.logits);
        let logits = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage });
        let output = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage });
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let softmax = Softmax::new(&gpu.device, 1.0, tuning).expect("softmax");
        let (from, to) = (logits.as_entire_buffer_binding(), output.as_entire_buffer_binding());
        softmax.encode(&mut encoder, shape, &from, &to).expect("bindings that fit");
        gpu.queue.submit([encoder.finish()]);
        gpu.read::<f32>(&output).expect("a device that answers")
    };
    let whole = run(Tuning::PLANNED);
    let want: Vec<f64> = whole.iter().map(|&p| p.into()).collect();
    for max_binding in [None, Some(512)] {
        let got = run(Tuning { max_binding, ..sliced(16) });
        // Both are within 1e-5 of the truth.
        crate::common::assert_close("softmax", &got, &want, 2e-5, 2e-7);
    }
}

#[test]
fn long_rows_are_planned_in_slices() {
    let kernel = crate::gpu().kernel(&CrossEntropy::default(), SEPARATE).expect("a kernel");
    let plan = kernel.plan(Shape::new(1, 1 << 20)).expect("a plan");
    assert_eq!(plan.schedule, RowSchedule::Slices);
}
