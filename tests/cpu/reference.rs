//! Every field of an evaluation against the float64 reference, over random batches with odd values.

use crate::common::random::Random;
use crate::random::{IGNORED, LARGEST_WEIGHT, Rows, loss, rows};
use crate::{ALL, Loss, assert_close, assert_same_bits};
use logloss::{ABSENT, Batch, CrossEntropy, Error, Gradient, Logits, Nll, Reduction, Request, Shape, Targets, cpu};

/// The contract's relative tolerance.
const RELATIVE: f64 = 2e-6;

/// The contract's absolute tolerance of 1e-7 for a weight of 1, times the largest class and row weight, the smallest
/// temperature's reciprocal of 2, and 4 for the smallest denominator of 1/4.
const ABSOLUTE: f64 = 1e-7 * (LARGEST_WEIGHT * LARGEST_WEIGHT) as f64 * 2.0 * 4.0;

/// Checks every field but the gradient's presence, which `request` decides.
#[track_caller]
fn check(name: &str, loss: &Loss, rows: &Rows, request: Request) {
    let batch = rows.batch();
    let got = loss.evaluate(request, &batch).expect("a valid batch");
    let want = loss.oracle(&batch).expect("a valid batch");
    let is_nll = matches!(loss, Loss::Nll(_));
    let close = |field: &str, got: &[f32], want: &[f64]| {
        assert_close(&format!("{name}: {field}"), got, want, RELATIVE, ABSOLUTE);
    };

    close("losses", &got.losses, &want.losses);
    close("gradient", &got.gradient, if request.gradient == Gradient::No { &[] } else { &want.gradient });
    let ignored = |r: &usize| IGNORED.contains(&rows.targets[*r]);
    let all = 0..rows.targets.len();
    for r in all.clone().filter(ignored) {
        assert_same_bits("loss of an ignored row", got.losses[r].into(), 0.0);
    }
    if request.details {
        let lse: Vec<_> = got.details.iter().map(|d| d.lse).collect();
        close("lse", &lse, &if is_nll { vec![0.0; lse.len()] } else { want.lse });
        close("log_prob", &got.details.iter().map(|d| d.log_prob).collect::<Vec<_>>(), &want.log_prob);
        assert_eq!(got.details.iter().map(|d| d.argmax).collect::<Vec<_>>(), want.argmax, "{name}");
        assert_eq!(got.details.iter().map(|d| d.rank).collect::<Vec<_>>(), want.rank, "{name}");
    } else {
        assert!(got.details.is_empty());
    }

    let summary = got.summary;
    let scale = match loss.reduction() {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::MeanOver(denominator) => 1.0 / f64::from(denominator),
        _ if want.weight_sum == 0.0 => 0.0,
        _ => 1.0 / want.weight_sum,
    };
    let loss_sum: f64 = want.losses.iter().sum();
    let n = rows.targets.len() as f64;
    let sums = |field: &str, got: f32, want: f64| {
        // The absolute error of a sum is that of its rows.
        assert_close(&format!("{name}: {field}"), &[got], &[want], RELATIVE, ABSOLUTE * n.max(1.0));
    };
    sums("loss", summary.loss, want.loss);
    sums("loss_sum", summary.loss_sum, loss_sum);
    close("weight_sum", &[summary.weight_sum], &[want.weight_sum]);
    close("gradient_scale", &[summary.gradient_scale], &[scale]);
    let first = |row: Option<usize>| row.map_or(ABSENT, |row| row as u32);
    assert_eq!((summary.rows, summary.ignored), (rows.shape.rows, want.ignored), "{name}");
    assert_eq!(summary.first_ignored, first(all.clone().find(ignored)), "{name}");
    assert_eq!((summary.bad_targets, summary.first_bad_row, summary.first_bad_target), (0, ABSENT, 0));
    assert_eq!(summary.non_finite, want.non_finite, "{name}");
    assert_eq!(summary.first_non_finite, first(all.clone().find(|&r| want.losses[r].is_nan())), "{name}");
    assert_eq!(summary.reserved, [0; 4]);
}

