//! Every error that a kernel can give, none of them through wgpu's own handler; and devices that are lost.

use std::num::NonZeroU64;

use logloss::gpu::{AdapterChoice, Gpu, Inputs, Kernel, Outputs, Tuning};
use logloss::{CrossEntropy, Error, Gradient, Nll, Reduction, Request, Result, Shape};
use wgpu::BufferUsages;

use crate::buffers::{Guarded, Place, Tensors, encoder};
use crate::case::{Case, IN_PLACE, SEPARATE, SEPARATE_WITH_DETAILS, plain};

struct Bench {
    gpu: &'static Gpu,
    case: Case,
    tensors: Tensors,
    kernel: Kernel,
}

impl Bench {
    fn new(request: Request) -> Self {
        let gpu = crate::gpu();
        let case = Case::random(plain(), 5, 7).with_everything();
        let tensors = Tensors::new(gpu, &case, request, Place { offset: 256, behind: 0 });
        Self { gpu, case, tensors, kernel: Kernel::new(&gpu.device, &CrossEntropy::default(), request).unwrap() }
    }

    /// What `encode` says of the tensors after a change.
    #[track_caller]
    fn refusal<'a>(&'a self, change: impl FnOnce(&mut Inputs<'a>, &mut Outputs<'a>)) -> Error {
        let (mut inputs, mut outputs) = (self.tensors.inputs(), self.tensors.outputs());
        change(&mut inputs, &mut outputs);
        let mut encoder = encoder(self.gpu);
        let got = self.kernel.encode(&mut encoder, self.case.shape, &inputs, &outputs);
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.check().expect("no error that wgpu reported");
        got.expect_err("a refusal")
    }
}

fn part(whole: &Guarded, bytes: u64) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding { size: NonZeroU64::new(bytes), ..whole.binding() }
}

#[test]
fn a_binding_that_is_too_small() {
    let bench = Bench::new(SEPARATE_WITH_DETAILS);
    let t = &bench.tensors;
    let small = |name, needed| Error::BindingTooSmall { name, needed, got: needed - 4 };
    assert_eq!(bench.refusal(|i, _| i.logits = part(&t.logits, 136)), small("logits", 140));
    assert_eq!(bench.refusal(|i, _| i.targets = part(&t.targets, 16)), small("targets", 20));
    let weights = t.class_weights.as_ref().unwrap();
    assert_eq!(bench.refusal(|i, _| i.class_weights = Some(part(weights, 24))), small("class_weights", 28));
    let weights = t.row_weights.as_ref().unwrap();
    assert_eq!(bench.refusal(|i, _| i.row_weights = Some(part(weights, 16))), small("row_weights", 20));
    assert_eq!(bench.refusal(|_, o| o.losses = Some(part(&t.losses, 16))), small("losses", 20));
    let details = t.details.as_ref().unwrap();
    assert_eq!(bench.refusal(|_, o| o.details = Some(part(details, 76))), small("details", 80));
    let gradient = t.gradient.as_ref().unwrap();
    assert_eq!(bench.refusal(|_, o| o.gradient = Some(part(gradient, 136))), small("gradient", 140));
    assert_eq!(bench.refusal(|_, o| o.summary = part(&t.summary, 60)), small("summary", 64));
    // A size beyond the buffer's end, and an offset beyond it.
    let beyond = wgpu::BufferBinding { offset: 512, size: NonZeroU64::new(140), buffer: &t.logits.buffer };
    assert_eq!(bench.refusal(|i, _| i.logits = beyond), Error::BindingTooSmall { name: "logits", needed: 140, got: 0 });
}

#[test]
fn a_usage_that_is_missing() {
    let bench = Bench::new(SEPARATE);
    let unusable = bench.gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 1024,
        usage: BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let missing = |name| Error::MissingUsage { name, usage: BufferUsages::STORAGE };
    let binding = || unusable.as_entire_buffer_binding();
    assert_eq!(bench.refusal(|i, _| i.logits = binding()), missing("logits"));
    assert_eq!(bench.refusal(|i, _| i.targets = binding()), missing("targets"));
    assert_eq!(bench.refusal(|_, o| o.gradient = Some(binding())), missing("gradient"));
    assert_eq!(bench.refusal(|_, o| o.summary = binding()), missing("summary"));
}

#[test]
fn an_offset_that_is_misaligned() {
    let bench = Bench::new(SEPARATE);
    let alignment = bench.gpu.device.limits().min_storage_buffer_offset_alignment;
    for offset in [4, u64::from(alignment) + 16, u64::from(alignment) / 2] {
        let misaligned = |name| Error::MisalignedOffset { name, offset, alignment };
        assert_eq!(bench.refusal(|i, _| i.logits.offset = offset), misaligned("logits"));
        assert_eq!(bench.refusal(|_, o| o.summary.offset = offset), misaligned("summary"));
    }
}

#[test]
fn a_buffer_that_is_read_and_written() {
    let bench = Bench::new(SEPARATE_WITH_DETAILS);
    let t = &bench.tensors;
    let shared = |input, output| Error::SharedBuffer { input, output };
    assert_eq!(bench.refusal(|_, o| o.gradient = Some(t.logits.binding())), shared("logits", "gradient"));
    assert_eq!(bench.refusal(|_, o| o.losses = Some(t.targets.binding())), shared("targets", "losses"));
    let weights = t.row_weights.as_ref().unwrap();
    assert_eq!(bench.refusal(|_, o| o.losses = Some(weights.binding())), shared("row_weights", "losses"));

    let bench = Bench::new(IN_PLACE);
    let logits = bench.tensors.logits.binding();
    assert_eq!(bench.refusal(|i, _| i.targets = logits), shared("targets", "logits"));
}

