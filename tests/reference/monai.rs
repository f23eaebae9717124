//! MONAI 1.6.1 in float64, on one small batch, for the losses of regions that have no golden case.

use logloss::reference::{self, Evaluation, ReferenceLoss};
use logloss::{
    Activation, Batch, ClassBalance, Dice, DiceCrossEntropy, DiceFocal, GeneralizedDice, Layout, Reduction, Tversky,
};

use crate::FEW_ROUNDINGS;
use crate::common::assert_close;

/// Two samples, three classes, four positions; class 1 does not occur in the first sample, nor class 2 in the second.
const LOGITS: [f32; 24] = [
    0.25, -1.5, 0.75, 2.0, -0.5, 0.0, 0.0, 1.25, 1.75, -2.0, 0.5, -0.25, //
    -1.0, 1.0, 1.5, 0.25, 0.0, 0.75, -1.75, -0.75, 1.25, -0.25, -1.5, 0.5,
];
const TARGETS: [i32; 8] = [0, 2, 2, 0, 1, 0, 1, 1];
const SMOOTH_NR: f32 = 1.0 / 128.0;
const SMOOTH_DR: f32 = 1.0 / 256.0;

/// MONAI rounds the weights of classes, and the logits of its focal loss, to float32.
const FLOAT32: f64 = 4.0 * f32::EPSILON as f64;

struct Row {
    activation: Activation,
    include_background: bool,
    batch: bool,
    /// Classes weighted by the square of their sum of targets, by the sum, and uniformly.
    generalized_dice: [f64; 3],
    /// alpha 0.25, beta 0.75.
    tversky: f64,
    /// Half the Dice loss plus twice PyTorch's cross-entropy, of the activation's kind.
    dice_cross_entropy: f64,
    /// Half the Dice loss plus twice the focal loss of gamma 1.5, per position, which MONAI computes in float32.
    dice_focal: Option<f64>,
}

const SOFTMAX: Activation = Activation::Softmax;
const SIGMOID: Activation = Activation::Sigmoid;

#[rustfmt::skip]
const TABLE: [Row; 8] = [
    row(SOFTMAX, true, false, [7.287_312_329_593_875e-1, 7.314_542_604_022_177e-1, 7.351_893_545_269_365e-1],
        7.844_041_733_879_005e-1, 3.697_320_622_312_515_2, Some(2.919_197_637_234_575)),
    row(SOFTMAX, true, true, [7.525_136_727_041_186e-1, 7.441_117_799_402_286e-1, 7.356_128_813_403_431e-1],
        7.431_844_430_140_417e-1, 3.680_065_479_689_800_2, Some(2.901_942_494_611_86)),
    row(SOFTMAX, false, false, [8.196_679_488_409_431e-1, 8.253_781_446_000_555e-1, 8.275_468_017_017_06e-1],
        8.866_280_069_769_003e-1, 3.744_651_753_027_132_4, None),
    row(SOFTMAX, false, true, [8.180_391_881_968_376e-1, 8.243_423_118_903_159e-1, 8.296_036_121_577_48e-1],
        8.254_615_572_184_125e-1, 3.719_964_646_542_83, None),
    row(SIGMOID, true, false, [6.482_494_634_811_546e-1, 6.390_160_793_519_344e-1, 6.219_566_448_598_597e-1],
        6.643_482_439_195_709e-1, 2.156_140_506_028_292, Some(1.374_391_672_740_814_3)),
    row(SIGMOID, true, true, [6.554_996_847_763_002e-1, 6.380_137_662_893_299e-1, 6.214_232_932_689_78e-1],
        5.867_994_473_530_144e-1, 2.131_474_133_156_603, Some(1.349_725_299_869_125_1)),
    row(SIGMOID, false, false, [7.281_117_531_630_065e-1, 7.322_022_062_054_612e-1, 7.337_559_416_121_329e-1],
        8.078_366_861_913_564e-1, 2.215_178_209_784_572, None),
    row(SIGMOID, false, true, [7.386_534_607_272_842e-1, 7.365_831_801_844_833e-1, 7.333_325_708_030_178e-1],
        6.987_177_138_949_866e-1, 2.181_561_817_230_46, None),
];

const fn row(
    activation: Activation,
    include_background: bool,
    batch: bool,
    generalized_dice: [f64; 3],
    tversky: f64,
    dice_cross_entropy: f64,
    dice_focal: Option<f64>,
) -> Row {
    Row { activation, include_background, batch, generalized_dice, tversky, dice_cross_entropy, dice_focal }
}

