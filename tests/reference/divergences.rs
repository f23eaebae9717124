//! Divergences between logits: far, near, and so near that their terms vanish beside the probabilities.

use logloss::reference::{self, Evaluation};
use logloss::{Batch, Divergence, KlDiv, LogitDivergence, Reduction, Shape};

use crate::common::assert_close;
use crate::common::random::Random;
use crate::{FEW_ROUNDINGS, ROUNDING};

const ALL: [Divergence; 3] = [Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon];

/// One row; the logits' distribution is `q`, the targets' `p`.
fn divergence(divergence: Divergence, logits: &[f32], targets: &[f32]) -> Evaluation {
    let loss = LogitDivergence { reduction: Reduction::Sum, divergence, ..LogitDivergence::default() };
    reference::evaluate(&loss, &Batch::new(Shape::new(1, logits.len() as u32), logits, targets)).unwrap()
}

/// KL, reverse KL and Jensen-Shannon with their gradients, from the definition with 60 digits.
fn assert_truth(logits: &[f32; 4], targets: &[f32; 4], truth: [(f64, [f64; 4]); 3], relative: f64) {
    for (kind, (loss, gradient)) in ALL.into_iter().zip(truth) {
        let got = divergence(kind, logits, targets);
        assert_close(&format!("{kind:?}"), &[got.loss], &[loss], relative, 0.0);
        assert_close(&format!("{kind:?} gradient"), &got.gradient, &gradient, relative, 0.0);
    }
}

#[test]
fn logits_that_differ_by_1e_6_keep_every_digit() {
    // The terms of the definition are about 1e-6 and sum to 1e-13: in float64 it would keep six digits.
    assert_truth(
        &[0.250_001, -1.500_002, 0.750_000_5, 2.000_003],
        &[0.25, -1.5, 0.75, 2.0],
        [
            (
                8.186_674_536_619_815e-13,
                [
                    -1.439_831_191_839_207_7e-7,
                    -8.660_812_763_609_553e-8,
                    -3.405_046_905_979_635e-7,
                    5.710_959_374_179_798e-7,
                ],
            ),
            (
                8.186_670_441_743_602e-13,
                [
                    -1.439_831_257_252_875_5e-7,
                    -8.660_795_910_654_252e-8,
                    -3.405_045_463_799_781e-7,
                    5.710_956_312_118_082e-7,
                ],
            ),
            (
                2.046_668_122_294_943_7e-13,
                [
                    -3.599_578_061_365_243e-8,
                    -2.165_201_084_279_782e-8,
                    -8.512_615_462_223_029e-8,
                    1.427_739_460_786_805_4e-7,
                ],
            ),
        ],
        FEW_ROUNDINGS,
    );
}

#[test]
fn an_offset_of_1e6_costs_no_digit() {
    assert_truth(
        &[1_000_000.25, 999_998.5, 1_000_000.75, 1_000_002.0],
        &[1_000_000.25, 999_998.5, 1_000_000.8, 1_000_002.0],
        [
            (
                0.000_311_064_835_039_300_4,
                [
                    0.001_427_703_112_537_636_4,
                    0.000_248_097_599_942_139_7,
                    -0.009_891_664_864_430_569,
                    0.008_215_864_151_950_793,
                ],
            ),
            (
                0.000_307_164_218_987_610_2,
                [
                    0.001_400_704_503_248_97,
                    0.000_243_405_945_138_370_34,
                    -0.009_704_608_331_077_14,
                    0.008_060_497_882_689_8,
                ],
            ),
            (
                0.000_077_272_026_965_770_26,
                [
                    0.000_353_489_973_960_086_4,
                    0.000_061_427_346_745_239_38,
                    -0.002_449_111_670_797_235,
                    0.002_034_194_350_091_909_3,
                ],
            ),
        ],
        FEW_ROUNDINGS,
    );
}

#[test]
fn distributions_that_disagree() {
    // exp of a difference of up to 130 has as many roundings.
    assert_truth(
        &[30.0, -40.0, 0.0, -100.0],
        &[-20.0, 10.0, 0.0, -3.0],
        [
            (
                69.997_788_682_981_69,
                [
                    0.999_999_999_999_812_9,
                    -0.999_952_342_012_129,
                    -0.000_045_397_765_999_606_66,
                    -2.260_221_684_229_592e-6,
                ],
            ),
            (
                30.000_047_659_118_777,
                [
                    4.678_811_484_419_211_7e-12,
                    -3.975_449_735_908_089e-29,
                    -4.678_811_484_419_212e-12,
                    -5.117_227_054_658_695e-55,
                ],
            ),
            (
                0.693_147_180_557_512_4,
                [
                    9.357_600_670_997_385e-13,
                    -1.391_406_460_235_608_3e-29,
                    -9.357_600_670_997_384e-13,
                    -2.036_446_671_811_293_7e-55,
                ],
            ),
        ],
        2.0 * 200.0 * ROUNDING,
    );
}

#[test]
fn a_distribution_does_not_diverge_from_itself() {
    for offset in [0.0, 1e6] {
        let logits = [0.25, -1.5, 0.75, 2.0].map(|x: f32| x + offset);
        for kind in ALL {
            let got = divergence(kind, &logits, &[0.25, -1.5, 0.75, 2.0]);
            assert_eq!((got.loss, got.gradient), (0.0, vec![0.0; 4]), "{kind:?} at {offset}");
        }
    }
}