#[test]
fn random_batches_of_1_to_40_classes() {
    let mut random = Random(1);
    for classes in 1..=40 {
        for trial in 0..40 {
            let odd = [0, 3, 15, 60][trial % 4];
            let count = random.below(8);
            let (rows, loss) = (rows(&mut random, count, classes, odd), loss(&mut random));
            let gradient = [Gradient::Separate, Gradient::InPlace, Gradient::No][random.below(3)];
            let request = Request { gradient, details: random.chance(75), ..Request::default() };
            check(&format!("classes {classes}, trial {trial}, {loss:?}, {rows:?}"), &loss, &rows, request);
        }
    }
}

#[test]
fn classes_around_a_block_of_a_sum() {
    let mut random = Random(2);
    for classes in [127, 128, 129, 130, 255, 257, 383, 1000] {
        for trial in 0..12 {
            let (rows, loss) = (rows(&mut random, 3, classes, [0, 1][trial % 2]), loss(&mut random));
            check(&format!("classes {classes}, trial {trial}, {loss:?}"), &loss, &rows, ALL);
        }
    }
}

#[test]
fn offsets_and_confident_rows_lose_no_digit() {
    // Logits that float32 holds exactly with and without the offset: nothing but roundings of float32 may change, those of the
    // exponentials, which are of other numbers then, and of what is made of them.
    let logits = [1.5, -2.0, 0.25, 3.0, -1.0, 0.5];
    let value = |logits: &[f32], targets: &[i32]| {
        let batch = Batch::new(Shape::new(1, logits.len() as u32), logits, targets);
        cpu::evaluate(&CrossEntropy::default(), ALL, &batch).expect("a valid batch")
    };
    for offset in [100.0, 1e6, -1e6, 2e6] {
        let shifted = logits.map(|x| x + offset);
        for target in 0..6 {
            let (got, want) = (value(&shifted, &[target]), value(&logits, &[target]));
            let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            assert_close("loss", &got.losses, &wide(&want.losses), 4e-7, 0.0);
            assert_close("gradient", &got.gradient, &wide(&want.gradient), 4e-7, 0.0);
        }
        // Among themselves not even those.
        let further = shifted.map(|x| x + offset);
        let (got, want) = (value(&further, &[0]), value(&shifted, &[0]));
        assert_eq!((got.losses, got.gradient), (want.losses, want.gradient));
    }
    // log(1 + 2 e^-20), to a few roundings of float32.
    let got = value(&[20.0, 0.0, 0.0], &[0]);
    assert_close("loss", &got.losses, &[4.122_307_236_380_407e-9], 4e-7, 0.0);
    assert_close("gradient", &got.gradient[..1], &[-4.122_307_227_883_7e-9], 4e-7, 0.0);
}

#[test]
fn largest_logits() {
    // The margin is beyond float32; the gradient is not.
    for (logits, loss, gradient) in
        [([f32::MIN, f32::MAX], f32::INFINITY, [-1.0, 1.0]), ([f32::MAX, f32::MIN], 0.0, [0.0, 0.0])]
    {
        let got =
            cpu::evaluate(&CrossEntropy::default(), ALL, &Batch::new(Shape::new(1, 2), &logits, &[0])).expect("valid");
        assert_eq!((got.losses, got.gradient, got.summary.non_finite), (vec![loss], gradient.to_vec(), 0));
    }
}

