use crate::common::assert_close;
use crate::common::golden::{GoldenCase, GoldenLoss, for_each_golden_case};
use logloss::{Evaluation, Gradient, Request};

fn evaluate(case: &GoldenCase, request: Request) -> Evaluation {
    let gpu = crate::gpu();
    match &case.loss {
        GoldenLoss::CrossEntropy(loss) => gpu.evaluate(loss, request, &case.batch()),
        GoldenLoss::Nll(loss) => gpu.evaluate(loss, request, &case.batch()),
    }
    .unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn every_case_forward_and_gradient() {
    for gradient in [Gradient::Separate, Gradient::InPlace, Gradient::No] {
        for_each_golden_case(
            |_| true,
            |case| {
                let got = evaluate(case, Request { gradient, details: false });
                assert_close(&case.name, &case.comparable(got.summary.loss, &got.losses), &case.want_loss, 1e-5, 1e-7);
                if gradient != Gradient::No {
                    assert_close(&format!("{} gradient", case.name), &got.gradient, &case.want_gradient, 1e-5, 1e-7);
                }
            },
        );
    }
}
