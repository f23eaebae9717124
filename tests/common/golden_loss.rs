//! The losses of the golden cases, from PyTorch's names of their options.

use std::cell::Cell;

use logloss::{
    Activation, Bce, BceWithLogits, CrossEntropy, Dice, Focal, Hinge, KlDiv, Mse, MultiMargin, Nll, Reduction,
    SigmoidFocal, SoftCrossEntropy, SquaredHinge,
};
use serde_json::{Map, Value};

use super::golden::{GoldenLoss, Tested};

/// Which float32 stands for a float64 that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    Nearest,
    Down,
    Up,
}

/// The metadata of a case, read with one rounding of its numbers.
pub struct Options<'a> {
    loss: &'a str,
    options: &'a Map<String, Value>,
    rounding: Rounding,
    /// The number that is no float32, and what it became.
    rounded: Cell<Option<(f64, f64)>>,
}

impl<'a> Options<'a> {
    pub fn new(case: &'a Value, rounding: Rounding) -> Self {
        let loss = case["loss"].as_str().expect("a name");
        Self { loss, options: case["options"].as_object().expect("options"), rounding, rounded: Cell::new(None) }
    }

    /// After [`loss`](Self::loss): the only number that is no float32, if there is one, and what it became.
    pub fn rounded(&self) -> Option<(f64, f64)> {
        self.rounded.get()
    }

    pub fn loss(&self) -> GoldenLoss {
        let (reduction, ignore_index) = (self.reduction(), self.ignore_index());
        match self.loss {
            "cross_entropy" => {
                self.knows(&["ignore_index", "label_smoothing"]);
                let label_smoothing = self.number("label_smoothing", 0.0);
                let loss = CrossEntropy { reduction, ignore_index, label_smoothing, ..CrossEntropy::default() };
                GoldenLoss::CrossEntropy(loss)
            }
            "nll" => {
                self.knows(&["ignore_index"]);
                GoldenLoss::Nll(Nll { reduction, ignore_index })
            }
            "soft_cross_entropy" => {
                self.knows(&["label_smoothing"]);
                let label_smoothing = self.number("label_smoothing", 0.0);
                other(SoftCrossEntropy { reduction, label_smoothing, ..SoftCrossEntropy::default() })
            }
            "focal" => {
                self.knows(&["gamma"]);
                other(Focal { reduction, gamma: self.number("gamma", 2.0), ..Focal::default() })
            }
            "multi_margin" => {
                self.knows(&["p", "margin"]);
                let p = self.options["p"].as_u64().and_then(|p| p.try_into().ok()).expect("1 or 2");
                other(MultiMargin { reduction, p, margin: self.number("margin", 1.0), ..MultiMargin::default() })
            }
            "kl_div" => {
                self.knows(&["log_target"]);
                other(KlDiv { reduction, log_target: self.flag("log_target", false), ..KlDiv::default() })
            }
            "bce" => {
                self.knows(&[]);
                other(Bce { reduction })
            }
            "bce_with_logits" => {
                self.knows(&[]);
                other(BceWithLogits { reduction })
            }
            "sigmoid_focal" => {
                self.knows(&["gamma", "alpha"]);
                let alpha = (!self.options["alpha"].is_null()).then(|| self.number("alpha", 0.25));
                other(SigmoidFocal { reduction, gamma: self.number("gamma", 2.0), alpha })
            }
            "mse" => {
                self.knows(&[]);
                other(Mse { reduction })
            }
            "hinge" => {
                self.knows(&["margin"]);
                other(Hinge { reduction, margin: self.number("margin", 1.0) })
            }
            "squared_hinge" => {
                self.knows(&["margin"]);
                other(SquaredHinge { reduction, margin: self.number("margin", 1.0) })
            }
            "dice" => other(self.dice()),
            other => panic!("unknown loss {other}"),
        }
    }

    fn dice(&self) -> Dice {
        let flags = ["include_background", "squared_pred", "jaccard", "batch"];
        self.knows(&[&flags[..], &["activation", "smooth_nr", "smooth_dr"]].concat());
        Dice {
            reduction: self.reduction(),
            activation: match self.options["activation"].as_str() {
                Some("softmax") => Activation::Softmax,
                Some("sigmoid") => Activation::Sigmoid,
                other => panic!("unknown activation {other:?}"),
            },
            include_background: self.flag("include_background", true),
            squared_pred: self.flag("squared_pred", false),
            jaccard: self.flag("jaccard", false),
            batch: self.flag("batch", false),
            smooth_nr: self.number("smooth_nr", 1e-5),
            smooth_dr: self.number("smooth_dr", 1e-5),
            ..Dice::default()
        }
    }

    fn knows(&self, names: &[&str]) {
        let known = |name: &str| name == "reduction" || names.contains(&name);
        assert!(
            self.options.keys().all(|name| known(name)),
            "an unknown option of {} in {:?}",
            self.loss,
            self.options
        );
    }

    fn reduction(&self) -> Reduction {
        match self.options.get("reduction").map(|name| name.as_str().expect("a string")) {
            None | Some("mean") => Reduction::Mean,
            Some("sum") => Reduction::Sum,
            Some("none") => Reduction::None,
            Some("batchmean") => Reduction::BatchMean,
            Some(other) => panic!("unknown reduction {other}"),
        }
    }

    fn ignore_index(&self) -> Vec<i32> {
        let index = |index: &Value| index.as_i64().and_then(|index| index.try_into().ok()).expect("an int32");
        self.options.get("ignore_index").map(index).into_iter().collect()
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.options.get(name).map_or(default, |flag| flag.as_bool().expect("a flag"))
    }

    fn number(&self, name: &str, default: f64) -> f32 {
        let exact = self.options.get(name).map_or(default, |number| number.as_f64().expect("a number"));
        let nearest = exact as f32;
        if f64::from(nearest) == exact {
            return nearest;
        }
        let rounded = match self.rounding {
            Rounding::Down if f64::from(nearest) > exact => nearest.next_down(),
            Rounding::Up if f64::from(nearest) < exact => nearest.next_up(),
            _ => nearest,
        };
        let before = self.rounded.replace(Some((exact, rounded.into())));
        assert!(
            before.is_none_or(|(before, _)| before == exact),
            "only one number of {:?} is no float32",
            self.options
        );
        rounded
    }
}

fn other(loss: impl Tested + 'static) -> GoldenLoss {
    GoldenLoss::Other(Box::new(loss))
}
