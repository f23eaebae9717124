//! Every loss with random options, and random batches for it.

use logloss::{
    ABSENT, Activation, AnyLoss, Batch, Bce, BceWithLogits, ClassBalance, CrossEntropy, DType, Definition, Dice,
    DiceCrossEntropy, DiceFocal, Divergence, Domain, Evaluation, Focal, GeneralizedDice, Hinge, KlDiv, Layout,
    LogitDivergence, Mse, MultiMargin, Nll, Reduction, Shape, SigmoidFocal, SoftCrossEntropy, SquaredHinge, TargetKind,
    Targets, Tversky, Unit, every_loss, reference,
};

use super::random::Random;
use super::stored::Stored;
use super::{as_float32, assert_close};

/// Largest weight of a class, and of a row.
pub const LARGEST_WEIGHT: f32 = 2.0;

/// Largest factor between a softmax's logit and a loss's.
pub const LARGEST_SCALE: f32 = 2.0;

/// A name and the random numbers of each trial: as many as the environment variable `LOGLOSS_TRIALS` says, from `LOGLOSS_SEED` on, or
/// else the same on every run.
pub fn trials(count: u64) -> impl Iterator<Item = (String, Random)> {
    let number = |name: &str, otherwise| match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name}: {value} is no number")),
        Err(_) => otherwise,
    };
    let first: u64 = number("LOGLOSS_SEED", 1);
    (first..first + number("LOGLOSS_TRIALS", count))
        .map(|seed| (format!("LOGLOSS_SEED={seed} LOGLOSS_TRIALS=1"), Random(seed)))
}

/// Up to `most`: any, or near what kernels are cut at.
fn some_classes(random: &mut Random, most: usize) -> usize {
    let power = 1 << random.below(most.ilog2() as usize + 1);
    let classes = match random.below(4) {
        0 => power,
        1 => power + 1,
        2 => power - 1,
        _ => (most as f32).powf(random.uniform(0.0, 1.0)) as usize,
    };
    classes.clamp(1, most)
}

/// Asserts that nobody has forgotten a loss where those of one kind are listed.
#[track_caller]
pub fn assert_all<'a>(
    listed: impl IntoIterator<Item = &'a Box<dyn AnyLoss>>,
    of_kind: impl Fn(&Definition<'_>) -> bool,
) {
    let listed: Vec<_> = listed.into_iter().map(|loss| loss.definition().name).collect();
    for loss in every_loss() {
        let definition = loss.definition();
        assert!(!of_kind(&definition) || listed.contains(&definition.name), "{} is not in this list", definition.name);
    }
}

/// A value of a domain; any number is below `size`.
pub fn value_in(domain: Domain, size: f32, random: &mut Random) -> f32 {
    match domain {
        Domain::UnitInterval => random.uniform(0.0, 1.0),
        Domain::Sign => random.pick(&[-1.0, 1.0]),
        Domain::Any => random.uniform(-size, size),
    }
}

