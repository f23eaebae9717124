//! How near the CPU engine comes to the memory's speed.
//!
//! Rounds of a read-only sum, of a copy with streaming stores, and of every pass over the same arrays, in turn, so that a drifting
//! machine moves all of them. Prints each pass's median time, and its GB/s as a share of the sum's (forward) or the copy's
//! (gradient into a second buffer), as medians over the rounds of the share within a round. The first line says how many vector
//! operations the threads do in a second, which is what bounds a pass that memory does not:
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo bench --bench cpu_roofline
//! ```
//!
//! `LOGLOSS_ROUNDS` sets the number of rounds, `LOGLOSS_SHAPE="8192 x 32000"` leaves out all other shapes. Without `--bench` it
//! runs once, on small shapes.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Instant;

use fearless_simd::{Level, Simd, SimdBase, SimdFloat};
use logloss::cpu::{self, Instructions, LogitsMut, Outputs};
use logloss::half::{bf16, f16};
use logloss::{Batch, BceWithLogits, CrossEntropy, Layout, Logits, Shape};
use rayon::prelude::*;

/// Pixels of an image, each a row: its classes are as far apart.
const IMAGE: u32 = 512 * 1024;

/// Elements of a piece of the sum and the copy.
const PIECE: usize = 1 << 16;

/// A pass and the bytes that it cannot do without.
struct Pass<'a> {
    name: String,
    bytes: f64,
    /// Index of the pass that its speed is a share of.
    yardstick: usize,
    run: Box<dyn FnMut() + 'a>,
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let rounds = std::env::var("LOGLOSS_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(15);
    let rounds = if is_bench { rounds } else { 1 };
    let shrink = |shape: Shape| if is_bench { shape } else { Shape::new(shape.rows.min(37), shape.classes.min(1003)) };
    let arithmetic = 1e-9 * vector_operations(if is_bench { 100_000_000 } else { 1000 });
    println!(
        "{:?}, {} threads, {arithmetic:.1} billion multiply-adds of a vector in a second",
        Instructions::best(),
        rayon::current_num_threads()
    );
    println!("{:>16}  {:<36} {:>10} {:>8} {:>8}", "rows x classes", "pass", "median ms", "GB/s", "share");
    let only = std::env::var("LOGLOSS_SHAPE").ok();
    let run = |(rows, classes): (u32, u32), bench: fn(Shape, usize)| {
        if only.as_ref().is_none_or(|only| *only == format!("{rows} x {classes}")) {
            bench(shrink(Shape::new(rows, classes)), rounds);
        }
    };
    for shape in
        [(65536, 1000), (8192, 32000), (4096, 50257), (2048, 128_256), (1024, 262_144), (16, 262_144), (1_000_000, 10)]
    {
        run(shape, |shape, rounds| cross_entropy(shape.into(), rounds));
    }
    run((4 * IMAGE, 19), |shape, rounds| {
        let images = if shape.rows.is_multiple_of(4) { 4 } else { 1 };
        let layout = Layout::planes(images, shape.classes, shape.rows / images);
        cross_entropy(layout.expect("a small layout"), rounds);
    });
    run((8192, 32000), bfloat16);
    run((8192, 32000), float16);
    run((64_000, 1000), bce_with_logits);
}

/// Multiply-adds of vectors of the best instructions, by all threads together, in a second.
fn vector_operations(rounds: u64) -> f64 {
    let start = Instant::now();
    let threads = rayon::current_num_threads();
    let of_thread = |_| fearless_simd::dispatch!(Level::new(), simd => multiply_adds(simd, rounds));
    black_box((0..threads).into_par_iter().with_max_len(1).map(of_thread).sum::<f32>());
    (threads * CHAINS) as f64 * rounds as f64 / start.elapsed().as_secs_f64()
}

/// Enough independent chains for two ports of four cycles each, and a few more.
const CHAINS: usize = 12;

#[inline(always)]
fn multiply_adds<S: Simd>(simd: S, rounds: u64) -> f32 {
    let (factor, term) = (S::f32s::splat(simd, black_box(0.5)), S::f32s::splat(simd, black_box(1.0)));
    let mut chains = [term; CHAINS];
    for _ in 0..rounds {
        for chain in &mut chains {
            *chain = chain.mul_add(factor, term);
        }
    }
    let mut sum = chains[0];
    for chain in &chains[1..] {
        sum += *chain;
    }
    sum.reduce_sum()
}

/// Logits of a few units, the same on every run.
fn logits(n: usize) -> Vec<f32> {
    let logit = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 * 12.0 - 6.0;
    (0..n).into_par_iter().map(logit).collect()
}

