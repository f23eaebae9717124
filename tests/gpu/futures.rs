//! Evaluation without blocking, as in a browser: somebody else polls the device.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use logloss::gpu::{AdapterChoice, Evaluator, Gpu, Inputs, Outputs};
use logloss::{Batch, CrossEntropy, Error, Gradient, Request, Shape, Summary};

use crate::common::random::Random;

/// Runs a future that waits for the device of `gpu`.
fn run<T>(gpu: &Gpu, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        gpu.device.poll(wgpu::PollType::Poll).expect("a device that answers");
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    panic!("the future waits for something that never comes");
}

const REQUEST: Request = Request { gradient: Gradient::Separate, ..Request::FORWARD };

#[test]
fn a_batch_after_another() {
    let gpu = crate::gpu();
    let mut random = Random(3);
    let mut evaluator = Evaluator::new(gpu, &CrossEntropy::default(), REQUEST).expect("a kernel");
    // Larger and smaller: uploads wait for mapped memory that is there already, and for such that is new.
    for rows in [7, 300, 300, 20] {
        let shape = Shape::new(rows, 33);
        let logits: Vec<f32> = (0..shape.elements()).map(|_| random.uniform(-6.0, 6.0)).collect();
        let targets: Vec<i32> = (0..rows).map(|_| random.below(33) as i32).collect();
        let batch = Batch::new(shape, &logits, &targets);
        let got = run(gpu, evaluator.evaluate_async(&batch)).expect("a valid batch");
        assert_eq!(got, gpu.evaluate(&CrossEntropy::default(), REQUEST, &batch).expect("a valid batch"));
        assert_eq!(
            got,
            run(gpu, gpu.evaluate_async(&CrossEntropy::default(), REQUEST, &batch)).expect("a valid batch")
        );
    }
}

#[test]
fn errors_are_those_of_the_blocking_evaluation() {
    let gpu = crate::gpu();
    let batch = Batch::new(Shape::new(2, 2), &[0.0; 4], &[0, 2]);
    let got = run(gpu, gpu.evaluate_async(&CrossEntropy::default(), REQUEST, &batch));
    assert!(matches!(got, Err(Error::BadTarget { row: 1, .. })), "{got:?}");
}

#[test]
fn a_device_and_its_buffers() {
    let gpu = pollster::block_on(Gpu::open_async(&AdapterChoice::Best)).expect("an adapter");
    let storage = |size| {
        gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        })
    };
    let (logits, targets, summary) = (storage(4 * 12), storage(4 * 3), storage(size_of::<Summary>() as u64));
    let kernel = gpu.kernel(&CrossEntropy::default(), Request::FORWARD).expect("a kernel");
    let shape = Shape::new(3, 4);
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    kernel.encode(&mut encoder, shape, &Inputs::new(&logits, &targets), &Outputs::new(&summary)).expect("that fits");
    gpu.queue.submit([encoder.finish()]);
    let got = run(&gpu, gpu.read_summary_async(&summary, shape)).expect("a summary");
    // Logits of 0: every class is as probable as any other.
    approx::assert_relative_eq!(got.loss, 4_f32.ln(), max_relative = 1e-6);
    assert_eq!(run(&gpu, gpu.read_async::<f32>(&logits)).expect("the logits"), [0.0; 12]);
}
