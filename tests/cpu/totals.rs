//! Totals of a stream: independent of the cuts to the bit, and equal to those of the whole batch.

use crate::common::random::Random;
use crate::random::{Rows, loss, rows};
use crate::{ALL, Loss, assert_close, assert_same_bits};
use logloss::totals::{Label, Labels, PairwiseSum, Survey, Totals, weight_sum};
use logloss::{CrossEntropy, Error, Reduction, Request};

/// Streams the rows in chunks of random lengths up to `longest`, some of them empty.
fn stream(random: &mut Random, loss: &Loss, rows: &Rows, longest: usize) -> (Survey, Totals) {
    let (mut survey, mut totals) = (Survey::default(), Totals::default());
    let mut begin = 0;
    while begin < rows.targets.len() {
        let end = rows.targets.len().min(begin + random.below(longest + 1));
        let batch = rows.chunk(begin..end);
        let labels = Labels::of(&batch, loss.ignore_index());
        survey.push(&labels).expect("good labels");
        let evaluation = loss.evaluate(Request { details: true, ..Request::default() }, &batch).expect("a valid batch");
        totals.push_chunk(&labels, &evaluation).expect("a matching chunk");
        begin = end;
    }
    (survey, totals)
}

const REDUCTIONS: [Reduction; 5] =
    [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(7.0)];

#[test]
fn totals_do_not_depend_on_the_chunks() {
    let mut random = Random(3);
    for trial in 0..30 {
        let classes = 2 + random.below(12);
        let count = 1 + random.below(300);
        let (rows, loss) = (rows(&mut random, count, classes, [0, 0, 2][trial % 3]), loss(&mut random));
        let batch = rows.batch();
        let labels = Labels::of(&batch, loss.ignore_index());
        let whole = loss.evaluate(ALL, &batch).expect("a valid batch");
        let mut want = Totals::default();
        want.push_chunk(&labels, &whole).expect("a matching chunk");

        let summary_loss = want.loss(loss.reduction()) as f32;
        assert_same_bits(&format!("trial {trial}"), summary_loss.into(), whole.summary.loss.into());
        for longest in [1, 2, 7, 64, 300] {
            let (survey, got) = stream(&mut random, &loss, &rows, longest);
            assert_eq!(&survey, got.survey());
            assert_same_bits("weight_sum", survey.weight_sum(), weight_sum(&labels).expect("good labels"));
            assert_same_bits("weight_sum", got.weight_sum(), want.weight_sum());
            for reduction in REDUCTIONS {
                assert_same_bits("loss", got.loss(reduction), want.loss(reduction));
            }
            let metrics =
                |t: &Totals| [t.mean_nats(), t.mean_bits(), t.perplexity(), t.top1_accuracy(), t.top5_accuracy()];
            for (got, want) in metrics(&got).into_iter().zip(metrics(&want)) {
                assert_same_bits("metric", got.expect("details"), want.expect("details"));
            }
            let counts = |t: &Totals| (t.rows(), t.survey().ignored(), t.survey().first_ignored(), t.non_finite());
            assert_eq!(counts(&got), counts(&want));
            assert_eq!(got.first_non_finite(), want.first_non_finite());
        }
        let absent = |row: u32| (row != logloss::ABSENT).then_some(u64::from(row));
        assert_eq!(want.survey().first_ignored(), absent(whole.summary.first_ignored));
        assert_eq!(want.first_non_finite(), absent(whole.summary.first_non_finite));
        assert_eq!(want.non_finite(), u64::from(whole.summary.non_finite));
    }
}