#[test]
fn outputs_that_were_not_asked_for() {
    let mismatch = |name, got, compiled| Error::RequestMismatch { name, got, compiled };
    let bench = Bench::new(SEPARATE_WITH_DETAILS);
    assert_eq!(bench.refusal(|_, o| o.gradient = None), mismatch("gradient", "not given", "with it"));
    assert_eq!(bench.refusal(|_, o| o.details = None), mismatch("details", "not given", "with it"));
    let bench = Bench::new(IN_PLACE);
    let spare = Guarded::unwritten(bench.gpu, 140, Place::default());
    assert_eq!(bench.refusal(|_, o| o.gradient = Some(spare.binding())), mismatch("gradient", "given", "without it"));
    assert_eq!(bench.refusal(|_, o| o.details = Some(spare.binding())), mismatch("details", "given", "without it"));
}

#[test]
fn options_shapes_and_variants() {
    let gpu = crate::gpu();
    let new = |loss: &CrossEntropy, tuning| Kernel::with_tuning(&gpu.device, loss, SEPARATE, tuning).err();
    for loss in [
        CrossEntropy { label_smoothing: -0.1, ..CrossEntropy::default() },
        CrossEntropy { temperature: 0.0, ..CrossEntropy::default() },
        CrossEntropy { z_loss: f32::NAN, ..CrossEntropy::default() },
        CrossEntropy { reduction: Reduction::MeanOver(0.0), ..CrossEntropy::default() },
        CrossEntropy { ignore_index: vec![0; 17], ..CrossEntropy::default() },
    ] {
        assert!(matches!(new(&loss, Tuning::default()), Some(Error::InvalidOption { .. })), "{loss:?}");
    }
    for lanes in [0, 1, 2, 3, 5, 96, 1 << 20, 1 << 31] {
        let tuning = Tuning { lanes: Some(lanes), ..Tuning::default() };
        let got = new(&CrossEntropy::default(), tuning);
        assert!(matches!(got, Some(Error::Unsupported { .. })), "{lanes} lanes: {got:?}");
    }
    let kernel = Kernel::new(&gpu.device, &Nll::default(), SEPARATE).unwrap();
    assert!(matches!(kernel.plan(Shape::new(3, 0)), Err(Error::InvalidOption { .. })));
    assert!(matches!(kernel.plan(Shape::new(1, u32::MAX)), Err(Error::TooLarge { .. })));
    assert!(matches!(kernel.plan(Shape::new(u32::MAX, 1 << 30)), Err(Error::TooLarge { .. })));
    gpu.check().unwrap();
}

#[test]
fn host_slices_of_another_length() {
    let gpu = crate::gpu();
    let case = Case { targets: vec![0; 4], ..Case::random(plain(), 5, 7) };
    let got = case.run_on(gpu, SEPARATE, Tuning::default());
    assert_eq!(got, Err(Error::LengthMismatch { name: "targets", expected: 5, got: 4 }));
}

/// Before which step the device is destroyed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Kernel,
    Encode,
    Submit,
    Read,
}

fn losing(at: Step, gradient: Gradient) -> Result<Vec<Vec<u8>>> {
    let gpu = Gpu::open(&AdapterChoice::Best)?;
    let case = Case::random(plain(), 50, 7);
    let request = Request { gradient, details: false, ..Request::default() };
    let tensors = Tensors::new(&gpu, &case, request, Place::default());
    let lose = |now| {
        if now == at {
            gpu.device.destroy();
        }
    };
    lose(Step::Kernel);
    let kernel = Kernel::new(&gpu.device, &CrossEntropy::default(), request)?;
    lose(Step::Encode);
    let mut encoder = encoder(&gpu);
    kernel.encode(&mut encoder, case.shape, &tensors.inputs(), &tensors.outputs())?;
    lose(Step::Submit);
    gpu.queue.submit([encoder.finish()]);
    lose(Step::Read);
    gpu.read_back(&[(&tensors.summary.buffer, 64)])
}

#[test]
fn a_lost_device_is_an_error_and_never_a_number() {
    for at in [Step::Kernel, Step::Encode, Step::Submit, Step::Read] {
        for gradient in [Gradient::Separate, Gradient::InPlace] {
            let got = losing(at, gradient);
            assert!(matches!(got, Err(Error::Device(_))), "{at:?}: {got:?}");
        }
    }
}

#[test]
fn an_evaluator_on_a_lost_device() {
    let gpu = Gpu::open(&AdapterChoice::Best).unwrap();
    let case = Case::random(plain(), 50, 7);
    let loss = CrossEntropy::default();
    let mut evaluator = logloss::gpu::Evaluator::new(&gpu, &loss, SEPARATE).unwrap();
    evaluator.evaluate(&case.batch()).unwrap();
    gpu.device.destroy();
    for batch in [case.batch(), Case::random(plain(), 500, 70).batch()] {
        let got = evaluator.evaluate(&batch);
        assert!(matches!(got, Err(Error::Device(_))), "{got:?}");
    }
    let got = gpu.evaluate(&loss, SEPARATE, &case.batch());
    assert!(matches!(got, Err(Error::Device(_))), "{got:?}");
}