fn targets(shape: Shape) -> Vec<i32> {
    (0..shape.rows).map(|r| (r.wrapping_mul(40_503) % shape.classes) as i32).collect()
}

fn cross_entropy(layout: Layout, rounds: usize) {
    let x = logits(layout.elements() as usize);
    let (targets, loss) = (targets(layout.shape()), CrossEntropy::default());
    let batch = Batch::new(layout, &x, &targets);
    let bytes = 4.0 * x.len() as f64;
    let shared = RefCell::new(vec![0.0; x.len()]);
    let no_logits: [f32; 0] = [];
    let passes = vec![
        Pass { name: "read-only sum".into(), bytes, yardstick: 0, run: Box::new(|| sum(&x)) },
        Pass {
            name: "copy, streamed".into(),
            bytes: 2.0 * bytes,
            yardstick: 1,
            run: Box::new(|| stream(&x, &mut shared.borrow_mut())),
        },
        Pass {
            name: "forward".into(),
            bytes,
            yardstick: 0,
            run: Box::new(|| {
                black_box(cpu::evaluate_into(&loss, &batch, Outputs::default()).expect("a valid batch"));
            }),
        },
        Pass {
            name: "forward + gradient".into(),
            bytes: 2.0 * bytes,
            yardstick: 1,
            run: Box::new(|| {
                let mut gradient = shared.borrow_mut();
                let outputs = Outputs { gradient: Some(LogitsMut::F32(&mut gradient)), ..Outputs::default() };
                black_box(cpu::evaluate_into(&loss, &batch, outputs).expect("a valid batch"));
            }),
        },
        Pass {
            name: "forward + gradient in place".into(),
            bytes: 2.0 * bytes,
            yardstick: 1,
            run: Box::new(|| {
                let batch = Batch::new(layout, &no_logits, &targets);
                let mut gradient = shared.borrow_mut();
                let outputs = Outputs::default();
                black_box(cpu::evaluate_in_place(&loss, &batch, &mut gradient[..], outputs).expect("a valid batch"));
            }),
        },
    ];
    measure(layout, rounds, passes);
}

fn bfloat16(shape: Shape, rounds: usize) {
    of_16_bits("bfloat16", bf16::from_f32, |x| Logits::Bf16(x), shape, rounds);
}

fn float16(shape: Shape, rounds: usize) {
    of_16_bits("float16", f16::from_f32, |x| Logits::F16(x), shape, rounds);
}

fn of_16_bits<T: bytemuck::Pod + Send>(
    name: &str,
    from_f32: impl Fn(f32) -> T + Sync,
    view: impl Fn(&[T]) -> Logits<'_>,
    shape: Shape,
    rounds: usize,
) where
    for<'a> LogitsMut<'a>: From<&'a mut [T]>,
{
    let x: Vec<T> = logits(shape.elements() as usize).par_iter().map(|&x| from_f32(x)).collect();
    let gradient = RefCell::new(vec![T::zeroed(); x.len()]);
    let (targets, loss) = (targets(shape), CrossEntropy::default());
    let batch = Batch::new(shape, view(&x), &targets);
    let bytes = 2.0 * x.len() as f64;
    let words: &[f32] = bytemuck::cast_slice(&x[..x.len() / 2 * 2]);
    let passes = vec![
        Pass { name: "read-only sum".into(), bytes, yardstick: 0, run: Box::new(|| sum(words)) },
        Pass {
            name: "copy, streamed".into(),
            bytes: 2.0 * bytes,
            yardstick: 1,
            run: Box::new(|| {
                let mut gradient = gradient.borrow_mut();
                let n = gradient.len() / 2 * 2;
                stream(words, bytemuck::cast_slice_mut(&mut gradient[..n]));
            }),
        },
        Pass {
            name: format!("{name}, forward"),
            bytes,
            yardstick: 0,
            run: Box::new(|| {
                black_box(cpu::evaluate_into(&loss, &batch, Outputs::default()).expect("a valid batch"));
            }),
        },
        Pass {
            name: format!("{name}, forward + gradient"),
            bytes: 2.0 * bytes,
            yardstick: 1,
            run: Box::new(|| {
                let mut gradient = gradient.borrow_mut();
                let outputs = Outputs { gradient: Some((&mut gradient[..]).into()), ..Outputs::default() };
                black_box(cpu::evaluate_into(&loss, &batch, outputs).expect("a valid batch"));
            }),
        },
    ];
    measure(shape.into(), rounds, passes);
}

