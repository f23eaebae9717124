//! Cases whose truth is a formula on paper.

use logloss::reference;
use logloss::{CrossEntropy, Reduction};

use crate::common::assert_close;
use crate::{FEW_ROUNDINGS, batch, evaluate};

#[test]
fn confident_row_keeps_every_digit() {
    // log(1 + 2 exp(-20)), and the softmax, to 16 digits; absolute tolerance 0. exp(-20) has a relative error of one rounding
    // of 20 and one of its own.
    let got = evaluate(Reduction::None, &[20.0, 0.0, 0.0], &[0]);
    let want = 4.122_307_236_380_407e-9;
    assert_close("loss", &got.losses, &[want], FEW_ROUNDINGS, 0.0);
    assert_close("log_prob", &got.log_prob, &[-want], FEW_ROUNDINGS, 0.0);
    assert_close("lse", &got.lse, &[20.0 + want], FEW_ROUNDINGS, 0.0);
    let (miss, other) = (4.122_307_227_883_699e-9, 2.061_153_613_941_849e-9);
    assert_close("gradient", &got.gradient, &[-miss, other, other], FEW_ROUNDINGS, 0.0);
}

#[test]
fn hopeless_row_has_the_margin_as_loss() {
    // log(exp(-1000) + 2) + 1000, where exp(-1000) is far below a rounding of 2.
    let got = evaluate(Reduction::None, &[-1000.0, 0.0, 0.0], &[0]);
    assert_close("loss", &got.losses, &[1000.0 + 2_f64.ln()], FEW_ROUNDINGS, 0.0);
    assert_close("gradient", &got.gradient, &[-1.0, 0.5, 0.5], FEW_ROUNDINGS, 0.0);
}

#[test]
fn probabilities_in_ratio_1_2_5() {
    // The nearest float32 of ln 2 and ln 5 are off by half a unit in the last place: 2^-25 and 2^-24.
    let got = evaluate(Reduction::Sum, &[0.0, 2_f32.ln(), 5_f32.ln()], &[1]);
    let float32 = 2_f64.powi(-23);
    assert_close("loss", &[got.loss], &[4_f64.ln()], 0.0, float32);
    assert_close("lse", &got.lse, &[8_f64.ln()], 0.0, float32);
    assert_close("gradient", &got.gradient, &[1.0 / 8.0, 2.0 / 8.0 - 1.0, 5.0 / 8.0], 0.0, float32);
    assert_eq!((got.argmax[0], got.rank[0]), (2, 1));
}

#[test]
fn equal_logits_with_smoothing_z_loss_and_temperature() {
    // Every -log p_c is ln K, and lse = x/T + ln K: loss = w_t ln K + z (x/T + ln K)^2, whatever the smoothing is.
    let options = CrossEntropy {
        reduction: Reduction::None,
        label_smoothing: 0.25,
        temperature: 0.5,
        z_loss: 0.125,
        ..CrossEntropy::default()
    };
    let got = reference::evaluate(&options, &batch(&[1.5; 5], &[3])).unwrap();
    let lse = 3.0 + 5_f64.ln();
    assert_close("lse", &got.lse, &[lse], FEW_ROUNDINGS, 0.0);
    assert_close("loss", &got.losses, &[5_f64.ln() + 0.125 * lse * lse], FEW_ROUNDINGS, 0.0);
    // (1/T) (p - q + 2 z lse p) with p = 1/5 and q = 1/20, but 4/5 at the target.
    let z_part = 2.0 * 0.125 * lse / 5.0;
    let other = 2.0 * (0.2 - 0.05 + z_part);
    let want = [other, other, other, 2.0 * (0.2 - 0.8 + z_part), other];
    assert_close("gradient", &got.gradient, &want, FEW_ROUNDINGS, FEW_ROUNDINGS);
}

#[test]
fn label_smoothing_1_is_the_mean_over_classes() {
    // Whatever the target is: mean_c(-log p_c) = lse - mean(x), gradient p - 1/K. lse = ln(1 + 1 + 2 + 4) with float32 logs of
    // 2 and 4, off by 2^-25 and 2^-24.
    let logits = [0.0, 0.0, 2_f32.ln(), 2.0 * 2_f32.ln()];
    let options = CrossEntropy { label_smoothing: 1.0, reduction: Reduction::None, ..CrossEntropy::default() };
    let float32 = 2_f64.powi(-23);
    for target in 0..4 {
        let got = reference::evaluate(&options, &batch(&logits, &[target])).unwrap();
        assert_close("loss", &got.losses, &[(3.0 - 0.75) * 2_f64.ln()], 0.0, float32);
        assert_close("gradient", &got.gradient, &[-0.125, -0.125, 0.0, 0.25], 0.0, float32);
    }
}

#[test]
fn one_class_is_certain() {
    let options = CrossEntropy { label_smoothing: 0.1, reduction: Reduction::None, ..CrossEntropy::default() };
    let got = reference::evaluate(&options, &batch(&[3.5, -1e30], &[0, 0])).unwrap();
    assert_eq!(got.losses, [0.0, 0.0]);
    assert_eq!(got.gradient, [0.0, 0.0]);
    assert_eq!(got.lse, [3.5, f64::from(-1e30_f32)]);
    assert_eq!((got.argmax, got.rank), (vec![0, 0], vec![0, 0]));
}

#[test]
fn equal_logits_rank_by_class_index() {
    let logits = [1.0, 2.0, 2.0, 0.0, 2.0];
    let rank = |target| evaluate(Reduction::Sum, &logits, &[target]).rank[0];
    assert_eq!([0, 1, 2, 3, 4].map(rank), [3, 0, 1, 4, 2]);
    assert_eq!(evaluate(Reduction::Sum, &logits, &[0]).argmax, [1]);
}

#[test]
fn mean_divides_by_the_weights_of_the_rows_that_count() {
    // Equal logits of two classes: every unweighted loss is ln 2. Row weights 1, 3, 5; class weights 0.5, 2; the last is ignored.
    let options = CrossEntropy { ignore_index: vec![-100], ..CrossEntropy::default() };
    let mut batch = batch(&[0.0; 6], &[0, 1, -100]);
    batch.class_weights = Some(&[0.5, 2.0]);
    batch.row_weights = Some(&[1.0, 3.0, 5.0]);
    let got = reference::evaluate(&options, &batch).unwrap();
    assert_eq!(got.weight_sum, 1.0 * 0.5 + 3.0 * 2.0);
    assert_close("losses", &got.losses, &[0.5 * 2_f64.ln(), 6.0 * 2_f64.ln(), 0.0], FEW_ROUNDINGS, 0.0);
    assert_close("loss", &[got.loss], &[2_f64.ln()], FEW_ROUNDINGS, 0.0);
    let want = [-0.25, 0.25, 3.0, -3.0, 0.0, 0.0].map(|g| g / 6.5);
    assert_close("gradient", &got.gradient, &want, FEW_ROUNDINGS, 0.0);
}