#[test]
fn jensen_shannon_is_symmetric_and_at_most_ln_2() {
    let mut random = Random(2026);
    for scale in [1e-3, 0.1, 1.0, 10.0, 300.0] {
        for _ in 0..50 {
            let mut row = || -> Vec<f32> { (0..7).map(|_| random.uniform(-scale, scale)).collect() };
            let (a, b) = (row(), row());
            let (there, back) =
                (divergence(Divergence::JensenShannon, &a, &b), divergence(Divergence::JensenShannon, &b, &a));
            let name = format!("{a:?} and {b:?}");
            assert_close(&name, &[there.loss], &[back.loss], 2.0 * f64::from(2.0 * scale + 40.0) * ROUNDING, 0.0);
            assert!(there.loss >= 0.0 && there.loss <= 2_f64.ln() * (1.0 + FEW_ROUNDINGS), "{name}: {}", there.loss);
            // Reverse KL is KL with the roles exchanged.
            let (there, back) = (divergence(Divergence::Kl, &a, &b), divergence(Divergence::ReverseKl, &b, &a));
            assert_close(&name, &[there.loss], &[back.loss], 2.0 * f64::from(2.0 * scale + 40.0) * ROUNDING, 0.0);
        }
    }
}

#[test]
fn disjoint_supports() {
    const INF: f32 = f32::INFINITY;
    let (logits, targets) = ([0.0, 0.0, -INF, -INF], [-INF, -INF, 0.0, 0.0]);
    let got = divergence(Divergence::JensenShannon, &logits, &targets);
    assert_close("Jensen-Shannon", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
    assert_close("Jensen-Shannon", &got.gradient, &[0.0; 4], 0.0, ROUNDING);
    let got = divergence(Divergence::Kl, &logits, &targets);
    assert_eq!((got.loss, got.non_finite), (f64::INFINITY, 0));
    assert_close("KL", &got.gradient, &[0.5, 0.5, -0.5, -0.5], FEW_ROUNDINGS, 0.0);
    let got = divergence(Divergence::ReverseKl, &logits, &targets);
    assert_eq!((got.loss, got.non_finite), (f64::INFINITY, 0));
    assert_close("reverse KL", &got.gradient, &[f64::NAN; 4], 0.0, 0.0);
}

#[test]
fn classes_without_probability_contribute_nothing() {
    const INF: f32 = f32::INFINITY;
    // The teacher rules out class 2, the student does not: p = [1/2, 1/2, 0], q = [1/4, 1/4, 1/2].
    let logits = [0.0, 0.0, 2_f32.ln()];
    let float32 = f64::from(f32::EPSILON);
    let got = divergence(Divergence::Kl, &logits, &[0.0, 0.0, -INF]);
    assert_close("KL", &[got.loss], &[2_f64.ln()], 0.0, float32);
    assert_close("KL", &got.gradient, &[-0.25, -0.25, 0.5], 0.0, float32);
    let got = divergence(Divergence::ReverseKl, &[0.0, 0.0, -INF], &logits);
    assert_close("reverse KL", &[got.loss], &[2_f64.ln()], 0.0, float32);
    assert_close("reverse KL", &got.gradient, &[0.0; 3], 0.0, float32);
    // Neither has class 2: as if it were not there.
    for kind in ALL {
        let got = divergence(kind, &[0.5, 0.0, -INF], &[-1.0, 0.25, -INF]);
        let want = divergence(kind, &[0.5, 0.0], &[-1.0, 0.25]);
        assert_close(&format!("{kind:?}"), &[got.loss], &[want.loss], FEW_ROUNDINGS, 0.0);
        assert_close(&format!("{kind:?}"), &got.gradient[..2], &want.gradient, FEW_ROUNDINGS, 0.0);
        assert_eq!(got.gradient[2], 0.0);
    }
}

#[test]
fn kl_of_logits_is_kl_div_of_their_softmax() {
    // The targets' softmax is exact for equal logits, and elsewhere a float32: off by 2^-25 of each, times |log(t / p)| < 8.
    let logits = [[0.25, -1.5, 0.75, 2.0], [1.75, -2.0, 0.5, -0.25]].concat();
    for (targets, absolute) in [([0.0; 8], FEW_ROUNDINGS), ([0.5, 0.0, -1.0, 0.25, 2.0, -0.5, 0.25, 1.0], 3e-7)] {
        let softmax: Vec<f32> = (targets.chunks_exact(4))
            .flat_map(|row: &[f32]| {
                let sum: f64 = row.iter().map(|&y| f64::from(y).exp()).sum();
                row.iter().map(move |&y| (f64::from(y).exp() / sum) as f32)
            })
            .collect();
        let kl_div = KlDiv { reduction: Reduction::BatchMean, ..KlDiv::default() };
        let want = reference::evaluate(&kl_div, &Batch::new(Shape::new(2, 4), &logits, &softmax)).unwrap();
        let got =
            reference::evaluate(&LogitDivergence::default(), &Batch::new(Shape::new(2, 4), &logits, &targets)).unwrap();
        assert_close("loss", &[got.loss], &[want.loss], 0.0, absolute);
        assert_close("gradient", &got.gradient, &want.gradient, 0.0, absolute);
    }
}
