//! Softmax, log-softmax, gather, sum and mean as operations of their own.

use logloss::gpu::{Gather, Softmax, Sum, Tuning};
use logloss::wgpu::{self, util::DeviceExt};
use logloss::{Batch, CrossEntropy, Shape, reference};

use crate::common::assert_close;

fn buffer(contents: &[u8]) -> wgpu::Buffer {
    crate::gpu().device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: None,
        contents,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
    })
}

fn floats(buffer: &wgpu::Buffer, count: usize) -> Vec<f32> {
    let bytes = crate::gpu().read_back(&[(buffer, 4 * count as u64)]).unwrap();
    bytemuck::pod_collect_to_vec(&bytes[0])
}

fn record(step: impl FnOnce(&mut wgpu::CommandEncoder) -> logloss::Result<()>) {
    let gpu = crate::gpu();
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    step(&mut encoder).unwrap();
    gpu.queue.submit([encoder.finish()]);
}

fn logits(shape: Shape) -> Vec<f32> {
    (0..shape.elements()).map(|i| (i.wrapping_mul(2_654_435_761) % 2003) as f32 / 100.0 - 10.0).collect()
}

#[test]
fn softmax_and_its_logarithm() {
    for (shape, temperature) in
        [(Shape::new(5, 7), 1.0), (Shape::new(8, 64), 2.5), (Shape::new(3, 1003), 1.0), (Shape::new(9, 1), 1.0)]
    {
        let x = logits(shape);
        let want: Vec<f64> = x
            .chunks(shape.classes as usize)
            .flat_map(|row| {
                let y: Vec<f64> = row.iter().map(|&v| f64::from(v) / f64::from(temperature)).collect();
                let max = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let lse = max + y.iter().map(|v| (v - max).exp()).sum::<f64>().ln();
                y.into_iter().map(move |v| v - lse)
            })
            .collect();
        let input = buffer(bytemuck::cast_slice(&x));
        let output = buffer(&vec![0u8; 4 * x.len()]);
        let device = &crate::gpu().device;
        let (i, o) = (input.as_entire_buffer_binding(), output.as_entire_buffer_binding());
        let log = Softmax::log(device, temperature, Tuning::default()).unwrap();
        record(|encoder| log.encode(encoder, shape, &i, &o));
        assert_close("log_softmax", &floats(&output, x.len()), &want, 1e-5, 1e-7);
        let softmax = Softmax::new(device, temperature, Tuning::default()).unwrap();
        record(|encoder| softmax.encode(encoder, shape, &i, &o));
        let want: Vec<f64> = want.iter().map(|v| v.exp()).collect();
        assert_close("softmax", &floats(&output, x.len()), &want, 1e-5, 1e-7);
    }
}

#[test]
fn the_chain_of_passes_is_cross_entropy() {
    let shape = Shape::new(37, 103);
    let x = logits(shape);
    let t: Vec<i32> = (0..37).map(|r| (r * 29) % 103).collect();
    let device = &crate::gpu().device;
    let (x_buffer, t_buffer) = (buffer(bytemuck::cast_slice(&x)), buffer(bytemuck::cast_slice(&t)));
    let (log_p, picked, mean) = (buffer(&vec![0u8; 4 * x.len()]), buffer(&[0u8; 4 * 37]), buffer(&[0u8; 4]));
    let log_softmax = Softmax::log(device, 1.0, Tuning::default()).unwrap();
    let (gather, average) = (Gather::new(device).unwrap(), Sum::mean(device).unwrap());
    let whole = wgpu::Buffer::as_entire_buffer_binding;
    record(|encoder| {
        log_softmax.encode(encoder, shape, &whole(&x_buffer), &whole(&log_p))?;
        gather.encode(encoder, shape, &whole(&log_p), &whole(&t_buffer), &whole(&picked))?;
        average.encode(encoder, 37, &whole(&picked), &whole(&mean))
    });
    let want = reference::evaluate(&CrossEntropy::default(), &Batch::new(shape, &x, &t)).unwrap();
    assert_close("chain", &[-floats(&mean, 1)[0]], &[want.loss], 1e-6, 0.0);
}

#[test]
fn sums_of_every_length() {
    let device = &crate::gpu().device;
    let (sum, mean) = (Sum::new(device).unwrap(), Sum::mean(device).unwrap());
    for count in [0usize, 1, 2, 7, 8, 9, 1023, 1024, 1025, 3000, 1024 * 1024 + 1, 1_500_000] {
        let x: Vec<f32> = (0..count).map(|i| (i % 977) as f32 * 0.37 - 11.0).collect();
        let want: f64 = x.iter().map(|&v| f64::from(v)).sum();
        let magnitude: f64 = x.iter().map(|&v| f64::from(v).abs()).sum();
        let input = buffer(if count == 0 { &[0u8; 4] } else { bytemuck::cast_slice(&x) });
        let output = buffer(&[0u8; 4]);
        record(|e| sum.encode(e, count as u32, &input.as_entire_buffer_binding(), &output.as_entire_buffer_binding()));
        // At most 128 + 8 + 128 + ... roundings in a row on three levels, each half an ULP of a partial sum.
        assert_close(&format!("sum of {count}"), &floats(&output, 1), &[want], 0.0, magnitude * 500.0 * 6e-8);
        record(|e| mean.encode(e, count as u32, &input.as_entire_buffer_binding(), &output.as_entire_buffer_binding()));
        let scale = 1.0 / count as f64;
        assert_close(
            &format!("mean of {count}"),
            &floats(&output, 1),
            &[want * scale],
            0.0,
            magnitude * scale * 500.0 * 6e-8,
        );
    }
}
