//! Rows of 16-bit logits in teams, which load two chunks at once: wherever a row starts and ends, in buffers of no byte more.

use half::{bf16, f16};
use logloss::gpu::{Inputs, Kernel, Outputs, Team, Tuning};
use logloss::{DType, Gradient, Layout, Request, Shape, Summary, reference};

use crate::buffers::{Guarded, Place, encoder};
use crate::case::reductions;
use crate::rows::{GRADIENTS, Stored, Tensors, half_step, losses};

const HALVES: [DType; 2] = [DType::F16, DType::Bf16];
const HELD: Tuning = Tuning { team: Some(Team::Workgroup), held: Some(true), lanes: Some(8), ..Tuning::PLANNED };
const REREAD: Tuning = Tuning { held: Some(false), lanes: Some(4), ..HELD };
const SLICES: Tuning = Tuning { team: Some(Team::Slices), slice: Some(16), lanes: Some(4), ..Tuning::PLANNED };

/// What a kernel writes: bits of the losses, and bytes of the gradient with its gaps.
#[derive(Debug, PartialEq)]
struct Written {
    losses: Vec<u32>,
    gradient: Vec<u8>,
}

/// The first loss, compiled.
struct Subject {
    kernel: Kernel,
    dtype: DType,
    gradient: Gradient,
    tuning: Tuning,
}

impl Subject {
    fn new(dtype: DType, gradient: Gradient, tuning: Tuning) -> Self {
        let request = Request { dtype, gradient, ..Request::FORWARD };
        let kernel = Kernel::with_tuning(&crate::gpu().device, losses()[0].as_ref(), request, tuning);
        Self { kernel: kernel.expect("a kernel"), dtype, gradient, tuning }
    }
}

/// Runs on buffers that hold the batch and nothing more.
#[track_caller]
fn run(subject: &Subject, tensors: &Tensors) -> Written {
    let (gpu, layout) = (crate::gpu(), tensors.layout);
    let Subject { ref kernel, dtype, gradient, .. } = *subject;
    // An odd number of 16-bit elements brings half a word along.
    let padded = |bytes: u64| bytes.next_multiple_of(4);
    let mut logits = Stored::new(dtype, &tensors.logits).logits().as_bytes().to_vec();
    logits.resize(padded(logits.len() as u64) as usize, 0xa5);
    let exact = Place::default();
    let input = |data: &[u8]| Guarded::new(gpu, data, exact);
    let logits = input(&logits);
    let targets = input(bytemuck::cast_slice(&tensors.classes));
    let class_weights = input(bytemuck::cast_slice(&tensors.class_weights));
    let row_weights = input(bytemuck::cast_slice(&tensors.row_weights));
    let written = Guarded::unwritten(gpu, 4 * u64::from(layout.rows()), exact);
    let summary = Guarded::unwritten(gpu, size_of::<Summary>() as u64, exact);
    let element = if gradient == Gradient::Widened { 4 } else { 2 };
    let separate = matches!(gradient, Gradient::Separate | Gradient::Widened)
        .then(|| Guarded::unwritten(gpu, padded(element * layout.span()), exact));
    let inputs = Inputs {
        class_weights: Some(class_weights.binding()),
        row_weights: Some(row_weights.binding()),
        ..Inputs::new(&logits.buffer, &targets.buffer)
    };
    let outputs = Outputs {
        losses: Some(written.binding()),
        gradient: separate.as_ref().map(Guarded::binding),
        ..Outputs::new(&summary.buffer)
    };
    let mut encoder = encoder(gpu);
    kernel.encode(&mut encoder, layout, &inputs, &outputs).expect("bindings that fit");
    gpu.queue.submit([encoder.finish()]);
    let gradient = match gradient {
        Gradient::No => Vec::new(),
        Gradient::InPlace => logits.read(gpu),
        Gradient::Separate | Gradient::Widened => separate.expect("a gradient").read(gpu),
    };
    let losses = written.read(gpu);
    gpu.check().expect("no error that wgpu reported");
    Written { losses, gradient }
}

