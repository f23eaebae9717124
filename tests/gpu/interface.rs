//! What a program with a device of its own relies on: offsets, guard bytes, shared encoders.

use logloss::gpu::{Inputs, Kernel, Outputs, Tuning};
use logloss::{CrossEntropy, Evaluation, Nll, Reduction, Request, Shape};

use crate::buffers::{Guarded, Place, Tensors, encoder, run};
use crate::case::{
    Case, FORWARD, IN_PLACE, IN_PLACE_WITH_DETAILS, Loss, SEPARATE, SEPARATE_WITH_DETAILS, close, plain,
};

const EXACT: Place = Place { offset: 0, behind: 0 };
const WITHIN: Place = Place { offset: 256, behind: 40 };
const FAR: Place = Place { offset: 1024, behind: 4 };

fn sum() -> CrossEntropy {
    CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() }
}

#[test]
fn nothing_around_the_tensors_is_touched() {
    let gpu = crate::gpu();
    for request in [FORWARD, SEPARATE_WITH_DETAILS, IN_PLACE] {
        for max_binding in [None, Some(900)] {
            let tuning = Tuning { max_binding, ..Tuning::default() };
            let kernel = Kernel::with_tuning(&gpu.device, &sum(), request, tuning).unwrap();
            // One row, three, five: sizes that are no multiple of 16 bytes, next to some that are.
            for (rows, classes) in [(1, 1), (3, 1), (1, 3), (5, 7), (4, 6), (3, 6), (67, 5), (70, 2), (9, 33), (8, 8)] {
                let case = Case::random(plain(), rows, classes);
                for place in [EXACT, WITHIN, FAR] {
                    let got = run(gpu, &kernel, &case, request, place).unwrap();
                    let name = format!("{:?} {request:?} {place:?} {tuning:?}", case.shape);
                    case.compare(&name, request, &got, &case.reference());
                }
            }
        }
    }
}

#[test]
fn weights_at_offsets() {
    let gpu = crate::gpu();
    let case = Case::random(plain(), 131, 7).with_everything();
    let Loss::CrossEntropy(loss) = &case.loss else { unreachable!("a cross-entropy") };
    for max_binding in [None, Some(1000)] {
        let tuning = Tuning { max_binding, ..Tuning::default() };
        let kernel = Kernel::with_tuning(&gpu.device, loss, SEPARATE_WITH_DETAILS, tuning).unwrap();
        for place in [EXACT, WITHIN, FAR] {
            let got = run(gpu, &kernel, &case, SEPARATE_WITH_DETAILS, place).unwrap();
            case.compare("weights", SEPARATE_WITH_DETAILS, &got, &case.reference());
        }
    }
}

#[test]
fn two_kernels_and_three_shapes_in_one_encoder() {
    let gpu = crate::gpu();
    let nll_loss = Nll { reduction: Reduction::Sum, ..Nll::default() };
    let cross_entropy = Kernel::new(&gpu.device, &sum(), SEPARATE).unwrap();
    let nll = Kernel::new(&gpu.device, &nll_loss, IN_PLACE_WITH_DETAILS).unwrap();
    // Growing and shrinking, so that scratch is both shared and replaced within the encoder.
    let plan = [
        (&cross_entropy, SEPARATE, Case::random(plain(), 9, 5)),
        (&nll, IN_PLACE_WITH_DETAILS, Case::random(Loss::Nll(nll_loss.clone()), 30, 12)),
        (&cross_entropy, SEPARATE, Case::random(plain(), 3000, 3)),
        (&cross_entropy, SEPARATE, Case::random(plain(), 2, 1003)),
        (&nll, IN_PLACE_WITH_DETAILS, Case::random(Loss::Nll(nll_loss), 4000, 1)),
    ];
    let mut encoder = encoder(gpu);
    let tensors: Vec<_> = plan.iter().map(|(_, request, case)| Tensors::new(gpu, case, *request, WITHIN)).collect();
    for ((kernel, _, case), tensors) in plan.iter().zip(&tensors) {
        kernel.encode(&mut encoder, case.shape, &tensors.inputs(), &tensors.outputs()).unwrap();
    }
    gpu.queue.submit([encoder.finish()]);
    for ((_, request, case), tensors) in plan.iter().zip(&tensors) {
        case.compare("one encoder", *request, &tensors.read(gpu), &case.reference());
    }
    gpu.check().unwrap();
}

#[test]
fn two_encoders_submitted_in_the_other_order() {
    let gpu = crate::gpu();
    let kernel = Kernel::new(&gpu.device, &sum(), SEPARATE).unwrap();
    let cases = [Case::random(plain(), 50, 5), Case::random(plain(), 20, 7)];
    let tensors = cases.each_ref().map(|case| Tensors::new(gpu, case, SEPARATE, EXACT));
    let buffers = [0, 1].map(|i| {
        let mut encoder = encoder(gpu);
        kernel.encode(&mut encoder, cases[i].shape, &tensors[i].inputs(), &tensors[i].outputs()).unwrap();
        encoder.finish()
    });
    gpu.queue.submit(buffers.into_iter().rev());
    for (case, tensors) in cases.iter().zip(&tensors) {
        case.compare("two encoders", SEPARATE, &tensors.read(gpu), &case.reference());
    }
}

