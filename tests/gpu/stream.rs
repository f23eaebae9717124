//! A stream of batches: the bits of one batch, errors where they belong, and memory that does not grow.

use std::ops::Range;

use logloss::gpu::{AdapterChoice, Evaluator, Gpu, Stream};
use logloss::{
    AnyLoss, Batch, Bce, BceWithLogits, CrossEntropy, Details, Dice, Error, Evaluation, Gradient, Layout, Reduction,
    Request, Shape,
};

use crate::case::{Case, IN_PLACE_WITH_DETAILS, SEPARATE_WITH_DETAILS, plain};
use crate::common::random::Random;

/// Rows, or samples, of whatever loss: what is to be cut.
struct Whole {
    layout: Layout,
    logits: Vec<f32>,
    classes: Option<Vec<i32>>,
    dense: Vec<f32>,
}

impl Whole {
    fn new(layout: Layout, dense: bool) -> Self {
        let mut random = Random(layout.elements());
        let count = layout.elements() as usize;
        let target = |random: &mut Random| random.below(layout.classes() as usize) as i32;
        Self {
            layout,
            logits: (0..count).map(|_| random.uniform(-8.0, 8.0)).collect(),
            classes: (!dense).then(|| (0..layout.rows()).map(|_| target(&mut random)).collect()),
            dense: (0..count).map(|_| random.uniform(0.0, 1.0)).collect(),
        }
    }

    fn batch(&self, samples: Range<u32>) -> Batch<'_> {
        let count = samples.end - samples.start;
        let (rows, logits) = (self.layout.inner(), self.layout.outer_stride());
        let part = |size: u32| (samples.start * size) as usize..(samples.end * size) as usize;
        let layout = if rows == 1 {
            Shape::new(count, self.layout.classes()).into()
        } else {
            Layout::planes(count, self.layout.classes(), rows).unwrap()
        };
        match &self.classes {
            Some(classes) => Batch::new(layout, &self.logits[part(logits)], &classes[part(rows)]),
            None => Batch::new(layout, &self.logits[part(logits)], &self.dense[part(logits)]),
        }
    }

    fn all(&self) -> Batch<'_> {
        self.batch(0..self.layout.outer())
    }

    /// Batches of `step` samples, the last with what is left.
    fn cut(&self, step: u32) -> impl Iterator<Item = Batch<'_>> {
        let end = self.layout.outer();
        (0..end).step_by(step as usize).map(move |first| self.batch(first..end.min(first + step)))
    }
}

/// Results one after another, as bits.
#[derive(Default, PartialEq)]
struct Bits {
    losses: Vec<u32>,
    gradient: Vec<u32>,
    details: Vec<u8>,
}

impl Bits {
    fn push(&mut self, e: &Evaluation) {
        self.losses.extend(e.losses.iter().map(|x| x.to_bits()));
        self.gradient.extend(e.gradient.iter().map(|x| x.to_bits()));
        self.details.extend_from_slice(bytemuck::cast_slice::<Details, u8>(&e.details));
    }
}

/// Pushes until the stream is full, and only then pulls: as many batches are in flight as there can be.
fn run<'a>(stream: &mut Stream<'_>, batches: impl Iterator<Item = Batch<'a>>) -> Bits {
    let mut bits = Bits::default();
    for batch in batches {
        if stream.is_full() {
            bits.push(&stream.pull().unwrap());
        }
        stream.push(&batch).unwrap();
    }
    while !stream.is_empty() {
        bits.push(&stream.pull().unwrap());
    }
    crate::gpu().check().unwrap();
    bits
}

#[track_caller]
fn check(loss: &dyn AnyLoss, request: Request, whole: &Whole, steps: &[u32]) {
    let mut want = Bits::default();
    want.push(&Evaluator::new(crate::gpu(), loss, request).unwrap().evaluate(&whole.all()).unwrap());
    assert_eq!(want.gradient.len(), whole.logits.len());
    // One stream for all, so that its buffers are longer than the batch, and shorter.
    let mut stream = Stream::new(crate::gpu(), loss, request).unwrap();
    for &step in steps {
        assert!(run(&mut stream, whole.cut(step)) == want, "{} {request:?} by {step}", loss.definition().name);
    }
}

#[test]
fn rows_have_the_bits_of_one_batch() {
    let loss = CrossEntropy { reduction: Reduction::MeanOver(1500.0), label_smoothing: 0.1, ..CrossEntropy::default() };
    let whole = Whole::new(Shape::new(1500, 37).into(), false);
    for request in [SEPARATE_WITH_DETAILS, IN_PLACE_WITH_DETAILS] {
        check(&loss, request, &whole, &[100, 4, 484, 1500, 12, 752]);
    }
}

#[test]
fn elements_have_the_bits_of_one_batch() {
    let loss = BceWithLogits { reduction: Reduction::Sum };
    let whole = Whole::new(Shape::new(1500, 37).into(), true);
    let request = Request { gradient: Gradient::InPlace, dense_targets: true, ..Request::FORWARD };
    check(&loss, request, &whole, &[100, 484, 4, 1500, 752]);
}

#[test]
fn regions_have_the_bits_of_one_batch() {
    let loss = Dice { reduction: Reduction::Sum, ..Dice::default() };
    let whole = Whole::new(Layout::planes(11, 5, 7 * 23).unwrap(), false);
    check(&loss, Request { gradient: Gradient::InPlace, ..Request::FORWARD }, &whole, &[1, 4, 11, 3]);
}

