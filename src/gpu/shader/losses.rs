//! The register of loss fragments, and what they stand on.

use super::bindings::{CLASS_WEIGHTS, DETAILS, LOSSES, POS_WEIGHTS, ROW_WEIGHTS, STATUS, TARGETS};
use super::fragment::{Fragment, fragment};
use super::schedule::{Reduce, RowSchedule};
use crate::gpu::switch::Switch;

/// What a loss fragment stands on: the kind of its targets, and the schedules that can run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// Rows against one class index each.
    Labelled,
    /// Rows against one value a class.
    Dense,
    /// Rows against nothing: softmax.
    Plain,
    /// Logits, each against one value.
    Elements,
    /// All positions of a class.
    Regions,
}

/// Declares the loss fragments: a line each, with what it needs of `shaders/row/` and `shaders/math/`.
macro_rules! fragments {
    ($($(#[$doc:meta])* $variant:ident: $family:ident, $name:literal, [$($part:literal),*], $path:literal, [$($switch:ident),*];)*) => {
        /// What happens to the logits: a loss, or one of the separate passes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LossFragment {
            $($(#[$doc])* $variant,)*
        }

        impl LossFragment {
            /// Every fragment.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub(super) const fn parts(self) -> &'static [Fragment] {
                match self {
                    $(Self::$variant => &[$(fragment!($part),)* fragment!($path)],)*
                }
            }

            pub(crate) const fn family(self) -> Family {
                match self {
                    $(Self::$variant => Family::$family,)*
                }
            }

            pub(crate) const fn switches(self) -> &'static [Switch] {
                match self {
                    $(Self::$variant => &[$(Switch::$switch),*],)*
                }
            }

            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

fragments! {
    /// `shaders/loss/cross_entropy.wgsl`
    CrossEntropy: Labelled, "cross_entropy",
        ["row/max_sum.wgsl", "row/rest.wgsl", "row/one_pass.wgsl", "row/margin.wgsl"], "loss/cross_entropy.wgsl",
        [Details, Softcap, Smoothing];
    /// `shaders/loss/focal.wgsl`
    Focal: Labelled, "focal",
        ["row/max_sum.wgsl", "row/rest.wgsl", "row/one_pass.wgsl", "row/margin.wgsl"], "loss/focal.wgsl",
        [Details, Softcap];
    /// `shaders/loss/nll.wgsl`
    Nll: Labelled, "nll", ["row/one_pass.wgsl"], "loss/nll.wgsl", [Details];
    /// `shaders/loss/multi_margin.wgsl`
    MultiMargin: Labelled, "multi_margin",
        ["row/max_sum.wgsl", "row/rest.wgsl", "row/one_pass.wgsl"], "loss/multi_margin.wgsl", [Details, Squared];
    /// `shaders/loss/soft_cross_entropy.wgsl`
    SoftCrossEntropy: Dense, "soft_cross_entropy", ["row/one_pass.wgsl"], "loss/soft_cross_entropy.wgsl", [Softcap];
    /// `shaders/loss/kl_div.wgsl`
    KlDiv: Dense, "kl_div", ["math/divergence.wgsl"], "loss/kl_div.wgsl", [ElementLosses, LogTarget, Softcap];
    /// `shaders/loss/logit_divergence.wgsl`
    LogitDivergence: Dense, "logit_divergence", ["math/divergence.wgsl"], "loss/logit_divergence.wgsl",
        [Softcap, Reverse, JensenShannon];
    /// `shaders/loss/bce.wgsl`
    Bce: Elements, "bce", [], "loss/bce.wgsl", [ElementLosses];
    /// `shaders/loss/bce_with_logits.wgsl`
    BceWithLogits: Elements, "bce_with_logits", [], "loss/bce_with_logits.wgsl", [ElementLosses, PosWeights];
    /// `shaders/loss/sigmoid_focal.wgsl`
    SigmoidFocal: Elements, "sigmoid_focal", [], "loss/sigmoid_focal.wgsl", [ElementLosses];
    /// `shaders/loss/mse.wgsl`
    Mse: Elements, "mse", [], "loss/mse.wgsl", [ElementLosses];
    /// `shaders/loss/hinge.wgsl`
    Hinge: Elements, "hinge", [], "loss/hinge.wgsl", [ElementLosses, Squared];
    /// `shaders/loss/dice.wgsl`
    Dice: Regions, "dice", [], "loss/dice.wgsl", [];
    /// `shaders/loss/tversky.wgsl`
    Tversky: Regions, "tversky", [], "loss/tversky.wgsl", [];
    /// `shaders/loss/generalized_dice.wgsl`
    GeneralizedDice: Regions, "generalized_dice", [], "loss/generalized_dice.wgsl", [];
    /// `shaders/pass/softmax.wgsl`
    Softmax: Plain, "softmax", ["row/max_sum.wgsl", "row/softmax.wgsl", "row/one_pass.wgsl"], "pass/softmax.wgsl",
        [Logarithm];
}

impl LossFragment {
    /// Whether its statistics read a row once, and not twice.
    pub(crate) fn reads_once(self) -> bool {
        self.parts().iter().any(|part| part.path == "row/one_pass.wgsl")
    }
}

impl Family {
    /// What every loss of the family needs.
    pub(super) fn parts(self) -> &'static [Fragment] {
        match self {
            Self::Labelled => &[
                fragment!("row/weights.wgsl"),
                fragment!("row/ignore.wgsl"),
                fragment!("row/target.wgsl"),
                fragment!("row/labelled.wgsl"),
                fragment!("row/result.wgsl"),
                fragment!("row/details.wgsl"),
                fragment!("row/status.wgsl"),
                fragment!("row/order.wgsl"),
            ],
            Self::Dense => &[
                fragment!("row/weights.wgsl"),
                fragment!("row/dense.wgsl"),
                fragment!("row/result.wgsl"),
                fragment!("row/status.wgsl"),
                fragment!("row/max_sum.wgsl"),
                fragment!("row/softmax.wgsl"),
            ],
            Self::Plain | Self::Regions => &[],
            Self::Elements => &[fragment!("element/position.wgsl"), fragment!("row/status.wgsl")],
        }
    }

    /// The schedules that can run it.
    pub(super) fn schedules(self) -> &'static [RowSchedule] {
        match self {
            Self::Labelled | Self::Dense | Self::Plain => &[
                RowSchedule::Lane,
                RowSchedule::Planes,
                RowSchedule::Workgroup(Reduce::Workgroup),
                RowSchedule::Workgroup(Reduce::Subgroup),
                RowSchedule::Subgroup,
                RowSchedule::Slices,
            ],
            Self::Elements => &[RowSchedule::Blocks { entries: false }, RowSchedule::Blocks { entries: true }],
            // Entry points of their own.
            Self::Regions => &[],
        }
    }

    /// Its storage bindings besides logits and gradient: (binding, read only).
    pub(super) fn bindings(self) -> &'static [(u32, bool)] {
        match self {
            Self::Labelled | Self::Dense => &[
                (TARGETS, true),
                (CLASS_WEIGHTS, true),
                (ROW_WEIGHTS, true),
                (LOSSES, false),
                (DETAILS, false),
                (STATUS, false),
            ],
            Self::Plain | Self::Regions => &[],
            Self::Elements => &[
                (TARGETS, true),
                (CLASS_WEIGHTS, true),
                (ROW_WEIGHTS, true),
                (LOSSES, false),
                (POS_WEIGHTS, true),
                (STATUS, false),
            ],
        }
    }
}
