use crate::common::golden::{GoldenLoss, for_each_golden_case};
use crate::{Loss, assert_close};
use logloss::{Gradient, Request};

/// The numerics contract of the CPU engine. 16-bit cases are widened to float32, which is exact.
const RELATIVE: f64 = 2e-6;
const ABSOLUTE: f64 = 1e-7;

#[test]
fn every_case_forward_and_gradient() {
    for gradient in [Gradient::No, Gradient::Separate, Gradient::InPlace] {
        let cases = for_each_golden_case(
            |name| name.starts_with("cross_entropy-") || name.starts_with("nll-"),
            |case| {
                let loss = match &case.loss {
                    GoldenLoss::CrossEntropy(loss) => Loss::CrossEntropy(loss.clone()),
                    GoldenLoss::Nll(loss) => Loss::Nll(loss.clone()),
                    GoldenLoss::Other(other) => panic!("{other:?} is not asked for"),
                };
                let got = loss
                    .evaluate(Request { gradient, details: false, ..Request::default() }, &case.batch())
                    .expect("a valid batch");
                let got_loss = case.comparable(got.summary.loss, &got.losses);
                assert_close(&case.name, &got_loss, &case.want_loss, RELATIVE, ABSOLUTE);
                let want_gradient: &[f64] = if gradient == Gradient::No { &[] } else { &case.want_gradient };
                assert_close(&format!("{} gradient", case.name), &got.gradient, want_gradient, RELATIVE, ABSOLUTE);
            },
        );
        assert!(cases >= 60);
    }
}
