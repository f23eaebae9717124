//! Parts of a shader that are compiled in or left out.

/// A boolean `override` of a loss fragment or of its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Switch {
    /// Rows share chunks with their neighbours, or with the gaps between them.
    Edges,
    /// A row of a lane has no block of chunks.
    Short,
    /// Every class of a sample starts on a chunk boundary.
    Aligned,
    /// Lanes that share a word take turns.
    Rounds,
    /// There are gaps between rows.
    Gaps,
    /// The row and class of an element are known.
    Positions,
    /// There are class or row weights.
    Weights,
    /// There are weights of classes that are present.
    PosWeights,
    /// Log-partition, target log-probability, argmax and rank of each row.
    Details,
    /// One loss an element is written.
    ElementLosses,
    /// The soft cap on logits.
    Softcap,
    /// Label smoothing.
    Smoothing,
    /// The logarithm of the softmax.
    Logarithm,
    /// Targets are log-probabilities.
    LogTarget,
    /// Violations, or predictions, are squared.
    Squared,
    /// The divergence is the other way round.
    Reverse,
    /// The divergence is from the mean of both.
    JensenShannon,
    /// Each class is a decision of its own.
    Sigmoid,
    /// Targets are one value a logit.
    DenseTargets,
    /// There is a loss of positions besides that of regions.
    Pointwise,
    /// It is the focal loss.
    FocalTerm,
}

impl Switch {
    /// Its name in the WGSL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edges => "EDGES",
            Self::Short => "SHORT",
            Self::Aligned => "ALIGNED",
            Self::Rounds => "ROUNDS",
            Self::Gaps => "GAPS",
            Self::Positions => "POSITIONS",
            Self::Weights => "WEIGHTS",
            Self::PosWeights => "POS_WEIGHTS",
            Self::Details => "DETAILS",
            Self::ElementLosses => "ELEMENT_LOSSES",
            Self::Softcap => "SOFTCAP",
            Self::Smoothing => "SMOOTHING",
            Self::Logarithm => "LOGARITHM",
            Self::LogTarget => "LOG_TARGET",
            Self::Squared => "SQUARED",
            Self::Reverse => "REVERSE",
            Self::JensenShannon => "JENSEN_SHANNON",
            Self::Sigmoid => "SIGMOID",
            Self::DenseTargets => "DENSE",
            Self::Pointwise => "POINTWISE",
            Self::FocalTerm => "FOCAL",
        }
    }
}

/// The switches that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Switches(u32);

impl Switches {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// These and `switch` if `on`.
    #[must_use]
    pub const fn with(self, switch: Switch, on: bool) -> Self {
        if on { Self(self.0 | 1 << switch as u32) } else { self }
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn has(self, switch: Switch) -> bool {
        self.0 & 1 << switch as u32 != 0
    }

    /// None, each alone, and all of `switches`.
    pub fn samples(switches: &[Switch]) -> Vec<Self> {
        let mut sets = vec![Self::NONE];
        sets.extend(switches.iter().map(|&switch| Self::NONE.with(switch, true)));
        if switches.len() > 1 {
            sets.push(switches.iter().fold(Self::NONE, |all, &switch| all.with(switch, true)));
        }
        sets
    }
}
