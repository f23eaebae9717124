//! Every loss of regions: options, both kinds of targets, element types, layouts, places of the gradient, windows and odd values,
//! against float64 truth of the same values.

mod bindings;
mod odd_values;
mod sizes;
mod truth;

use logloss::gpu::{Evaluator, Tuning};
use logloss::reference;
use logloss::{
    ABSENT, Activation, AnyLoss, Batch, ClassBalance, Dice, DiceCrossEntropy, DiceFocal, Evaluation, GeneralizedDice,
    Layout, Logits, Reduction, Request, Shape, Targets, Tversky, Unit,
};

use crate::case::close;
use crate::common::any_loss::assert_all;
use crate::common::random::Random;
use crate::stored::{Stored, assert_gradient};

const SUM: Reduction = Reduction::Sum;
const SIGMOID: Activation = Activation::Sigmoid;

/// Every loss of regions, with options that between them have all of its terms. Class 1 is ignored by some.
fn losses() -> Vec<Box<dyn AnyLoss>> {
    let dice = |change: fn(&mut Dice)| {
        let mut dice = Dice { reduction: SUM, ..Dice::default() };
        change(&mut dice);
        dice
    };
    let generalized = |balance| GeneralizedDice { reduction: SUM, balance, ..GeneralizedDice::default() };
    let cross_entropy = |dice| DiceCrossEntropy { dice, lambda_dice: 0.5, lambda_cross_entropy: 2.0 };
    let focal = |dice, gamma| DiceFocal { dice, gamma, lambda_dice: 2.0, lambda_focal: 0.5 };
    let losses: Vec<Box<dyn AnyLoss>> = vec![
        Box::new(dice(|_| ())),
        Box::new(dice(|d| (d.ignore_index, d.include_background, d.jaccard) = (vec![1, -1], false, true))),
        Box::new(dice(|d| (d.squared_pred, d.batch, d.smooth_nr, d.smooth_dr) = (true, true, 0.0, 1e-3))),
        Box::new(dice(|d| (d.squared_pred, d.jaccard, d.activation) = (true, true, SIGMOID))),
        Box::new(dice(|d| (d.activation, d.batch, d.include_background) = (SIGMOID, true, false))),
        Box::new(Tversky { reduction: SUM, ignore_index: vec![1], alpha: 0.25, beta: 0.75, ..Tversky::default() }),
        Box::new(Tversky {
            reduction: SUM,
            activation: SIGMOID,
            include_background: false,
            batch: true,
            ..Tversky::default()
        }),
        Box::new(generalized(ClassBalance::Square)),
        Box::new(GeneralizedDice { include_background: false, ..generalized(ClassBalance::Simple) }),
        Box::new(GeneralizedDice { activation: SIGMOID, batch: true, ..generalized(ClassBalance::Square) }),
        Box::new(GeneralizedDice { ignore_index: vec![1], ..generalized(ClassBalance::Uniform) }),
        Box::new(cross_entropy(dice(|d| d.ignore_index = vec![1]))),
        Box::new(cross_entropy(dice(|d| (d.reduction, d.include_background) = (Reduction::Mean, false)))),
        Box::new(cross_entropy(dice(|d| (d.activation, d.batch) = (SIGMOID, true)))),
        Box::new(focal(dice(|d| (d.reduction, d.batch) = (Reduction::Mean, true)), 2.0)),
        Box::new(focal(dice(|d| d.ignore_index = vec![1]), 0.5)),
        Box::new(focal(dice(|d| (d.activation, d.squared_pred) = (SIGMOID, true)), 1.5)),
    ];
    assert_all(&losses, |definition| matches!(definition.unit, Unit::Region(_)));
    losses
}

/// Tensors of a batch, the same on every run. Gaps hold NaN.
#[derive(Clone)]
struct Tensors {
    layout: Layout,
    logits: Vec<f32>,
    classes: Vec<i32>,
    dense: Vec<f32>,
    class_weights: Vec<f32>,
}

