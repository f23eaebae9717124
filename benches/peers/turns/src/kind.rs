//! Targets of losses other than cross-entropy, the same bits in Rust and in numpy (`turns.py`).

use logloss::{Definition, Domain, TargetKind, Unit};
use rayon::prelude::*;

/// What the targets of a loss are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A class of each row.
    Classes,
    /// 1 or -1 of each logit.
    Signs,
    /// From 0 to 1.
    Fractions,
    /// The same with a sum near 1 in each row.
    Distributions,
}

impl Kind {
    /// Of a loss that peers have too.
    pub fn of(definition: &Definition<'_>) -> Self {
        match (definition.targets, definition.domains.target) {
            (TargetKind::Dense, Domain::Sign) => Self::Signs,
            (TargetKind::Dense, _) if definition.unit == Unit::Row || definition.name == "kl_div" => {
                Self::Distributions
            }
            (TargetKind::Dense, _) => Self::Fractions,
            _ => Self::Classes,
        }
    }

    /// As the children are told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::Signs => "signs",
            Self::Fractions => "fractions",
            Self::Distributions => "distributions",
        }
    }
}

/// Dense targets, as many as there are logits.
pub fn values(kind: Kind, n: usize, classes: u32) -> Vec<f32> {
    let scale = if kind == Kind::Distributions { 2.0 / classes as f32 } else { 1.0 };
    let value = |i: usize| {
        let fraction = ((i as u32).wrapping_mul(2_246_822_519) >> 8) as f32 / (1 << 24) as f32;
        if kind == Kind::Signs { if fraction > 0.5 { 1.0 } else { -1.0 } } else { fraction * scale }
    };
    (0..n).into_par_iter().map(value).collect()
}