#[test]
fn metrics_of_a_known_batch() {
    let rows = Rows {
        shape: logloss::Shape::new(4, 8),
        logits: [[0.0; 8]; 4].concat(),
        targets: vec![0, 4, 5, -100],
        class_weights: None,
        row_weights: Some(vec![1.0, 2.0, 3.0, 4.0]),
    };
    let loss = Loss::CrossEntropy(CrossEntropy { ignore_index: vec![-100], ..CrossEntropy::default() });
    let (survey, got) = stream(&mut Random(4), &loss, &rows, 3);
    // Every class has probability 1/8: 3 bits. Of equal logits the lower class is the larger, so the ranks are 0, 4 and 5.
    assert_eq!((survey.weight_sum(), survey.counted(), survey.first_ignored()), (6.0, 3, Some(3)));
    let metrics = [got.mean_nats(), got.mean_bits(), got.perplexity(), got.top1_accuracy(), got.top5_accuracy()];
    let metrics = metrics.map(|metric| metric.expect("details"));
    // The log-probabilities are float32.
    let rounding = f64::from(f32::EPSILON);
    assert_close("metrics", &metrics, &[8_f64.ln(), 3.0, 8.0, 1.0 / 3.0, 2.0 / 3.0], 3.0 * rounding, 0.0);
    assert_close("mean", &[got.loss(Reduction::Mean)], &[8_f64.ln()], rounding, 0.0);
    assert_close("sum", &[got.loss(Reduction::Sum)], &[6.0 * 8_f64.ln()], rounding, 0.0);
    assert_close("mean over", &[got.loss(Reduction::MeanOver(12.0))], &[0.5 * 8_f64.ln()], rounding, 0.0);
}

#[test]
fn metrics_need_details_and_rows_that_count() {
    let mut random = Random(5);
    let rows = rows(&mut random, 5, 3, 0);
    let loss = CrossEntropy { ignore_index: vec![-100], ..CrossEntropy::default() };
    let batch = rows.batch();
    let mut totals = Totals::default();
    assert!(totals.perplexity().is_some_and(f64::is_nan));
    assert!(totals.loss(Reduction::Mean).is_nan());
    assert_same_bits("nothing", totals.loss(Reduction::MeanOrZero), 0.0);
    let forward = logloss::cpu::evaluate(&loss, Request::default(), &batch).expect("a valid batch");
    totals.push_chunk(&Labels::of(&batch, &[-100]), &forward).expect("a matching chunk");
    assert_eq!((totals.perplexity(), totals.top1_accuracy()), (None, None));
}

#[test]
fn errors_name_the_row_of_the_stream_and_add_nothing() {
    let mut survey = Survey::default();
    survey.push(&Labels::new(&[0, 1, -100], 2, &[-100])).expect("good labels");
    let before = survey.clone();
    let got = survey.push(&Labels::new(&[1, 2, -1], 2, &[-100]));
    assert_eq!(got, Err(Error::BadTarget { row: 4, value: 2, classes: 2, count: 2 }));
    let got = survey.push(&Labels { row_weights: Some(&[1.0]), ..Labels::new(&[1, 1], 2, &[]) });
    assert_eq!(got, Err(Error::LengthMismatch { name: "row_weights", expected: 2, got: 1 }));
    assert_eq!(survey, before);

    let mut random = Random(6);
    let rows = rows(&mut random, 4, 3, 0);
    let loss = CrossEntropy { ignore_index: vec![-100], ..CrossEntropy::default() };
    let evaluation = logloss::cpu::evaluate(&loss, ALL, &rows.batch()).expect("a valid batch");
    let mut totals = Totals::default();
    let fewer = rows.chunk(0..3);
    let got = totals.push_chunk(&Labels::of(&fewer, &[-100]), &evaluation);
    assert_eq!(got, Err(Error::LengthMismatch { name: "losses", expected: 3, got: 4 }));
    assert_eq!(totals, Totals::default());
}

#[test]
fn labels_ignore_before_they_classify() {
    let labels = Labels::new(&[0, 1, 2, 3, -1, -100], 3, &[1, -100]);
    let want = [Label::Class(0), Label::Ignored, Label::Class(2), Label::Bad, Label::Bad, Label::Ignored];
    assert!(labels.iter().eq(want));
}

#[test]
fn a_pairwise_sum_is_a_balanced_tree() {
    // Inexact terms show in which order they are added.
    let sum = |terms: &[f64]| {
        let mut sum = PairwiseSum::default();
        terms.iter().for_each(|&term| sum.push(term));
        sum.total()
    };
    assert_same_bits("none", sum(&[]), 0.0);
    let terms = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
    let [a, b, c, d, e, f, g] = terms;
    assert_same_bits("seven", sum(&terms), ((a + b) + (c + d)) + ((e + f) + g));
    let huge = [1e16, 1.0, -1e16, 1.0];
    assert_same_bits("four", sum(&huge), (1e16 + 1.0) + (-1e16 + 1.0));
}