#[test]
fn a_bad_target_is_an_error_of_its_batch_alone() {
    let loss = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
    let mut whole = Whole::new(Shape::new(1500, 37).into(), false);
    let mut stream = Stream::new(crate::gpu(), &loss, IN_PLACE_WITH_DETAILS).unwrap();
    let good = run(&mut stream, whole.cut(300));
    // Row 17 of the third batch.
    whole.classes.as_mut().unwrap()[2 * 300 + 17] = 37;
    let mut results = Vec::new();
    for batch in whole.cut(300) {
        if stream.is_full() {
            results.push(stream.pull());
        }
        stream.push(&batch).unwrap();
    }
    while !stream.is_empty() {
        results.push(stream.pull());
    }
    assert_eq!(results.len(), 5);
    let third = results.remove(2);
    assert!(matches!(third, Err(Error::BadTarget { row: 17, value: 37, classes: 37, count: 1 })), "{third:?}");
    let mut rest = Bits::default();
    results.iter().for_each(|result| rest.push(result.as_ref().unwrap()));
    let without_third = [&good.losses[..600], &good.losses[900..]].concat();
    assert!(rest.losses == without_third);
}

#[test]
fn a_value_outside_the_domain_is_named() {
    let loss = Bce { reduction: Reduction::Sum };
    let mut whole = Whole::new(Shape::new(40, 5).into(), true);
    whole.logits.iter_mut().for_each(|p| *p = (*p + 8.0) / 16.0);
    whole.logits[(3 * 8 + 2) * 5 + 4] = 1.5;
    let mut stream = Stream::new(crate::gpu(), &loss, Request { dense_targets: true, ..Request::FORWARD }).unwrap();
    let batches: Vec<_> = whole.cut(8).collect();
    for (i, batch) in batches.iter().enumerate() {
        stream.push(batch).unwrap();
        match (i, stream.pull()) {
            (3, Err(error)) => {
                assert!(matches!(error, Error::OutsideDomain { row: 2, count: 1 }), "{error:?}");
                let named = stream.named_value(error, batch);
                assert!(matches!(named, Error::BadValue { row: 2, class: 4, .. }), "{named:?}");
            }
            (_, result) => assert!(i != 3 && result.is_ok(), "batch {i}: {result:?}"),
        }
    }
}

#[test]
fn a_batch_that_is_refused_takes_no_slot() {
    let loss = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
    let whole = Whole::new(Shape::new(48, 7).into(), false);
    let mut stream = Stream::new(crate::gpu(), &loss, IN_PLACE_WITH_DETAILS).unwrap();
    let good = run(&mut stream, whole.cut(8));
    for _ in 0..2 * Stream::SLOTS {
        let short = Batch { layout: Shape::new(8, 7).into(), ..whole.batch(0..4) };
        let refused = stream.push(&short);
        assert!(matches!(refused, Err(Error::LengthMismatch { .. })), "{refused:?}");
    }
    assert!(stream.is_empty());
    assert!(run(&mut stream, whole.cut(8)) == good);
}

#[test]
fn a_lost_device_is_an_error() {
    let gpu = Gpu::open(&AdapterChoice::Best).unwrap();
    let case = Case::random(plain(), 50, 7);
    let mut stream = Stream::new(&gpu, &CrossEntropy::default(), SEPARATE_WITH_DETAILS).unwrap();
    stream.push(&case.batch()).unwrap();
    stream.pull().unwrap();
    stream.push(&case.batch()).unwrap();
    gpu.device.destroy();
    let pulled = stream.pull();
    assert!(matches!(pulled, Err(Error::Device(_))), "{pulled:?}");
    for batch in [case.batch(), Case::random(plain(), 500, 70).batch()] {
        let pushed = stream.push(&batch);
        assert!(matches!(pushed, Err(Error::Device(_))), "{pushed:?}");
    }
}

#[test]
fn memory_is_that_of_the_batches_in_flight() {
    let gpu = Gpu::open(&AdapterChoice::Best).unwrap();
    let loss = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
    let whole = Whole::new(Shape::new(1 << 15, 64).into(), false);
    let mut stream = Stream::new(&gpu, &loss, IN_PLACE_WITH_DETAILS).unwrap();
    let (rows, logits) = (1 << 10, 1 << 16);
    let mut peak = 0;
    for batch in whole.cut(rows) {
        if stream.is_full() {
            stream.pull().unwrap();
        }
        stream.push(&batch).unwrap();
        peak = peak.max(gpu.device.generate_allocator_report().map_or(0, |report| report.total_allocated_bytes));
    }
    // Logits: mapped, on the device, and their gradient mapped. Targets, losses and details: mapped and on the device.
    let rows = u64::from(rows);
    let slot = 4 * logits * 3 + rows * 2 * (4 + 4 + size_of::<Details>() as u64) + 2 * 64;
    assert_eq!(stream.bytes(), Stream::SLOTS as u64 * slot);
    // 8 MiB went through. wgpu keeps 512 KiB of zeros, which it clears buffers with; the rest is partial sums and uniforms.
    let others = (512 << 10) + (64 << 10);
    assert!(peak <= stream.bytes() + others, "{peak} of {}", stream.bytes());
    while !stream.is_empty() {
        stream.pull().unwrap();
    }
}
