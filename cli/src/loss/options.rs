//! The options of the losses, as `logloss eval` takes them. Which loss has which is in `applicable.rs`.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;

/// PyTorch's ignore index.
const IGNORE_INDEX: i32 = -100;

/// What the user gives; what is absent has its default.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LossOptions {
    /// Weight of each class, shape (classes), at least 0; in an .npz or .safetensors file the array 'weight' or the only one
    #[arg(long, value_name = "FILE", help_heading = "Loss")]
    pub weight: Option<PathBuf>,

    /// Weight of each class where it is present, shape (classes), at least 0; the array 'pos_weight' or the only one: of
    /// bce-with-logits
    #[arg(long, value_name = "FILE", help_heading = "Loss")]
    pub pos_weight: Option<PathBuf>,

    /// Leave out rows with this class index; may be given several times [default: -100]
    #[arg(long, value_name = "I", allow_negative_numbers = true, help_heading = "Loss")]
    pub ignore_index: Vec<i32>,

    /// Leave out no row: every target must be a class index
    #[arg(long, conflicts_with = "ignore_index", help_heading = "Loss")]
    pub no_ignore_index: bool,

    /// Spread this share of the target over all classes, in [0, 1]: (1-E) * w_t * -log p_t + E/K * sum_c w_c * -log p_c
    /// [default: 0]
    #[arg(long, value_name = "E", allow_negative_numbers = true, help_heading = "Losses over a softmax")]
    pub label_smoothing: Option<f32>,

    /// Add Z * logsumexp(logits)^2 to each row's loss; at least 0 [default: 0]
    #[arg(long, value_name = "Z", allow_negative_numbers = true, help_heading = "Losses over a softmax")]
    pub z_loss: Option<f32>,

    /// Replace every logit x by S * tanh(x / S), before the temperature; greater than 0 [default: off]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = "Losses over a softmax")]
    pub softcap: Option<f32>,

    /// Divide the logits by this; greater than 0 [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = "Losses over a softmax")]
    pub temperature: Option<f32>,

    /// Exponent of 1 - p in focal, sigmoid-focal and dice-focal; at least 0 [default: 2]
    #[arg(long, value_name = "G", allow_negative_numbers = true, help_heading = "Focal losses")]
    pub gamma: Option<f32>,

    /// sigmoid-focal: weight of a positive, in [0, 1], where a negative has 1-A [default: none]. tversky: price of a false
    /// positive, at least 0 [default: 0.5]
    #[arg(long, value_name = "A", allow_negative_numbers = true, help_heading = "Focal losses")]
    pub alpha: Option<f32>,

    /// By how much a score should win, in hinge, squared-hinge and multi-margin [default: 1]
    #[arg(long, value_name = "M", allow_negative_numbers = true, help_heading = "Margin losses")]
    pub margin: Option<f32>,

    /// Exponent of a violated margin in multi-margin: 1 or 2 [default: 1]
    #[arg(long, value_name = "P", allow_negative_numbers = true, help_heading = "Margin losses")]
    pub p: Option<u32>,

    /// The targets of kl-div are log-probabilities
    #[arg(long, help_heading = "Divergences")]
    pub log_target: bool,

    /// What logit-divergence measures [default: kl]
    #[arg(long, value_enum, help_heading = "Divergences")]
    pub divergence: Option<DivergenceName>,

    /// What turns logits into predictions [default: softmax]
    #[arg(long, value_enum, help_heading = "Losses of regions")]
    pub activation: Option<ActivationName>,

    /// Whether class 0 takes part [default: true]
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new(), help_heading = "Losses of regions")]
    pub include_background: Option<bool>,

    /// Square predictions and targets in the denominator
    #[arg(long, help_heading = "Losses of regions")]
    pub squared_pred: bool,

    /// Intersection over union instead of Dice
    #[arg(long, help_heading = "Losses of regions")]
    pub jaccard: bool,

    /// Let a region span all samples
    #[arg(long, help_heading = "Losses of regions")]
    pub batch: bool,

    /// Added to the numerator; at least 0 [default: 1e-5]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Losses of regions")]
    pub smooth_nr: Option<f32>,

    /// Added to the denominator; at least 0 [default: 1e-5]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Losses of regions")]
    pub smooth_dr: Option<f32>,

    /// How generalized-dice weights a class by the sum of its targets [default: square]
    #[arg(long, value_enum, help_heading = "Losses of regions")]
    pub balance: Option<BalanceName>,

    /// tversky: price of a false negative, at least 0 [default: 0.5]; that of a false positive is --alpha
    #[arg(long, value_name = "B", allow_negative_numbers = true, help_heading = "Losses of regions")]
    pub beta: Option<f32>,

    /// Factor of the Dice part of dice-cross-entropy and dice-focal; at least 0 [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Losses of regions")]
    pub lambda_dice: Option<f32>,

    /// Factor of the cross-entropy in dice-cross-entropy; at least 0 [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Losses of regions")]
    pub lambda_ce: Option<f32>,

    /// Factor of the focal loss in dice-focal; at least 0 [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Losses of regions")]
    pub lambda_focal: Option<f32>,
}

impl LossOptions {
    /// Class indices that are left out.
    pub fn ignore_index(&self) -> Vec<i32> {
        match (self.no_ignore_index, self.ignore_index.as_slice()) {
            (true, _) => Vec::new(),
            (false, []) => vec![IGNORE_INDEX],
            (false, given) => given.to_vec(),
        }
    }
}

/// What turns the logits of a position into predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ActivationName {
    /// Classes exclude one another
    Softmax,
    /// Each class is a decision of its own
    Sigmoid,
}

impl From<ActivationName> for logloss::Activation {
    fn from(name: ActivationName) -> Self {
        match name {
            ActivationName::Softmax => Self::Softmax,
            ActivationName::Sigmoid => Self::Sigmoid,
        }
    }
}

/// A divergence between the targets' distribution p and the logits' distribution q.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DivergenceName {
    /// KL(p || q)
    Kl,
    /// KL(q || p)
    ReverseKl,
    /// (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2
    JensenShannon,
}

impl From<DivergenceName> for logloss::Divergence {
    fn from(name: DivergenceName) -> Self {
        match name {
            DivergenceName::Kl => Self::Kl,
            DivergenceName::ReverseKl => Self::ReverseKl,
            DivergenceName::JensenShannon => Self::JensenShannon,
        }
    }
}

/// Weight of a class by the sum of its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BalanceName {
    /// One over the square of the sum
    Square,
    /// One over the sum
    Simple,
    /// One
    Uniform,
}

impl From<BalanceName> for logloss::ClassBalance {
    fn from(name: BalanceName) -> Self {
        match name {
            BalanceName::Square => Self::Square,
            BalanceName::Simple => Self::Simple,
            BalanceName::Uniform => Self::Uniform,
        }
    }
}
