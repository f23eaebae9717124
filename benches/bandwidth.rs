//! How near the kernels come to the memory's speed.
//!
//! Rounds of a plain copy and of every pass over the same logits, in turn, so that a drifting machine moves all of them. Prints
//! the median time, the bytes that the pass must move, GB/s, and the share of the copy's GB/s:
//!
//! ```text
//! cargo bench --bench bandwidth
//! ```
//!
//! `LOGLOSS_ADAPTER` picks an adapter by name; `LOGLOSS_SHAPES=rows x classes,...` replaces the shapes.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use logloss::gpu::{AdapterChoice, Gather, Gpu, Inputs, Kernel, Outputs, Softmax, Sum, Tuning};
use logloss::wgpu::{self, util::DeviceExt};
use logloss::{CrossEntropy, Gradient, Request, Shape, Summary};

mod copy;
use copy::Copy;

/// Rounds that are measured, after one that is not.
const ROUNDS: usize = 10;

const SHAPES: [Shape; 3] = [Shape::new(65536, 1000), Shape::new(8192, 32000), Shape::new(2048, 128_256)];

/// Everything that is measured on one shape.
struct Subject<'g> {
    gpu: &'g Gpu,
    shape: Shape,
    logits: wgpu::Buffer,
    targets: wgpu::Buffer,
    other: wgpu::Buffer,
    losses: wgpu::Buffer,
    summary: wgpu::Buffer,
    copy: Copy,
    forward: Kernel,
    gradient: Kernel,
    log_softmax: Softmax,
    softmax: Softmax,
    gather: Gather,
    mean: Sum,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pass {
    Forward,
    ForwardChain,
    Gradient,
    GradientChain,
}

impl Pass {
    const ALL: [Self; 4] = [Self::Forward, Self::ForwardChain, Self::Gradient, Self::GradientChain];

    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::ForwardChain => "forward, separate passes",
            Self::Gradient => "forward + gradient",
            Self::GradientChain => "forward + softmax, separate passes",
        }
    }

    /// Bytes that the result cannot be had without: each logit read once, each gradient entry written once, a target and
    /// a loss a row. The separate passes owe the same result, so they are charged the same bytes.
    fn bytes(self, shape: Shape) -> u64 {
        let logits = 4 * shape.elements();
        let rows = 8 * u64::from(shape.rows);
        match self {
            Self::Forward | Self::ForwardChain => logits + rows,
            Self::Gradient | Self::GradientChain => 2 * logits + rows,
        }
    }
}

impl<'g> Subject<'g> {
    fn new(gpu: &'g Gpu, shape: Shape) -> Self {
        let device = &gpu.device;
        let storage = wgpu::BufferUsages::STORAGE;
        let classes = u64::from(shape.classes);
        // Filled in pieces: the values do not matter for the speed, but they are neither constant nor extreme.
        let row: Vec<f32> =
            (0..classes).map(|c| (c.wrapping_mul(2_654_435_761) % 2003) as f32 / 100.0 - 10.0).collect();
        let logits = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("logits"),
            size: 4 * shape.elements(),
            usage: storage | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        for r in 0..u64::from(shape.rows) {
            gpu.queue.write_buffer(&logits, 4 * r * classes, bytemuck::cast_slice(&row));
            if r % 256 == 0 {
                gpu.queue.submit([]);
            }
        }
        let targets: Vec<i32> = (0..shape.rows).map(|r| (r.wrapping_mul(40_503) % shape.classes) as i32).collect();
        let empty = |label, size| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: storage,
                mapped_at_creation: false,
            })
        };
        let loss = CrossEntropy::default();
        let kernel = |gradient| {
            Kernel::new(device, &loss, Request { gradient, details: false, ..Request::default() }).expect("a kernel")
        };
        let tuning = Tuning::default();
        Self {
            gpu,
            shape,
            targets: device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("targets"),
                contents: bytemuck::cast_slice(&targets),
                usage: storage,
            }),
            other: empty("gradient", 4 * shape.elements()),
            losses: empty("losses", 4 * u64::from(shape.rows)),
            summary: empty("summary", size_of::<Summary>() as u64),
            copy: Copy::new(gpu),
            forward: kernel(Gradient::No),
            gradient: kernel(Gradient::Separate),
            log_softmax: Softmax::log(device, 1.0, tuning).expect("log-softmax"),
            softmax: Softmax::new(device, 1.0, tuning).expect("softmax"),
            gather: Gather::new(device).expect("gather"),
            mean: Sum::mean(device).expect("mean"),
            logits,
        }
    }

    fn time(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Duration {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        record(&mut encoder);
        let commands = encoder.finish();
        let start = Instant::now();
        self.gpu.queue.submit([commands]);
        self.gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("a device that answers");
        start.elapsed()
    }

    fn time_copy(&self) -> Duration {
        self.time(|encoder| self.copy.encode(self.gpu, encoder, &self.logits, &self.other))
    }

    fn time_pass(&self, pass: Pass) -> Duration {
        let whole = wgpu::Buffer::as_entire_buffer_binding;
        let (logits, targets, other, losses) =
            (whole(&self.logits), whole(&self.targets), whole(&self.other), whole(&self.losses));
        let summary = whole(&self.summary);
        let inputs = Inputs {
            logits: logits.clone(),
            targets: targets.clone(),
            class_weights: None,
            pos_weights: None,
            row_weights: None,
        };
        let mut outputs =
            Outputs { summary: summary.clone(), losses: Some(losses.clone()), details: None, gradient: None };
        let chain = |encoder: &mut wgpu::CommandEncoder| {
            self.log_softmax.encode(encoder, self.shape, &logits, &other)?;
            self.gather.encode(encoder, self.shape, &other, &targets, &losses)?;
            self.mean.encode(encoder, self.shape.rows, &losses, &summary)
        };
        self.time(|encoder| {
            match pass {
                Pass::Forward => self.forward.encode(encoder, self.shape, &inputs, &outputs),
                Pass::ForwardChain => chain(encoder),
                Pass::Gradient => {
                    outputs.gradient = Some(other.clone());
                    self.gradient.encode(encoder, self.shape, &inputs, &outputs)
                }
                // Short of the gradient by the subtraction at the targets, which is in its favour.
                Pass::GradientChain => {
                    chain(encoder).and_then(|()| self.softmax.encode(encoder, self.shape, &logits, &other))
                }
            }
            .expect("bindings that fit");
        })
    }
}

