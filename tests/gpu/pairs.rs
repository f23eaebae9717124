//! Rows that are loaded two chunks at once, 16-bit logits in teams and float32 as 64-bit words: wherever a row starts and ends, in buffers of no byte more.

use logloss::gpu::{Kernel, Team, Tuning};
use logloss::{DType, Evaluation, Gradient, Layout, Request, Unit, reference};

use crate::buffers::{self, Place};
use crate::case::{bits, close, reductions};
use crate::rows::{GRADIENT_ABSOLUTE, Tensors, losses};
use crate::stored::{GRADIENTS, Stored, assert_gradient, strided};

const HALVES: [DType; 2] = [DType::F16, DType::Bf16];
const HELD: Tuning = Tuning { team: Some(Team::Workgroup), held: Some(true), lanes: Some(8), ..Tuning::PLANNED };
const REREAD: Tuning = Tuning { held: Some(false), lanes: Some(4), ..HELD };
const SLICES: Tuning = Tuning { team: Some(Team::Slices), slice: Some(16), lanes: Some(4), ..Tuning::PLANNED };
const LANE: Tuning = Tuning { team: Some(Team::Lane), ..Tuning::PLANNED };

/// A schedule with float32 as 64-bit words, where the device has those.
fn wide(tuning: Tuning) -> Option<Tuning> {
    let has_words = crate::gpu().device.features().contains(wgpu::Features::SHADER_INT64);
    has_words.then_some(Tuning { wide: Some(true), ..tuning })
}

/// The first loss, compiled.
struct Subject {
    kernel: Kernel,
    request: Request,
    tuning: Tuning,
}

impl Subject {
    fn new(dtype: DType, gradient: Gradient, tuning: Tuning) -> Self {
        let request = Request { dtype, gradient, ..Request::FORWARD };
        let kernel = Kernel::with_tuning(&crate::gpu().device, losses()[0].as_ref(), request, tuning);
        Self { kernel: kernel.expect("a kernel"), request, tuning }
    }
}

/// Runs on buffers that hold the batch and nothing more.
#[track_caller]
fn run(subject: &Subject, tensors: &Tensors) -> Evaluation {
    let gpu = crate::gpu();
    let stored = Stored::new(subject.request.dtype, &tensors.logits);
    let batch = tensors.batch(losses()[0].as_ref(), stored.logits());
    let tensors = buffers::Tensors::of_batch(gpu, &batch, Unit::Row, subject.request, Place::default());
    tensors.run(gpu, &subject.kernel, true).expect("bindings that fit")
}

/// Runs, and compares with the reference.
#[track_caller]
fn check(subject: &Subject, layout: Layout) {
    let Subject { request, tuning, .. } = *subject;
    let loss = &losses()[0];
    let tensors = Tensors::new(loss.as_ref(), layout);
    let stored = Stored::new(request.dtype, &tensors.logits);
    let want = reference::evaluate(loss.as_ref(), &tensors.batch(loss.as_ref(), stored.logits())).expect("a batch");
    let got = run(subject, &tensors);
    let name = format!("{layout:?} {request:?} {tuning:?}");
    close(&format!("{name} losses"), &got.losses, &want.losses);
    assert_gradient(&name, request, &got.gradient, &want.gradient, GRADIENT_ABSOLUTE);
}

/// Every remainder of class count and stride by eight, every number of chunks in front of the first pair and behind the last, and
/// rows that have no pair at all; as many rows as fill groups, and some more.
#[test]
fn every_start_and_end_of_a_row() {
    let subject = Subject::new;
    let separate = [subject(DType::Bf16, Gradient::Separate, HELD), subject(DType::F16, Gradient::Separate, SLICES)];
    let in_place = [
        subject(DType::Bf16, Gradient::InPlace, HELD),
        subject(DType::F16, Gradient::InPlace, REREAD),
        subject(DType::Bf16, Gradient::InPlace, SLICES),
    ];
    let of_words = [(LANE, Gradient::Separate), (LANE, Gradient::InPlace), (HELD, Gradient::InPlace)];
    let of_words = of_words.into_iter().filter_map(|(tuning, gradient)| Some((wide(tuning)?, gradient)));
    let of_words: Vec<_> = of_words.map(|(tuning, gradient)| subject(DType::F32, gradient, tuning)).collect();
    let all = || separate.iter().chain(&in_place).chain(&of_words);
    for classes in (1..=18).chain([31, 32, 36, 40, 100]) {
        for rows in [8, 13] {
            all().for_each(|subject| check(subject, strided(rows, classes, 0)));
        }
    }
    for classes in [4, 8, 12, 19, 24] {
        for gap in 1..=8 {
            all().for_each(|subject| check(subject, strided(8, classes, gap)));
        }
    }
}