#[test]
fn losses_are_optional() {
    let gpu = crate::gpu();
    let kernel = Kernel::new(&gpu.device, &sum(), FORWARD).unwrap();
    for rows in [3, 3000, 5] {
        let case = Case::random(plain(), rows, 7);
        let got = Tensors::new(gpu, &case, FORWARD, EXACT).run(gpu, &kernel, false).unwrap();
        close("loss", &[got.summary.loss], &[case.reference().loss]);
    }
}

#[test]
fn a_device_with_default_limits_and_no_features() {
    let adapter = &logloss::gpu::adapters(&logloss::gpu::instance())[0];
    let gpu = logloss::gpu::Gpu::with_limits(adapter, wgpu::Features::empty(), wgpu::Limits::default()).unwrap();
    for (rows, classes) in [(5, 7), (300, 10), (4, 4099)] {
        let case = Case::random(plain(), rows, classes).with_everything();
        for request in [SEPARATE_WITH_DETAILS, IN_PLACE] {
            let got = case.run_on(&gpu, request, Tuning::default()).unwrap();
            case.compare("default limits", request, &got, &case.reference());
        }
    }
    gpu.check().unwrap();
    let tuning = Tuning { reduce: Some(logloss::gpu::Reduce::Subgroup), ..Tuning::default() };
    let got = Kernel::with_tuning(&gpu.device, &sum(), Request::default(), tuning).err();
    assert!(matches!(got, Some(logloss::Error::Unsupported { .. })), "{got:?}");
    gpu.check().unwrap();
}

#[test]
fn an_encoder_that_a_kernel_refused_is_as_good_as_new() {
    let gpu = crate::gpu();
    let kernel = Kernel::new(&gpu.device, &sum(), SEPARATE).unwrap();
    let case = Case::random(plain(), 9, 5);
    let tensors = Tensors::new(gpu, &case, SEPARATE, EXACT);
    let mut encoder = encoder(gpu);
    let too_large = Shape::new(10, 5);
    assert!(kernel.encode(&mut encoder, too_large, &tensors.inputs(), &tensors.outputs()).is_err());
    kernel.encode(&mut encoder, case.shape, &tensors.inputs(), &tensors.outputs()).unwrap();
    gpu.queue.submit([encoder.finish()]);
    case.compare("after an error", SEPARATE, &tensors.read(gpu), &case.reference());
    gpu.check().unwrap();
}

/// Where each tensor of 5 x 7 starts in a buffer that holds several.
const LOGITS: u64 = 0;
const TARGETS: u64 = 256;
const CLASS_WEIGHTS: u64 = 512;
const ROW_WEIGHTS: u64 = 768;

fn at(whole: &Guarded, offset: u64) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding { offset, ..whole.binding() }
}

#[test]
fn one_buffer_for_all_inputs_and_one_for_all_outputs() {
    let gpu = crate::gpu();
    let case = Case::random(plain(), 5, 7).with_everything();
    let Loss::CrossEntropy(loss) = &case.loss else { unreachable!("a cross-entropy") };
    let kernel = Kernel::new(&gpu.device, loss, SEPARATE_WITH_DETAILS).unwrap();
    let mut content = vec![0; 1024];
    let weights = |w: &Option<Vec<f32>>| bytemuck::cast_slice(w.as_deref().unwrap_or_default()).to_vec();
    for (offset, data) in [
        (LOGITS, bytemuck::cast_slice(&case.logits).to_vec()),
        (TARGETS, bytemuck::cast_slice(&case.targets).to_vec()),
        (CLASS_WEIGHTS, weights(&case.class_weights)),
        (ROW_WEIGHTS, weights(&case.row_weights)),
    ] {
        content[offset as usize..][..data.len()].copy_from_slice(&data);
    }
    let input = Guarded::new(gpu, &content, EXACT);
    let output = Guarded::unwritten(gpu, 1024, EXACT);
    let inputs = Inputs {
        logits: at(&input, LOGITS),
        targets: at(&input, TARGETS),
        class_weights: Some(at(&input, CLASS_WEIGHTS)),
        pos_weights: None,
        row_weights: Some(at(&input, ROW_WEIGHTS)),
    };
    let outputs = Outputs {
        summary: at(&output, 0),
        losses: Some(at(&output, 256)),
        details: Some(at(&output, 512)),
        gradient: Some(at(&output, 768)),
    };
    let mut encoder = encoder(gpu);
    kernel.encode(&mut encoder, case.shape, &inputs, &outputs).unwrap();
    gpu.queue.submit([encoder.finish()]);
    let bytes = output.read::<u8>(gpu);
    let got = Evaluation {
        summary: *bytemuck::from_bytes(&bytes[..64]),
        losses: bytemuck::pod_collect_to_vec(&bytes[256..276]),
        details: bytemuck::pod_collect_to_vec(&bytes[512..592]),
        gradient: bytemuck::pod_collect_to_vec(&bytes[768..908]),
    };
    case.compare("two buffers", SEPARATE_WITH_DETAILS, &got, &case.reference());
    gpu.check().unwrap();
}
