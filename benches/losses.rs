//! Every loss on the CPU engine, and through `Evaluator` on a GPU with upload and readback, and small batches, for comparing one
//! commit with another:
//!
//! ```text
//! cargo bench --bench losses -- --save-baseline before
//! cargo bench --bench losses -- --baseline before
//! ```
//!
//! How near they come to the memory's speed is the business of the two rooflines.

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use logloss::gpu::{AdapterChoice, Evaluator, Gpu};
use logloss::{
    AnyLoss, Batch, CrossEntropy, Definition, Domain, Gradient, Layout, Request, Shape, Summary, TargetKind, Targets,
    cpu, every_loss,
};

/// Rows and classes.
const SHAPE: Shape = Shape::new(2048, 1000);

/// Logits, class indices, and values that every loss of dense targets takes: probabilities, or labels of -1 and 1.
struct Data {
    logits: Vec<f32>,
    classes: Vec<i32>,
    probabilities: Vec<f32>,
    labels: Vec<f32>,
}

impl Data {
    fn new() -> Self {
        let n = SHAPE.elements() as u32;
        let hashed = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
        Self {
            logits: (0..n).map(|i| 12.0 * hashed(i) - 6.0).collect(),
            classes: (0..SHAPE.rows).map(|r| (r.wrapping_mul(40_503) % SHAPE.classes) as i32).collect(),
            probabilities: (0..n).map(|i| hashed(i + 7)).collect(),
            labels: (0..n).map(|i| if hashed(i + 7) > 0.5 { 1.0 } else { -1.0 }).collect(),
        }
    }

    fn batch(&self, loss: &dyn AnyLoss) -> Batch<'_> {
        let Definition { targets, domains, .. } = loss.definition();
        let targets: Targets<'_> = match targets {
            TargetKind::Dense if domains.target == Domain::Sign => (&self.labels).into(),
            TargetKind::Dense => (&self.probabilities).into(),
            TargetKind::Classes | TargetKind::Either => (&self.classes).into(),
        };
        let logits = if domains.input == Domain::UnitInterval { &self.probabilities } else { &self.logits };
        Batch::new(Layout::from(SHAPE), logits, targets)
    }
}

const PASSES: [(&str, Gradient); 2] = [("forward", Gradient::No), ("forward + gradient", Gradient::Separate)];

fn on_cpu(loss: &dyn AnyLoss, batch: &Batch<'_>, wanted: Gradient, gradient: &mut [f32]) -> Summary {
    let place = (wanted != Gradient::No).then(|| gradient.into());
    let outputs = cpu::Outputs { gradient: place, ..cpu::Outputs::default() };
    cpu::evaluate_into(loss, batch, outputs).expect("a valid batch")
}

fn losses(criterion: &mut Criterion) {
    let data = Data::new();
    let gpu = Gpu::open(&AdapterChoice::Best);
    for loss in every_loss() {
        let batch = data.batch(loss.as_ref());
        let mut group = criterion.benchmark_group(loss.definition().name);
        group.throughput(Throughput::Elements(SHAPE.elements())).sampling_mode(SamplingMode::Flat).sample_size(10);
        let mut gradient = vec![0.0; data.logits.len()];
        for (pass, wanted) in PASSES {
            group.bench_function(BenchmarkId::new("cpu", pass), |bencher| {
                bencher.iter(|| on_cpu(loss.as_ref(), &batch, wanted, &mut gradient));
            });
            let Ok(gpu) = &gpu else { continue };
            let dense_targets = matches!(batch.targets, Targets::Dense(_));
            let request = Request { gradient: wanted, dense_targets, ..Request::FORWARD };
            let mut evaluator = Evaluator::new(gpu, loss.as_ref(), request).expect("a kernel");
            group.bench_function(BenchmarkId::new("gpu", pass), |bencher| {
                bencher.iter(|| evaluator.evaluate(&batch).expect("a valid batch"));
            });
        }
        group.finish();
    }
}

/// What a call costs besides its logits.
fn small_batches(criterion: &mut Criterion) {
    let data = Data::new();
    let mut group = criterion.benchmark_group("small batches, cross_entropy");
    for (rows, classes) in [(1, 10), (32, 10), (1024, 10), (8, 1000), (32, 1000), (1, 32_000)] {
        let shape = Shape::new(rows, classes);
        let n = shape.elements() as usize;
        let targets: Vec<i32> = data.classes[..rows as usize].iter().map(|class| class % classes as i32).collect();
        let batch = Batch::new(shape, &data.logits[..n], &targets);
        let mut gradient = vec![0.0; n];
        for (pass, wanted) in PASSES {
            group.bench_function(BenchmarkId::new(format!("{rows} x {classes}"), pass), |bencher| {
                bencher.iter(|| on_cpu(&CrossEntropy::default(), &batch, wanted, &mut gradient));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, losses, small_batches);
criterion_main!(benches);