#[test]
fn empty_batches_and_no_classes() {
    for classes in [0, 3] {
        for reduction in
            [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(2.0)]
        {
            for targets in [vec![], vec![-100]] {
                let loss = Loss::CrossEntropy(CrossEntropy {
                    reduction,
                    ignore_index: IGNORED.to_vec(),
                    ..CrossEntropy::default()
                });
                let logits = vec![0.0; targets.len() * classes as usize];
                let shape = Shape::new(targets.len() as u32, classes);
                let rows = Rows { shape, logits, targets, class_weights: None, row_weights: None };
                check(&format!("{reduction:?}, {rows:?}"), &loss, &rows, ALL);
            }
        }
    }
}

#[test]
fn a_mean_over_weights_of_0_with_a_row_that_is_not_finite() {
    for reduction in [Reduction::Mean, Reduction::MeanOrZero] {
        for x in [f32::NAN, 0.0] {
            let rows = Rows {
                shape: Shape::new(2, 2),
                logits: vec![x, 1.0, 1.0, 2.0],
                targets: vec![0, 0],
                class_weights: Some(vec![0.0, 1.0]),
                row_weights: None,
            };
            let cross_entropy = CrossEntropy { reduction, ..CrossEntropy::default() };
            check("cross-entropy", &Loss::CrossEntropy(cross_entropy), &rows, ALL);
            check("nll", &Loss::Nll(Nll { reduction, ..Nll::default() }), &rows, ALL);
        }
    }
}

#[test]
fn errors_are_those_of_the_reference() {
    let logits = [0.0; 6];
    let good = Batch::new(Shape::new(3, 2), &logits, &[0, 1, 0]);
    let batches = [
        Batch { targets: Targets::Classes(&[0, 2, -7]), ..good },
        Batch { targets: Targets::Classes(&[-100, i32::MIN, i32::MAX]), ..good },
        Batch { targets: Targets::Classes(&[0]), ..good },
        Batch { logits: Logits::F32(&logits[1..]), ..good },
        Batch { class_weights: Some(&[1.0]), ..good },
        Batch { row_weights: Some(&[1.0; 4]), ..good },
    ];
    let ignore_index = vec![-100];
    for batch in batches {
        for loss in [
            Loss::CrossEntropy(CrossEntropy { ignore_index: ignore_index.clone(), ..CrossEntropy::default() }),
            Loss::Nll(Nll { ignore_index: ignore_index.clone(), ..Nll::default() }),
        ] {
            let got = loss.evaluate(ALL, &batch).expect_err("an error");
            assert_eq!(got, loss.oracle(&batch).expect_err("an error"));
        }
    }
    let loss = CrossEntropy { temperature: 0.0, ..CrossEntropy::default() };
    let got = cpu::evaluate(&loss, ALL, &good);
    assert!(matches!(got, Err(Error::InvalidOption { option: "temperature", .. })), "{got:?}");
}

#[test]
fn masked_targets_under_label_smoothing() {
    let mut random = Random(3);
    for classes in [3, 65, 128, 1000, 5000] {
        for label_smoothing in [0.1, 1.0] {
            let mut rows = rows(&mut random, 20, classes, 0);
            let mut weights = vec![1.0; 20];
            // The only masked class, one of two, and each once more with a weight of 0.
            for (row, weight) in [(3, 1.0), (4, 1.0), (7, 0.0), (8, 0.0)] {
                let at = row * classes;
                rows.logits[at..at + classes].iter_mut().enumerate().for_each(|(c, x)| *x = (c % 7) as f32 - 3.0);
                rows.targets[row] = 2;
                rows.logits[at + 2] = f32::NEG_INFINITY;
                rows.logits[at + 1] = if row % 2 == 0 { f32::NEG_INFINITY } else { 0.5 };
                weights[row] = weight;
            }
            rows.row_weights = Some(weights);
            rows.class_weights = None;
            let ignore_index = IGNORED.to_vec();
            let loss =
                CrossEntropy { label_smoothing, ignore_index, reduction: Reduction::Sum, ..CrossEntropy::default() };
            check(&format!("classes {classes}, smoothing {label_smoothing}"), &Loss::CrossEntropy(loss), &rows, ALL);
        }
    }
}