/// Every loss with random options.
pub fn losses(random: &mut Random) -> Vec<Box<dyn AnyLoss>> {
    let reduction = random.pick(&[Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOver(3.5)]);
    let combined = random.pick(&[Reduction::Sum, Reduction::Mean]);
    let (temperature, z_loss) = (random.pick(&[1.0, 1.0 / LARGEST_SCALE, 3.0]), random.pick(&[0.0, 0.01]));
    let softcap = random.pick(&[None, Some(5.0)]);
    let label_smoothing = random.pick(&[0.0, 0.1]);
    let gamma = random.pick(&[0.0, 0.5, 2.0]);
    let activation = random.pick(&[Activation::Softmax, Activation::Sigmoid]);
    let (p, margin) = (random.pick(&[1, 2]), random.pick(&[1.0, 0.25]));
    let (include_background, batch) = (random.chance(50), random.chance(50));
    let ignore_index = vec![-100];
    let divergence = random.pick(&[Divergence::Kl, Divergence::ReverseKl, Divergence::JensenShannon]);
    let dice = Dice {
        reduction,
        ignore_index: ignore_index.clone(),
        activation,
        include_background,
        batch,
        squared_pred: random.chance(50),
        jaccard: random.chance(50),
        ..Dice::default()
    };
    let combined = Dice { reduction: combined, ..dice.clone() };
    let losses: Vec<Box<dyn AnyLoss>> = vec![
        Box::new(CrossEntropy {
            reduction,
            ignore_index: ignore_index.clone(),
            label_smoothing,
            temperature,
            z_loss,
            softcap,
        }),
        Box::new(Focal { reduction, ignore_index: ignore_index.clone(), gamma, temperature, z_loss, softcap }),
        Box::new(Nll { reduction, ignore_index: ignore_index.clone() }),
        Box::new(MultiMargin { reduction, ignore_index: ignore_index.clone(), margin, p }),
        Box::new(SoftCrossEntropy { reduction, label_smoothing, temperature, z_loss, softcap }),
        Box::new(KlDiv { reduction, log_target: false, temperature, z_loss, softcap }),
        Box::new(LogitDivergence { reduction, divergence, temperature, z_loss, softcap }),
        Box::new(Bce { reduction }),
        Box::new(BceWithLogits { reduction }),
        Box::new(SigmoidFocal { reduction, gamma, alpha: random.pick(&[None, Some(0.25)]) }),
        Box::new(Mse { reduction }),
        Box::new(Hinge { reduction, margin }),
        Box::new(SquaredHinge { reduction, margin }),
        Box::new(GeneralizedDice {
            reduction,
            ignore_index: ignore_index.clone(),
            activation,
            include_background,
            balance: random.pick(&[ClassBalance::Square, ClassBalance::Simple, ClassBalance::Uniform]),
            batch,
            ..GeneralizedDice::default()
        }),
        Box::new(Tversky {
            reduction,
            ignore_index,
            activation,
            include_background,
            batch,
            alpha: 0.3,
            beta: 0.7,
            ..Tversky::default()
        }),
        Box::new(dice),
        Box::new(DiceCrossEntropy { dice: combined.clone(), lambda_dice: 0.5, lambda_cross_entropy: 2.0 }),
        Box::new(DiceFocal { dice: combined, gamma, lambda_dice: 0.5, lambda_focal: 2.0 }),
    ];
    assert_all(&losses, |_| true);
    losses
}

/// A batch that fits a loss.
pub struct Case {
    pub layout: Layout,
    pub logits: Stored,
    pub classes: Option<Vec<i32>>,
    dense: Vec<f32>,
    /// Of classes, of classes where they are present, and of rows.
    weights: [Option<Vec<f32>>; 3],
}

impl Case {
    /// Any layout and dtype, of up to so many logits.
    pub fn new(random: &mut Random, loss: &dyn AnyLoss, logits: usize, odd: bool) -> Self {
        let classes = some_classes(random, logits);
        let most = random.pick(&[4, 100, 30_000]);
        let rows = 1 + random.below(most.min(logits / classes));
        let inner = random.pick(&[1, 2, 3, 4, 17, 40, 1000]).min(rows) as u32;
        let outer = rows as u32 / inner;
        let shape = Shape::new(outer * inner, classes as u32);
        let layout = match random.below(3) {
            0 => shape.into(),
            1 => Layout::strided(shape, shape.classes + 3).expect("a small stride"),
            _ => Layout::planes(outer, shape.classes, inner).expect("a small shape"),
        };
        let dtype = random.pick(&DType::ALL);
        Self::of_layout(random, loss, layout, dtype, odd)
    }