impl Tensors {
    /// Logits in [-4, 4); dense targets that are soft in half of the positions and one-hot in the others.
    fn new(layout: Layout) -> Self {
        let mut random = Random(layout.span() << 20 | u64::from(layout.classes()));
        let Shape { rows, classes } = layout.shape();
        let labels: Vec<i32> = (0..rows).map(|_| random.below(classes as usize) as i32).collect();
        let mut tensors = Self {
            layout,
            logits: vec![f32::NAN; layout.span() as usize],
            classes: labels,
            dense: vec![0.0; layout.elements() as usize],
            class_weights: (0..classes).map(|_| random.uniform(0.5, 2.0)).collect(),
        };
        for row in 0..rows {
            let soft: Vec<f32> = (0..classes).map(|_| random.uniform(0.0, 1.0)).collect();
            let sum: f32 = soft.iter().sum();
            let is_soft = random.chance(50);
            for class in 0..classes {
                let hard = f32::from(u8::from(tensors.classes[row as usize] == class as i32));
                tensors.logits[layout.element(row, class) as usize] = random.uniform(-4.0, 4.0);
                tensors.dense[layout.contiguous().element(row, class) as usize] =
                    if is_soft { soft[class as usize] / sum } else { hard };
            }
        }
        tensors
    }

    fn batch<'a>(&'a self, loss: &dyn AnyLoss, dense: bool, logits: Logits<'a>) -> Batch<'a> {
        let targets = if dense { Targets::Dense(&self.dense) } else { Targets::Classes(&self.classes) };
        Batch {
            class_weights: loss.definition().weights.class.then_some(&self.class_weights),
            ..Batch::new(self.layout, logits, targets)
        }
    }

    #[track_caller]
    fn run(&self, loss: &dyn AnyLoss, dense: bool, request: Request, tuning: Tuning) -> Evaluation {
        let stored = Stored::new(request.dtype, &self.logits);
        let request = Request { dense_targets: dense, ..request };
        let got = Evaluator::with_tuning(crate::gpu(), loss, request, tuning)
            .and_then(|mut evaluator| evaluator.evaluate(&self.batch(loss, dense, stored.logits())))
            .unwrap_or_else(|e| panic!("{loss:?} {:?} {request:?} {tuning:?}: {e}", self.layout));
        crate::gpu().check().expect("no error that wgpu reported");
        got
    }

    /// Compares everything with the reference.
    #[track_caller]
    fn check(&self, loss: &dyn AnyLoss, dense: bool, request: Request, tuning: Tuning) {
        let stored = Stored::new(request.dtype, &self.logits);
        let batch = self.batch(loss, dense, stored.logits());
        let want = reference::evaluate(loss, &batch).expect("a batch that the reference takes");
        let got = self.run(loss, dense, request, tuning);
        let name = format!("{loss:?} {:?} dense {dense} {request:?} {tuning:?}", self.layout);
        // Against soft targets the gradient of cross-entropy is a difference of numbers up to the factor, 2, times a class
        // weight, up to 2.
        let absolute = if dense { 4e-7 } else { 1e-7 };
        compare(&name, request, &got, &want, self.layout, absolute);
        let s = got.summary;
        let is_sum_of_two = loss.definition().name.starts_with("dice_");
        let sum = if is_sum_of_two { want.loss } else { want.losses.iter().sum() };
        if !want.losses.is_empty() {
            close(&format!("{name} loss_sum"), &[s.loss_sum], &[sum]);
        }
    }
}

#[track_caller]
fn compare(
    name: &str,
    request: Request,
    got: &Evaluation,
    want: &reference::Evaluation,
    layout: Layout,
    absolute: f64,
) {
    close(&format!("{name} losses"), &got.losses, &want.losses);
    close(&format!("{name} loss"), &[got.summary.loss], &[want.loss]);
    let s = &got.summary;
    assert_eq!(
        (s.weight_sum, s.rows, s.ignored, s.first_ignored, s.non_finite, s.first_non_finite),
        (
            want.weight_sum as f32,
            layout.rows(),
            want.ignored,
            want.first_ignored.unwrap_or(ABSENT),
            want.non_finite,
            want.first_non_finite.unwrap_or(ABSENT)
        ),
        "{name}: weights, rows, ignored, first, non-finite, first"
    );
    assert_gradient(name, request, &got.gradient, &want.gradient, absolute);
}