/// Runs, and compares with the reference; what is no logit must be as it was.
#[track_caller]
fn check(subject: &Subject, layout: Layout) {
    let Subject { dtype, gradient, tuning, .. } = *subject;
    let loss = &losses()[0];
    let tensors = Tensors::new(loss.as_ref(), layout);
    let stored = Stored::new(dtype, &tensors.logits);
    let want = reference::evaluate(loss.as_ref(), &tensors.batch(loss.as_ref(), stored.logits())).expect("a batch");
    let got = run(subject, &tensors);
    let name = format!("{layout:?} {dtype} {gradient:?} {tuning:?}");
    for (row, (&got, &want)) in got.losses.iter().zip(&want.losses).enumerate() {
        let got = f64::from(f32::from_bits(got));
        assert!((got - want).abs() <= (1e-5 * want.abs()).max(1e-7), "{name} row {row}: {got:e}, want {want:e}");
    }
    if gradient == Gradient::No {
        return;
    }
    let element = if gradient == Gradient::Widened { 4 } else { 2 };
    let value = |i: u64| -> f64 {
        let bytes = &got.gradient[(element * i) as usize..][..element as usize];
        match (gradient, dtype) {
            (Gradient::Widened, _) | (_, DType::F32) => {
                f32::from_le_bytes(bytes.try_into().expect("four bytes")).into()
            }
            (_, DType::F16) => f16::from_le_bytes(bytes.try_into().expect("two bytes")).into(),
            _ => bf16::from_le_bytes(bytes.try_into().expect("two bytes")).into(),
        }
    };
    let mut is_logit = vec![false; layout.span() as usize];
    for row in 0..layout.rows() {
        for class in 0..layout.classes() {
            let i = layout.element(row, class);
            is_logit[i as usize] = true;
            let (got, want) = (value(i), want.gradient[i as usize]);
            // As in rows.rs: what is left of float32 where the difference of probability and target is small.
            let tolerance = (1e-5 * want.abs()).max(1e-7 * 4.0 / 0.7) + half_step(dtype, gradient, want);
            assert!((got - want).abs() <= tolerance, "{name} row {row} class {class}: {got:e}, want {want:e}");
        }
    }
    let before: Vec<u8> = match gradient {
        Gradient::InPlace => stored.logits().as_bytes().to_vec(),
        _ => vec![0xa5; got.gradient.len()],
    };
    for (i, _) in is_logit.iter().enumerate().filter(|(_, is_logit)| !**is_logit) {
        let range = element as usize * i..element as usize * (i + 1);
        assert_eq!(got.gradient[range.clone()], before[range], "{name}: element {i} of a gap");
    }
}

fn strided(rows: u32, classes: u32, gap: u32) -> Layout {
    Layout::strided(Shape::new(rows, classes), classes + gap).expect("a small layout")
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
    for classes in (1..=18).chain([31, 32, 36, 40, 100]) {
        for rows in [8, 13] {
            separate.iter().chain(&in_place).for_each(|subject| check(subject, strided(rows, classes, 0)));
        }
    }
    for classes in [4, 8, 12, 19, 24] {
        for gap in 1..=8 {
            separate.iter().chain(&in_place).for_each(|subject| check(subject, strided(8, classes, gap)));
        }
    }
}

#[test]
fn every_place_and_reduction() {
    for gradient in GRADIENTS {
        for dtype in HALVES {
            let forced = |tuning| reductions().into_iter().map(move |r| Tuning { reduce: Some(r), ..tuning });
            for tuning in forced(HELD).chain(forced(REREAD)).chain([SLICES]) {
                let subject = Subject::new(dtype, gradient, tuning);
                for layout in [strided(9, 44, 0), strided(17, 203, 0), strided(8, 40, 4)] {
                    check(&subject, layout);
                }
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
            for layout in [strided(9, 404, 0), strided(10, 403, 0), strided(8, 402, 3)] {
                check(&subject, layout);
            }
        }
    }
}

/// The same bits on every run, with the checks compiled in, for every binding limit, and for float16 however it is converted.
#[test]
fn the_same_bits() {
    for (dtype, gradient, tuning) in [
        (DType::F16, Gradient::InPlace, HELD),
        (DType::Bf16, Gradient::Separate, REREAD),
        (DType::F16, Gradient::InPlace, SLICES),
    ] {
        let limit = |max_binding| Tuning { max_binding: Some(max_binding), ..tuning };
        let others = [
            Tuning { checked: true, ..tuning },
            Tuning { native_f16: Some(false), ..tuning },
            limit(2048),
            Tuning { checked: true, ..limit(2500) },
        ]
        .map(|tuning| Subject::new(dtype, gradient, tuning));
        let subject = Subject::new(dtype, gradient, tuning);
        for layout in [strided(29, 61, 0), strided(21, 100, 0), strided(24, 52, 4)] {
            let tensors = Tensors::new(losses()[0].as_ref(), layout);
            let want = run(&subject, &tensors);
            for other in others.iter().chain([&subject]) {
                let tuning = other.tuning;
                assert!(want == run(other, &tensors), "{layout:?} {dtype} {gradient:?} {tuning:?}");
            }
        }
    }
}

/// A batch may be cut at multiples of eight rows.
#[test]
fn a_row_in_any_batch() {
    let classes = 203;
    let whole = Tensors::new(losses()[0].as_ref(), strided(24, classes, 0));
    for tuning in [HELD, REREAD, SLICES] {
        let subject = Subject::new(DType::Bf16, Gradient::Separate, tuning);
        let all = run(&subject, &whole);
        for (first, rows) in [(0, 3), (8, 8), (16, 5)] {
            let got = run(&subject, &whole.rows(first, rows));
            let (r, n) = (first as usize, rows as usize);
            assert_eq!(got.losses, all.losses[r..r + n], "rows {first}.. {tuning:?}");
            let bytes = 2 * classes as usize;
            assert!(got.gradient[..bytes * n] == all.gradient[bytes * r..bytes * (r + n)], "rows {first}.. {tuning:?}");
        }
    }
}