/// Times of the copy and of every pass, taken in turn: a round may be slow as a whole, but not one pass alone.
struct Rounds {
    copy: Vec<Duration>,
    passes: [Vec<Duration>; Pass::ALL.len()],
}

impl Rounds {
    fn measure(subject: &Subject<'_>, count: usize) -> Self {
        let mut rounds = Self { copy: Vec::new(), passes: Pass::ALL.map(|_| Vec::new()) };
        for round in 0..=count {
            let copy = subject.time_copy();
            let times = Pass::ALL.map(|pass| subject.time_pass(pass));
            // The first round compiles and touches fresh memory.
            if round > 0 {
                rounds.copy.push(copy);
                rounds.passes.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
            }
        }
        rounds
    }

    fn times(&self, pass: Pass) -> &[Duration] {
        &self.passes[pass as usize]
    }

    /// Median over the rounds of a figure of a pass's time and the copy's, in seconds.
    fn median(&self, pass: Pass, figure: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.times(pass).iter().zip(&self.copy);
        let mut values: Vec<f64> = pairs.map(|(time, copy)| figure(time.as_secs_f64(), copy.as_secs_f64())).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn shapes() -> Vec<Shape> {
    // Without `--bench` this runs among the tests: once through everything.
    if !std::env::args().any(|argument| argument == "--bench") {
        return vec![Shape::new(37, 1003)];
    }
    let Ok(text) = std::env::var("LOGLOSS_SHAPES") else { return SHAPES.to_vec() };
    let parse = |s: &str| -> Option<Shape> {
        let (rows, classes) = s.split_once('x')?;
        Some(Shape::new(rows.trim().parse().ok()?, classes.trim().parse().ok()?))
    };
    text.split(',').map(|s| parse(s).unwrap_or_else(|| panic!("LOGLOSS_SHAPES: {s} is not rows x classes"))).collect()
}

fn main() {
    let choice = std::env::var("LOGLOSS_ADAPTER").map_or(AdapterChoice::Best, AdapterChoice::Named);
    let gpu = Gpu::open(&choice).unwrap_or_else(|e| panic!("{e}"));
    let mut criterion = Criterion::default().configure_from_args();
    let mut table = Vec::new();
    for shape in shapes() {
        let subject = Subject::new(&gpu, shape);
        let rounds = Rounds::measure(&subject, ROUNDS);
        let mut group = criterion.benchmark_group("cross_entropy");
        group.sample_size(ROUNDS).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_nanos(1)).measurement_time(Duration::from_nanos(1));
        for pass in Pass::ALL {
            // Criterion's statistics are of the same rounds: it asks for one run to warm up and then for one a sample.
            let mut taken = rounds.times(pass).iter().copied().cycle();
            group.throughput(Throughput::Bytes(pass.bytes(shape)));
            let id = BenchmarkId::new(pass.name(), format!("{}x{}", shape.rows, shape.classes));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).filter_map(|_| taken.next()).sum());
            });
        }
        group.finish();
        table.push((shape, rounds));
    }
    criterion.final_summary();
    gpu.check().unwrap_or_else(|e| panic!("{e}"));
    print_table(&gpu, &table);
}

fn print_table(gpu: &Gpu, table: &[(Shape, Rounds)]) {
    println!("\n{} ({:?}, {}), float32", gpu.info.name, gpu.info.backend, gpu.info.driver_info);
    println!(
        "{:>16}  {:<34} {:>10} {:>8} {:>8} {:>10} {:>8}",
        "rows x classes", "pass", "median ms", "MB", "GB/s", "copy GB/s", "share"
    );
    for (shape, rounds) in table {
        let copied = 8.0 * shape.elements() as f64;
        for pass in Pass::ALL {
            let bytes = pass.bytes(*shape) as f64;
            println!(
                "{:>16}  {:<34} {:>10.2} {:>8.0} {:>8.2} {:>10.2} {:>7.1}%",
                format!("{} x {}", shape.rows, shape.classes),
                pass.name(),
                1e3 * rounds.median(pass, |time, _| time),
                1e-6 * bytes,
                1e-9 * rounds.median(pass, |time, _| bytes / time),
                1e-9 * rounds.median(pass, |_, copy| copied / copy),
                100.0 * rounds.median(pass, |time, copy| bytes / time / (copied / copy)),
            );
        }
    }
}
