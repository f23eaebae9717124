use crate::common::assert_close;
use crate::common::golden::{Arranged, Arrangement, GoldenCase, for_each_golden_case};
use logloss::gpu::{Evaluator, Tuning};
use logloss::{Evaluation, Gradient, Request, Targets};

fn evaluate(case: &GoldenCase, arranged: &Arranged, request: Request, tuning: Tuning) -> Evaluation {
    let batch = arranged.batch();
    let request =
        Request { dtype: batch.logits.dtype(), dense_targets: matches!(batch.targets, Targets::Dense(_)), ..request };
    Evaluator::with_tuning(crate::gpu(), case.loss.any(), request, tuning)
        .and_then(|mut evaluator| evaluator.evaluate(&batch))
        .unwrap_or_else(|e| panic!("{} {:?}: {e}", case.name, arranged.layout))
}

/// 16-bit logits are compared with the truth of the same 16-bit values: their gradient in float32.
fn check(gradients: &[Gradient], filter: impl Fn(&str) -> bool) -> usize {
    let mut worst = (0.0_f64, String::new());
    let count = for_each_golden_case(filter, |case| {
        for &arrangement in case.arrangements() {
            let arranged = case.arranged(arrangement);
            for &gradient in gradients {
                let name = format!("{} {arrangement:?} {gradient:?}", case.name);
                let got = evaluate(case, &arranged, Request { gradient, ..Request::FORWARD }, Tuning::PLANNED);
                let loss = case.comparable(got.summary.loss, &got.losses);
                let error = assert_close(&name, &loss, &arranged.want_loss, 1e-5, 1e-7);
                if error > worst.0 {
                    worst = (error, name.clone());
                }
                if gradient != Gradient::No {
                    let error =
                        assert_close(&format!("{name} gradient"), &got.gradient, &arranged.want_gradient, 1e-5, 1e-7);
                    if error > worst.0 {
                        worst = (error, format!("{name} gradient"));
                    }
                }
            }
        }
    });
    println!("{count} cases, the largest error is {:.3} of the tolerance: {}", worst.0, worst.1);
    count
}

#[test]
fn every_case_forward() {
    assert_eq!(check(&[Gradient::No], |_| true), 162);
}

#[test]
fn every_case_gradient() {
    assert_eq!(check(&[Gradient::Widened], |_| true), 162);
}

#[test]
fn every_float32_case_in_place() {
    assert!(check(&[Gradient::InPlace], |name| !name.contains("float16")) > 150);
}

#[test]
fn bounds_checks_change_no_bit() {
    let request = Request { gradient: Gradient::Separate, details: true, ..Request::default() };
    for_each_golden_case(
        |name| name.starts_with("cross_entropy-weight") || name.starts_with("nll"),
        |case| {
            let arranged = case.arranged(Arrangement::Rows);
            let tuned = |checked| evaluate(case, &arranged, request, Tuning { checked, ..Tuning::PLANNED });
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (with, without) = (tuned(true), tuned(false));
            assert_eq!(bits(&with.losses), bits(&without.losses), "{}", case.name);
            assert_eq!(bits(&with.gradient), bits(&without.gradient), "{}", case.name);
            assert_eq!(with.details, without.details, "{}", case.name);
        },
    );
}