fn bce_with_logits(shape: Shape, rounds: usize) {
    let x = logits(shape.elements() as usize);
    let t: Vec<f32> = x.par_iter().map(|&x| if x > 0.5 { 1.0 } else { 0.0 }).collect();
    let loss = BceWithLogits::default();
    let batch = Batch::new(shape, &x, &t);
    let bytes = 8.0 * x.len() as f64;
    let gradient = RefCell::new(vec![0.0; x.len()]);
    let run = || {
        sum(&x);
        sum(&t);
    };
    let passes = vec![
        Pass { name: "read-only sum of two arrays".into(), bytes, yardstick: 0, run: Box::new(run) },
        Pass {
            name: "bce_with_logits, forward".into(),
            bytes,
            yardstick: 0,
            run: Box::new(|| {
                black_box(cpu::evaluate_into(&loss, &batch, Outputs::default()).expect("a valid batch"));
            }),
        },
        Pass {
            name: "copy, streamed".into(),
            bytes,
            yardstick: 2,
            run: Box::new(|| stream(&x, &mut gradient.borrow_mut())),
        },
        Pass {
            name: "bce_with_logits, forward + gradient".into(),
            bytes: 1.5 * bytes,
            yardstick: 2,
            run: Box::new(|| {
                let mut gradient = gradient.borrow_mut();
                let outputs = Outputs { gradient: Some(LogitsMut::F32(&mut gradient)), ..Outputs::default() };
                black_box(cpu::evaluate_into(&loss, &batch, outputs).expect("a valid batch"));
            }),
        },
    ];
    measure(shape.into(), rounds, passes);
}

/// Runs the passes in turn, once unmeasured and then `rounds` times, and prints the table.
fn measure(layout: Layout, rounds: usize, mut passes: Vec<Pass<'_>>) {
    let name = match layout.inner() {
        1 => format!("{} x {}", layout.rows(), layout.classes()),
        inner => format!("{} x {} x {inner}", layout.outer(), layout.classes()),
    };
    // Short passes are repeated, so that each is measured over some milliseconds.
    let repeats = if rounds == 1 { 1 } else { (2e8 / passes[0].bytes).ceil().max(1.0) as usize };
    let mut times = vec![Vec::new(); passes.len()];
    for round in 0..=rounds {
        for (pass, times) in passes.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (0..repeats).for_each(|_| (pass.run)());
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() / repeats as f64);
            }
        }
    }
    for (pass, of_pass) in passes.iter().zip(&times) {
        let yardstick = &passes[pass.yardstick];
        let of_yardstick = times[pass.yardstick].iter();
        let shares = of_pass.iter().zip(of_yardstick).map(|(t, y)| pass.bytes / t / (yardstick.bytes / y));
        let time = median(of_pass.iter().copied());
        println!(
            "{:>16}  {:<36} {:>10.2} {:>8.2} {:>7.1}%",
            name,
            pass.name,
            1e3 * time,
            1e-9 * pass.bytes / time,
            100.0 * median(shares)
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Reads every element once, fetching ahead.
fn sum(values: &[f32]) {
    let of_piece = |piece: &[f32]| {
        let mut lanes = [0.0_f32; 64];
        let (chunks, rest) = piece.as_chunks::<64>();
        for chunk in chunks {
            prefetch(chunk);
            lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x);
        }
        lanes.iter().chain(rest).sum::<f32>()
    };
    black_box(values.par_chunks(PIECE).map(of_piece).sum::<f32>());
}

/// The four lines that come 4 KiB later.
fn prefetch(chunk: &[f32; 64]) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..4 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault, whatever the address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(chunk.as_ptr().wrapping_add(1024 + 16 * line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = chunk;
}

/// Copies with stores past the caches, where there are such.
fn stream(from: &[f32], to: &mut [f32]) {
    from.par_chunks(PIECE).zip(to.par_chunks_mut(PIECE)).for_each(|(from, to)| {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
            let head = to.as_ptr().align_offset(64).min(to.len());
            to[..head].copy_from_slice(&from[..head]);
            let (from, to) = (from[head..].as_chunks::<64>(), to[head..].as_chunks_mut::<64>());
            for (from, to) in from.0.iter().zip(to.0) {
                prefetch(from);
                let (from, to) = (from.as_ptr().cast::<__m128i>(), to.as_mut_ptr().cast::<__m128i>());
                for i in 0..16 {
                    // SAFETY: both are 256 bytes long, so 16 vectors; `to` is aligned to 64; SSE2 is part of x86-64.
                    unsafe { _mm_stream_si128(to.add(i), _mm_loadu_si128(from.add(i))) };
                }
            }
            to.1.copy_from_slice(from.1);
            // SAFETY: a fence has no operands.
            unsafe { _mm_sfence() };
        }
        #[cfg(not(target_arch = "x86_64"))]
        to.copy_from_slice(from);
    });
}