fn evaluate(loss: &dyn ReferenceLoss, class_weights: Option<&[f32]>) -> Evaluation {
    let layout = Layout::planes(2, 3, 4).unwrap();
    reference::evaluate(loss, &Batch { class_weights, ..Batch::new(layout, &LOGITS, &TARGETS) }).unwrap()
}

impl Row {
    fn dice(&self) -> Dice {
        let Self { activation, include_background, batch, .. } = *self;
        let (smooth_nr, smooth_dr) = (SMOOTH_NR, SMOOTH_DR);
        Dice { activation, include_background, batch, smooth_nr, smooth_dr, ..Dice::default() }
    }

    fn generalized_dice(&self, balance: ClassBalance, reduction: Reduction) -> GeneralizedDice {
        let Self { activation, include_background, batch, .. } = *self;
        let (smooth_nr, smooth_dr) = (SMOOTH_NR, SMOOTH_DR);
        let ignore_index = Vec::new();
        GeneralizedDice {
            reduction,
            ignore_index,
            activation,
            include_background,
            balance,
            batch,
            smooth_nr,
            smooth_dr,
        }
    }

    fn tversky(&self, reduction: Reduction) -> Tversky {
        Tversky {
            reduction,
            activation: self.activation,
            include_background: self.include_background,
            alpha: 0.25,
            beta: 0.75,
            batch: self.batch,
            smooth_nr: SMOOTH_NR,
            smooth_dr: SMOOTH_DR,
            ..Tversky::default()
        }
    }
}

#[test]
fn means_over_regions() {
    for row in &TABLE {
        let check_to = |relative: f64, loss: &dyn ReferenceLoss, want: f64| {
            assert_close(&format!("{loss:?}"), &[evaluate(loss, None).loss], &[want], relative, 0.0);
        };
        let check = |loss: &dyn ReferenceLoss, want: f64| check_to(FEW_ROUNDINGS, loss, want);
        let balances = [ClassBalance::Square, ClassBalance::Simple, ClassBalance::Uniform];
        for (balance, want) in balances.into_iter().zip(row.generalized_dice) {
            let relative = if balance == ClassBalance::Uniform { FEW_ROUNDINGS } else { FLOAT32 };
            check_to(relative, &row.generalized_dice(balance, Reduction::Mean), want);
        }
        check(&row.tversky(Reduction::Mean), row.tversky);
        let loss = DiceCrossEntropy { dice: row.dice(), lambda_dice: 0.5, lambda_cross_entropy: 2.0 };
        check(&loss, row.dice_cross_entropy);
    }
}

#[test]
fn dice_plus_focal() {
    for row in &TABLE {
        let Some(want) = row.dice_focal else { continue };
        let loss = DiceFocal { dice: row.dice(), gamma: 1.5, lambda_dice: 0.5, lambda_focal: 2.0 };
        assert_close(&format!("{loss:?}"), &[evaluate(&loss, None).loss], &[want], FLOAT32, 0.0);
    }
}

#[test]
fn unreduced() {
    let got = evaluate(&TABLE[0].generalized_dice(ClassBalance::Square, Reduction::None), None);
    assert_close("generalized_dice", &got.losses, &[0.684_874_672_187_347_3, 0.772_587_793_731_427_6], FLOAT32, 0.0);
    let got = evaluate(&TABLE[0].tversky(Reduction::None), None);
    let want = [
        0.563_916_439_537_489_3,
        0.976_684_434_685_717_6,
        0.750_908_982_594_950_6,
        0.595_996_572_882_312_4,
        0.841_196_843_534_455_8,
        0.977_721_767_092_476_9,
    ];
    assert_close("tversky", &got.losses, &want, FEW_ROUNDINGS, 0.0);
}

#[test]
fn class_weights_of_dice_plus_cross_entropy() {
    for (reduction, want) in [(Reduction::Mean, 5.395_373_498_439_654), (Reduction::Sum, 42.109_266_717_033_91)] {
        let dice = Dice { reduction, ..TABLE[0].dice() };
        let loss = DiceCrossEntropy { dice, lambda_dice: 0.5, lambda_cross_entropy: 2.0 };
        let got = evaluate(&loss, Some(&[0.5, 2.0, 1.25]));
        assert_close(&format!("{reduction:?}"), &[got.loss], &[want], FEW_ROUNDINGS, 0.0);
    }
}
