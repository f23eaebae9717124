use crate::common::assert_close;
use crate::common::golden::{GoldenCase, GoldenLoss, for_each_golden_case};
use logloss::gpu::{Evaluator, Tuning};
use logloss::{Evaluation, Gradient, Request};

fn evaluate(case: &GoldenCase, request: Request) -> Evaluation {
    evaluate_with(case, request, Tuning::default())
}

fn evaluate_with(case: &GoldenCase, request: Request, tuning: Tuning) -> Evaluation {
    let gpu = crate::gpu();
    match &case.loss {
        GoldenLoss::CrossEntropy(loss) => Evaluator::with_tuning(gpu, loss, request, tuning),
        GoldenLoss::Nll(loss) => Evaluator::with_tuning(gpu, loss, request, tuning),
        GoldenLoss::Other(other) => panic!("{other:?} is not asked for"),
    }
    .and_then(|mut evaluator| evaluator.evaluate(&case.batch()))
    .unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn every_case_forward_and_gradient() {
    for gradient in [Gradient::Separate, Gradient::InPlace, Gradient::No] {
        for_each_golden_case(
            |name| name.starts_with("cross_entropy-") || name.starts_with("nll-"),
            |case| {
                let got = evaluate(case, Request { gradient, details: false, ..Request::default() });
                assert_close(&case.name, &case.comparable(got.summary.loss, &got.losses), &case.want_loss, 1e-5, 1e-7);
                if gradient != Gradient::No {
                    assert_close(&format!("{} gradient", case.name), &got.gradient, &case.want_gradient, 1e-5, 1e-7);
                }
            },
        );
    }
}

#[test]
fn bounds_checks_change_no_bit() {
    let request = Request { gradient: Gradient::Separate, details: true, ..Request::default() };
    for_each_golden_case(
        |name| name.starts_with("cross_entropy-weight") || name.starts_with("nll"),
        |case| {
            let tuned = |checked| evaluate_with(case, request, Tuning { checked, ..Tuning::default() });
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (with, without) = (tuned(true), tuned(false));
            assert_eq!(bits(&with.losses), bits(&without.losses), "{}", case.name);
            assert_eq!(bits(&with.gradient), bits(&without.gradient), "{}", case.name);
            assert_eq!(with.details, without.details, "{}", case.name);
        },
    );
}
