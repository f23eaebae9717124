//! A row's bits depend on the row: not on where it lies in memory, where its gradient goes, or which rows come with it.

use crate::common::random::Random;
use crate::{Loss, assert_close, instructions, random};
use half::{bf16, f16};
use logloss::cpu::{self, Instructions, LogitsMut, Outputs};
use logloss::{Batch, CrossEntropy, Layout, Logits, Reduction, Shape};

/// Losses and gradient of a batch whose gradient starts `offset` elements behind a cache line.
fn evaluate<T: Copy>(set: Instructions, batch: &Batch<'_>, zero: T, offset: usize) -> (Vec<u32>, Vec<T>)
where
    for<'a> LogitsMut<'a>: From<&'a mut [T]>,
{
    let loss = CrossEntropy { reduction: Reduction::Sum, ignore_index: vec![-100], ..CrossEntropy::default() };
    evaluate_loss(set, &loss, batch, zero, offset)
}

/// As [`evaluate`], of a loss.
fn evaluate_loss<T: Copy>(
    set: Instructions,
    loss: &CrossEntropy,
    batch: &Batch<'_>,
    zero: T,
    offset: usize,
) -> (Vec<u32>, Vec<T>)
where
    for<'a> LogitsMut<'a>: From<&'a mut [T]>,
{
    let mut memory = vec![zero; batch.logits.len() + 128];
    let start = memory.as_ptr().align_offset(64) + offset;
    let gradient = &mut memory[start..start + batch.logits.len()];
    let mut losses = vec![0.0; batch.layout.rows() as usize];
    let outputs = Outputs { losses: Some(&mut losses), gradient: Some((&mut *gradient).into()), ..Outputs::default() };
    cpu::evaluate_into_with(set, loss, batch, outputs).expect("a valid batch");
    (losses.iter().map(|loss| loss.to_bits()).collect(), gradient.to_vec())
}

/// Classes of short rows, less and more than a vector, of medium ones and of longer ones, of blocks with and without a rest, of
/// segments, the last one shorter than a line too.
const CLASSES: [usize; 10] = [3, 10, 100, 448, 449, 512, 1003, 4099, 16_404, 33_000];

/// With every instruction set.
fn cases() -> impl Iterator<Item = (Instructions, usize)> {
    instructions().flat_map(|set| CLASSES.map(|classes| (set, classes)))
}

#[test]
fn neighbours_and_places_change_no_bit() {
    let mut random = Random(31);
    for (set, classes) in cases() {
        let n = 37;
        let rows = random::rows(&mut random, n, classes, 0);
        let plain = |from: usize, to: usize| Batch { class_weights: None, row_weights: None, ..rows.chunk(from..to) };
        let (losses, gradient) = evaluate(set, &plain(0, n), 0.0_f32, 0);
        assert!(rows.targets.contains(&-100), "some rows are ignored");
        for offset in [1, 5, 15] {
            let (of, g) = evaluate(set, &plain(0, n), 0.0_f32, offset);
            assert!(
                of == losses && g.iter().map(|g| g.to_bits()).eq(gradient.iter().map(|g| g.to_bits())),
                "{classes}"
            );
        }
        for (from, to) in [(0, 1), (1, 2), (3, 20), (19, 37), (36, 37)] {
            let (of, g) = evaluate(set, &plain(from, to), 0.0_f32, from % 16);
            assert_eq!(of, losses[from..to], "{classes} classes, rows {from}..{to}");
            let want = &gradient[from * classes..to * classes];
            assert!(g.iter().map(|g| g.to_bits()).eq(want.iter().map(|g| g.to_bits())), "{classes}, {from}..{to}");
        }
    }
}

#[test]
fn nor_do_gaps_between_rows() {
    let mut random = Random(36);
    for (set, classes) in cases() {
        let (n, stride) = (37, classes + 5);
        let rows = random::rows(&mut random, n, classes, 0);
        let shape = Shape::new(n as u32, classes as u32);
        let (losses, gradient) = evaluate(set, &Batch::new(shape, &rows.logits, &rows.targets), 0.0_f32, 0);
        // What is in the gaps is nobody's logit.
        let mut logits = vec![f32::NAN; (n - 1) * stride + classes];
        for (to, row) in logits.chunks_mut(stride).zip(rows.logits.chunks_exact(classes)) {
            to[..classes].copy_from_slice(row);
        }
        let layout = Layout::strided(shape, stride as u32).expect("a layout");
        for offset in [0, 3] {
            let (of, g) = evaluate(set, &Batch::new(layout, &logits, &rows.targets), 0.0_f32, offset);
            assert_eq!(of, losses, "{set:?}, {classes} classes");
            for (row, (g, want)) in g.chunks(stride).zip(gradient.chunks_exact(classes)).enumerate() {
                let g = g[..classes].iter().map(|g| g.to_bits());
                assert!(g.eq(want.iter().map(|g| g.to_bits())), "{set:?}, {classes} classes, row {row}");
            }
            assert!(
                g.chunks(stride).all(|g| g[classes..].iter().all(|&g| g == 0.0)),
                "a gap of {classes} classes is written"
            );
        }
    }
}

/// Rows near 0 and far from it, and rows of masked logits.
fn odd_rows(random: &mut Random, n: usize, classes: usize) -> random::Rows {
    let mut rows = random::rows(random, n, classes, 0);
    for row in rows.logits.chunks_exact_mut(classes) {
        let offset = random.pick(&[0.0, 0.0, 20.0, -20.0, 35.0, 60.0, -60.0, 95.0, -95.0, 300.0, -300.0, 1e4]);
        let masked = random.pick(&[0, 0, 10, 90]);
        for x in row.iter_mut() {
            *x += offset;
            if random.chance(masked) {
                *x = random.pick(&[-88.0, -100.0, -150.0, -1e4, -1e9, -1e30, f32::MIN, f32::NEG_INFINITY]);
            }
        }
        // As late as can be.
        if random.chance(30) {
            row[classes - 1] = random.pick(&[50.0, 85.0, 200.0, 1e5, 1e30]);
        }
    }
    rows
}

/// Rows far from 0 and rows of masked logits have a reference of their own: among others, alone, and against float64.
#[test]
fn rows_far_from_0_and_masked_ones() {
    let mut random = Random(33);
    for (set, classes) in
        instructions().flat_map(|set| [2, 10, 40, 64, 65, 300, 512, 1003, 5001, 16_500].map(|n| (set, n)))
    {
        let n = 40;
        let rows = odd_rows(&mut random, n, classes);
        let plain = |from: usize, to: usize| Batch { class_weights: None, row_weights: None, ..rows.chunk(from..to) };
        let (losses, gradient) = evaluate(set, &plain(0, n), 0.0_f32, 0);
        for row in 0..n {
            let (of, g) = evaluate(set, &plain(row, row + 1), 0.0_f32, row % 16);
            assert_eq!(of, losses[row..row + 1], "{classes} classes, row {row}");
            let want = &gradient[row * classes..(row + 1) * classes];
            assert!(g.iter().map(|g| g.to_bits()).eq(want.iter().map(|g| g.to_bits())), "{classes}, row {row}");
        }
        let loss = CrossEntropy { reduction: Reduction::Sum, ignore_index: vec![-100], ..CrossEntropy::default() };
        let want = Loss::CrossEntropy(loss).oracle(&plain(0, n)).expect("a valid batch");
        let losses: Vec<f32> = losses.into_iter().map(f32::from_bits).collect();
        // As of every row: the contract of the CPU engine.
        assert_close(&format!("{set:?}, {classes}: losses"), &losses, &want.losses, 2e-6, 1e-7);
        assert_close(&format!("{set:?}, {classes}: gradient"), &gradient, &want.gradient, 2e-6, 1e-7);
    }
}

/// Leaving a class out makes its rows 0 and changes no bit of the others, in whole groups of rows and in a rest, in rows and in planes;
/// an ignore index that no row has changes nothing.
#[test]
fn ignored_rows_leave_the_others_as_they_are() {
    let (n, classes) = (16 * 41, [3, 10, 33, 100, 449, 1003]);
    let mut random = Random(41);
    for (set, classes) in instructions().flat_map(|set| classes.map(|n| (set, n))) {
        let logits: Vec<f32> = (0..n * classes).map(|_| random.uniform(-6.0, 6.0)).collect();
        let targets: Vec<i32> = (0..n).map(|row| (row * row % classes) as i32).collect();
        let left_out = targets[5];
        let rows = Layout::from(Shape::new(n as u32, classes as u32));
        for layout in [rows, planes(n / 41, classes, 41), planes(1, classes, n)] {
            let evaluate = |ignore_index: Vec<i32>| {
                let loss = CrossEntropy { reduction: Reduction::Sum, ignore_index, ..CrossEntropy::default() };
                let (losses, gradient) = evaluate_loss(set, &loss, &Batch::new(layout, &logits, &targets), 0.0_f32, 0);
                (losses, gradient.iter().map(|g| g.to_bits()).collect::<Vec<u32>>())
            };
            let (losses, gradient) = evaluate(vec![]);
            for ignore_index in [vec![-100], vec![-100, -1]] {
                assert!(
                    evaluate(ignore_index) == (losses.clone(), gradient.clone()),
                    "{set:?}, {classes}: none ignored"
                );
            }
            for ignore_index in [vec![left_out], vec![-100, left_out]] {
                let (some_losses, some_gradient) = evaluate(ignore_index);
                for row in 0..n {
                    let counts = targets[row] != left_out;
                    assert_eq!(some_losses[row], if counts { losses[row] } else { 0 }, "{set:?}, {classes}, row {row}");
                    for class in 0..classes {
                        let at = layout.element(row as u32, class as u32) as usize;
                        let want = if counts { gradient[at] } else { 0 };
                        assert_eq!(some_gradient[at], want, "{set:?}, {classes}: row {row}, class {class}");
                    }
                }
            }
        }
    }
}

fn planes(outer: usize, classes: usize, inner: usize) -> Layout {
    Layout::planes(outer as u32, classes as u32, inner as u32).expect("a small layout")
}

/// Smoothed labels, of rows near 0 and of others, on either side of where rows are medium.
#[test]
fn smoothed_labels_of_rows_near_0_and_far_from_it() {
    let mut random = Random(37);
    for (set, classes) in instructions().flat_map(|set| [40, 448, 449, 512, 1003, 4096, 4097, 16_500].map(|n| (set, n)))
    {
        let n = 37;
        let mut rows = random::rows(&mut random, n, classes, 0);
        for row in rows.logits.chunks_exact_mut(classes) {
            let offset = random.pick(&[0.0, 0.0, 20.0, -35.0, 95.0, -95.0, 1e4]);
            row.iter_mut().for_each(|x| *x += offset);
        }
        let batch = Batch { class_weights: None, row_weights: None, ..rows.chunk(0..n) };
        let loss = CrossEntropy {
            reduction: Reduction::Sum,
            ignore_index: vec![-100],
            label_smoothing: 0.1,
            ..CrossEntropy::default()
        };
        let (losses, gradient) = evaluate_loss(set, &loss, &batch, 0.0_f32, 3);
        let losses: Vec<f32> = losses.into_iter().map(f32::from_bits).collect();
        let want = Loss::CrossEntropy(loss).oracle(&batch).expect("a valid batch");
        assert_close(&format!("{set:?}, {classes}: losses"), &losses, &want.losses, 2e-6, 1e-7);
        assert_close(&format!("{set:?}, {classes}: gradient"), &gradient, &want.gradient, 2e-6, 1e-7);
    }
}

/// As [`rows_far_from_0_and_masked_ones`], in planes: a row a lane of vectors, beside others.
#[test]
fn far_and_masked_ones_in_planes() {
    let mut random = Random(35);
    for (set, classes) in instructions().flat_map(|set| [2, 10, 65, 300].map(|n| (set, n))) {
        let n = 150;
        let rows = odd_rows(&mut random, n, classes);
        let planes = |from: usize, to: usize| -> Vec<f32> {
            (0..classes)
                .flat_map(|class| (from..to).map(move |row| row * classes + class))
                .map(|i| rows.logits[i])
                .collect()
        };
        let of = |from: usize, to: usize| {
            let logits = planes(from, to);
            let layout = self::planes(1, classes, to - from);
            evaluate(set, &Batch::new(layout, &logits, &rows.targets[from..to]), 0.0_f32, 0)
        };
        let (losses, gradient) = of(0, n);
        for (from, to) in [(0, 2), (3, 20), (60, 150)] {
            let (some, g) = of(from, to);
            assert_eq!(some, losses[from..to], "{set:?}, {classes} classes, rows {from}..{to}");
            for (class, g) in g.chunks_exact(to - from).enumerate() {
                let want = &gradient[class * n + from..class * n + to];
                assert!(g.iter().map(|g| g.to_bits()).eq(want.iter().map(|g| g.to_bits())), "{class} of {classes}");
            }
        }
        let logits = planes(0, n);
        let layout = self::planes(1, classes, n);
        let loss = CrossEntropy { reduction: Reduction::Sum, ignore_index: vec![-100], ..CrossEntropy::default() };
        let batch = Batch::new(layout, &logits, &rows.targets);
        let want = Loss::CrossEntropy(loss).oracle(&batch).expect("a valid batch");
        let losses: Vec<f32> = losses.into_iter().map(f32::from_bits).collect();
        assert_close(&format!("{set:?}, {classes}: losses"), &losses, &want.losses, 2e-6, 1e-7);
        assert_close(&format!("{set:?}, {classes}: gradient"), &gradient, &want.gradient, 2e-6, 1e-7);
    }
}

#[test]
fn nor_those_of_16_bits() {
    of_16_bits(bf16::ZERO, bf16::from_f32, |logits| Logits::Bf16(logits));
    of_16_bits(f16::ZERO, f16::from_f32, |logits| Logits::F16(logits));
}

fn of_16_bits<T: Copy + PartialEq>(zero: T, from_f32: impl Fn(f32) -> T, logits: impl Fn(&[T]) -> Logits<'_>)
where
    for<'a> LogitsMut<'a>: From<&'a mut [T]>,
{
    let mut random = Random(32);
    for (set, classes) in cases() {
        let n = 21;
        let rows = random::rows(&mut random, n, classes, 0);
        let values: Vec<T> = rows.logits.iter().map(|&x| from_f32(x)).collect();
        let plain = |from: usize, to: usize| {
            let shape = Shape::new((to - from) as u32, classes as u32);
            Batch::new(shape, logits(&values[from * classes..to * classes]), &rows.targets[from..to])
        };
        let (losses, gradient) = evaluate(set, &plain(0, n), zero, 0);
        for (from, to, offset) in [(0, n, 1), (0, n, 31), (2, 3, 0), (5, 20, 7)] {
            let (of, g) = evaluate(set, &plain(from, to), zero, offset);
            assert_eq!(of, losses[from..to], "{classes} classes, rows {from}..{to}");
            assert!(g == gradient[from * classes..to * classes], "{classes} classes, rows {from}..{to}");
        }
    }
}

#[test]
fn over_the_logits_is_as_beside_them() {
    let mut random = Random(34);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    for classes in CLASSES {
        // Two rows are shared among the threads where they are long.
        for n in [2, 37] {
            let rows = random::rows(&mut random, n, classes, 1);
            for softcap in [None, Some(20.0)] {
                let loss = CrossEntropy { ignore_index: vec![-100], softcap, ..CrossEntropy::default() };
                let batch = rows.batch();
                let mut apart = vec![0.0; rows.logits.len()];
                let mut over = rows.logits.clone();
                let (want, got) = pool.install(|| {
                    let outputs = Outputs { gradient: Some((&mut apart).into()), ..Outputs::default() };
                    let want = cpu::evaluate_into(&loss, &batch, outputs).expect("a valid batch");
                    let unread = Batch { logits: Logits::F32(&[]), ..batch };
                    let got = cpu::evaluate_in_place(&loss, &unread, &mut over, Outputs::default());
                    (want, got.expect("a valid batch"))
                });
                assert_eq!(got.loss.to_bits(), want.loss.to_bits(), "{n} x {classes}");
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                assert!(apart.iter().zip(&over).all(same), "{n} x {classes}, softcap {softcap:?}");
            }
        }
    }
}

#[test]
fn large_batches_are_their_parts() {
    // Enough rows for several parts a thread, on every set of instructions.
    let (n, classes) = (3000, 130);
    let mut random = Random(33);
    let rows = random::rows(&mut random, n, classes, 0);
    let loss = CrossEntropy { reduction: Reduction::Sum, ignore_index: vec![-100], ..CrossEntropy::default() };
    let batch = Batch { class_weights: None, row_weights: None, ..rows.batch() };
    for set in instructions() {
        let all = cpu::evaluate_with(set, &loss, crate::ALL, &batch).expect("a valid batch");
        for from in (0..n).step_by(700) {
            let to = n.min(from + 700);
            let part = Batch { class_weights: None, row_weights: None, ..rows.chunk(from..to) };
            let part = cpu::evaluate_with(set, &loss, crate::ALL, &part).expect("a valid batch");
            assert_eq!(part.losses, all.losses[from..to], "{set:?}");
            assert!(part.gradient == all.gradient[from * classes..to * classes], "{set:?}");
        }
    }
}

/// Rows that all count are finished in blocks where their classes are few, and by themselves where they are not enough for a block.
#[test]
fn blocks_of_short_rows_are_their_rows() {
    let mut random = Random(35);
    let n = 300;
    for (classes, softcap, label_smoothing) in [
        (1, None, 0.0),
        (3, None, 0.1),
        (10, None, 0.0),
        (10, Some(2.0), 0.0),
        (16, None, 0.0),
        (37, None, 0.0),
        (64, None, 0.0),
        (500, None, 0.1),
        (1024, None, 0.0),
    ] {
        let mut logits = random::rows(&mut random, n, classes, 0).logits;
        // One row of the second block, of the widest vectors too, has no softmax.
        logits[140 * classes] = f32::NAN;
        let targets: Vec<i32> = (0..n).map(|row| (7 * row % classes) as i32).collect();
        let loss = CrossEntropy { reduction: Reduction::Sum, softcap, label_smoothing, ..CrossEntropy::default() };
        for set in instructions() {
            let evaluate = |from: usize, to: usize, offset: usize| {
                let logits = &logits[from * classes..to * classes];
                let batch = Batch::new(Shape::new((to - from) as u32, classes as u32), logits, &targets[from..to]);
                let (losses, gradient) = evaluate_loss(set, &loss, &batch, 0.0_f32, offset);
                (losses, gradient.iter().map(|g| g.to_bits()).collect::<Vec<u32>>())
            };
            let (losses, gradient) = evaluate(0, n, 0);
            for (from, to, offset) in [(0, n, 3), (0, 1, 0), (100, 107, 5), (5, 160, 1), (139, 142, 15), (280, n, 8)] {
                let (of, g) = evaluate(from, to, offset);
                assert_eq!(of, losses[from..to], "{classes} classes, rows {from}..{to}, {set:?}");
                assert_eq!(g, gradient[from * classes..to * classes], "{classes} classes, rows {from}..{to}, {set:?}");
            }
        }
    }
}

/// Positions of planes are worked on together across samples, in whole vectors and not: among others as two of them alone.
#[test]
fn positions_of_planes_are_their_neighbours() {
    let mut random = Random(36);
    for (outer, classes, inner) in [(40, 5, 7), (3, 19, 150), (2, 300, 33), (2, 7, 288)] {
        let n = outer * inner;
        let mut rows = random::rows(&mut random, n, classes, 0);
        // One row of the second group, of the widest vectors too, has no softmax.
        rows.logits[140 % n * classes] = f32::NAN;
        let class_weights: Vec<f32> = (0..classes).map(|_| random.uniform(0.25, 2.0)).collect();
        let row_weights: Vec<f32> = (0..n).map(|_| random.uniform(0.25, 2.0)).collect();
        let at = |row: usize, c: usize| (row / inner * classes + c) * inner + row % inner;
        let mut logits = vec![0.0; n * classes];
        for (i, &x) in rows.logits.iter().enumerate() {
            logits[at(i / classes, i % classes)] = x;
        }
        for (set, label_smoothing, weighted) in instructions().flat_map(|set| [(set, 0.0, false), (set, 0.1, true)]) {
            let loss = CrossEntropy {
                reduction: Reduction::Sum,
                ignore_index: vec![-100],
                label_smoothing,
                ..CrossEntropy::default()
            };
            let evaluate = |(outer, inner): (usize, usize), logits: &[f32], first: usize, offset: usize| {
                let layout = planes(outer, classes, inner);
                let batch = Batch {
                    class_weights: weighted.then_some(&class_weights[..]),
                    row_weights: weighted.then_some(&row_weights[first..first + outer * inner]),
                    ..Batch::new(layout, logits, &rows.targets[first..first + outer * inner])
                };
                let (losses, gradient) = evaluate_loss(set, &loss, &batch, 0.0_f32, offset);
                (losses, gradient.iter().map(|g| g.to_bits()).collect::<Vec<u32>>())
            };
            let (losses, gradient) = evaluate((outer, inner), &logits, 0, 0);
            let (of, g) = evaluate((outer, inner), &logits, 0, 5);
            assert!(of == losses && g == gradient, "{classes} classes, {inner} positions, {set:?}");
            for first in (0..n - 1).filter(|first| first % inner < inner - 1) {
                let pair: Vec<f32> = (0..2 * classes).map(|i| logits[at(first + i % 2, i / 2)]).collect();
                let (of, g) = evaluate((1, 2), &pair, first, first % 16);
                assert_eq!(of, losses[first..first + 2], "{classes} classes, row {first}, {set:?}");
                let want = (0..2 * classes).map(|i| gradient[at(first + i % 2, i / 2)]);
                assert!(g.into_iter().eq(want), "{classes} classes, row {first}, {set:?}");
            }
        }
    }
}