#[test]
fn every_place_and_reduction() {
    for gradient in GRADIENTS {
        let forced = |tuning| reductions().into_iter().map(move |r| Tuning { reduce: Some(r), ..tuning });
        let shared: Vec<_> = forced(HELD).chain(forced(REREAD)).chain([SLICES]).collect();
        let halves = HALVES.into_iter().flat_map(|dtype| shared.iter().map(move |&tuning| (dtype, tuning)));
        let of_words = shared.iter().chain([&LANE]).filter_map(|&tuning| Some((DType::F32, wide(tuning)?)));
        for (dtype, tuning) in halves.chain(of_words) {
            let subject = Subject::new(dtype, gradient, tuning);
            for layout in [strided(9, 44, 0), strided(17, 203, 0), strided(8, 40, 4)] {
                check(&subject, layout);
            }
        }
    }
}

/// One pair a lane, a block of two, and a strip of 64 blocks.
#[test]
fn boundaries_of_blocks_and_strips() {
    let subject = Subject::new(DType::Bf16, Gradient::InPlace, REREAD);
    for length in [8 * 4, 16 * 4, 64 * 16 * 4] {
        for classes in [length - 8, length - 1, length, length + 1, length + 4, length + 8] {
            check(&subject, strided(2, classes, 0));
            if let Some(tuning) = wide(LANE) {
                check(&Subject::new(DType::F32, Gradient::InPlace, tuning), strided(9, classes, 0));
            }
        }
    }
    // At most eight chunks a lane.
    let subject = Subject::new(DType::F16, Gradient::InPlace, HELD);
    for pairs in [1, 2, 4] {
        for classes in [64 * pairs - 1, 64 * pairs, 64 * pairs + 7] {
            check(&subject, strided(9, classes, 0));
        }
    }
}

#[test]
fn rows_beyond_a_binding() {
    for max_binding in [600, 700, 1024] {
        let tuning = Tuning { max_binding: Some(max_binding), slice: Some(64), ..SLICES };
        for gradient in GRADIENTS {
            let subject = Subject::new(DType::Bf16, gradient, tuning);
            let of_words = wide(tuning).map(|tuning| Subject::new(DType::F32, gradient, tuning));
            for layout in [strided(9, 404, 0), strided(10, 403, 0), strided(8, 402, 3)] {
                check(&subject, layout);
                of_words.iter().for_each(|subject| check(subject, layout));
            }
        }
    }
}

/// The same bits on every run, with the checks compiled in, for every binding limit, and for float16 however it is converted.
#[test]
fn the_same_bits() {
    let halves = [
        (DType::F16, Gradient::InPlace, HELD),
        (DType::Bf16, Gradient::Separate, REREAD),
        (DType::F16, Gradient::InPlace, SLICES),
    ];
    let of_words = [(Gradient::InPlace, LANE), (Gradient::Separate, LANE), (Gradient::InPlace, SLICES)];
    let of_words = of_words.into_iter().filter_map(|(gradient, tuning)| Some((DType::F32, gradient, wide(tuning)?)));
    for (dtype, gradient, tuning) in halves.into_iter().chain(of_words) {
        let limit = |logits| Tuning { max_binding: Some(logits * dtype.bytes()), ..tuning };
        let others = [
            Tuning { checked: true, ..tuning },
            Tuning { native_f16: Some(false), ..tuning },
            limit(1024),
            Tuning { checked: true, ..limit(1250) },
        ]
        .map(|tuning| Subject::new(dtype, gradient, tuning));
        let subject = Subject::new(dtype, gradient, tuning);
        for layout in [strided(29, 61, 0), strided(21, 100, 0), strided(24, 52, 4)] {
            let tensors = Tensors::new(losses()[0].as_ref(), layout);
            let want = bits(&run(&subject, &tensors));
            for other in others.iter().chain([&subject]) {
                let tuning = other.tuning;
                assert!(want == bits(&run(other, &tensors)), "{layout:?} {dtype} {gradient:?} {tuning:?}");
            }
        }
    }
}

/// A batch may be cut at multiples of eight rows.
#[test]
fn a_row_in_any_batch() {
    let classes = 203;
    let whole = Tensors::new(losses()[0].as_ref(), strided(24, classes, 0));
    let halves = [HELD, REREAD, SLICES].map(|tuning| (DType::Bf16, tuning));
    let of_words = [LANE, SLICES].into_iter().filter_map(|tuning| Some((DType::F32, wide(tuning)?)));
    for (dtype, tuning) in halves.into_iter().chain(of_words) {
        let subject = Subject::new(dtype, Gradient::Separate, tuning);
        let all = run(&subject, &whole);
        for (first, rows) in [(0, 3), (8, 8), (16, 5)] {
            let got = run(&subject, &whole.rows(first, rows));
            let (r, n) = (first as usize, rows as usize);
            assert_eq!(got.losses, all.losses[r..r + n], "rows {first}.. {tuning:?}");
            let c = classes as usize;
            assert_eq!(got.gradient, all.gradient[c * r..c * (r + n)], "rows {first}.. {tuning:?}");
        }
    }
}