    /// The gaps of the layout are NaN; where `odd`, so are logits of every third row, or infinite, or large.
    pub fn of_layout(random: &mut Random, loss: &dyn AnyLoss, layout: Layout, dtype: DType, odd: bool) -> Self {
        let definition = loss.definition();
        let (shape, classes) = (layout.shape(), layout.classes() as usize);
        let domains = definition.domains;
        let mut values = vec![f32::NAN; layout.span() as usize];
        for row in 0..shape.rows {
            for class in 0..shape.classes {
                values[layout.element(row, class) as usize] = value_in(domains.input, 6.0, random);
            }
            if odd && domains.input == Domain::Any && random.chance(33) {
                for _ in 0..=random.below(3) {
                    let value = random.pick(&[f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NAN, f32::INFINITY, 30.0]);
                    values[layout.element(row, random.below(classes) as u32) as usize] = value;
                }
            }
        }
        let logits = Stored::new(dtype, &values);
        let has_classes = match definition.targets {
            TargetKind::Classes => true,
            TargetKind::Dense => false,
            TargetKind::Either => random.chance(50),
        };
        let label = |random: &mut Random| {
            let can_ignore = !definition.ignore_index.is_empty();
            if can_ignore && random.chance(15) { -100 } else { random.below(classes) as i32 }
        };
        // What a softmax is compared with adds up to about 1, so that no gradient is the difference of large numbers.
        let share =
            if definition.unit == Unit::Element && definition.name != "kl_div" { 1.0 } else { 2.0 / classes as f32 };
        let dense = (0..layout.elements()).map(|_| match definition.name {
            _ if domains.target == Domain::Sign => value_in(domains.target, 1.0, random),
            "logit_divergence" => random.uniform(-4.0, 4.0),
            _ => random.pick(&[0.0, 0.0, 1.0, 0.3, 0.7]) * share.min(1.0),
        });
        let dense = dense.collect();
        let classes_of_rows = has_classes.then(|| (0..shape.rows).map(|_| label(random)).collect());
        let mut weights = |taken: bool, n: u32| {
            (taken && random.chance(50))
                .then(|| (0..n).map(|_| random.pick(&[0.0, 0.5, 1.25, LARGEST_WEIGHT])).collect())
        };
        let taken = definition.weights;
        let weights = [
            weights(taken.class, shape.classes),
            weights(taken.positive, shape.classes),
            weights(taken.row, shape.rows),
        ];
        Self { layout, logits, classes: classes_of_rows, dense, weights }
    }

    pub fn batch(&self) -> Batch<'_> {
        let targets: Targets<'_> = match &self.classes {
            Some(classes) => classes.into(),
            None => (&self.dense).into(),
        };
        Batch {
            class_weights: self.weights[0].as_deref(),
            pos_weights: self.weights[1].as_deref(),
            row_weights: self.weights[2].as_deref(),
            ..Batch::new(self.layout, self.logits.logits(), targets)
        }
    }
}

/// Compares everything but the gradient with the reference.
#[track_caller]
pub fn compare(
    name: &str,
    loss: &dyn AnyLoss,
    got: &Evaluation,
    want: &reference::Evaluation,
    relative: f64,
    absolute: f64,
) {
    let close = |field: &str, got: &[f32], want: &[f64], absolute| {
        assert_close(&format!("{name}: {field}"), got, &as_float32(want), relative, absolute);
    };
    let summary = &got.summary;
    close("losses", &got.losses, &want.losses, absolute);
    // The absolute error of a sum is that of its terms.
    close("loss", &[summary.loss], &[want.loss], absolute * want.losses.len().max(1) as f64);
    close("weight sum", &[summary.weight_sum], &[want.weight_sum], 0.0);
    let first = |row: Option<u32>| row.unwrap_or(ABSENT);
    assert_eq!(
        [summary.ignored, summary.first_ignored, summary.non_finite, summary.first_non_finite],
        [want.ignored, first(want.first_ignored), want.non_finite, first(want.first_non_finite)],
        "{name}: ignored, first, not finite, first"
    );
    if !got.details.is_empty() {
        // Rows of log-probabilities have none.
        if loss.definition().name != "nll" {
            close("lse", &got.details.iter().map(|d| d.lse).collect::<Vec<_>>(), &want.lse, absolute);
        }
        assert_eq!(got.details.iter().map(|d| d.rank).collect::<Vec<_>>(), want.rank, "{name}: ranks");
    }
}
