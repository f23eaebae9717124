//! Parts of a row fragment that are compiled in or left out.

/// A boolean `override` of a row fragment or of its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Switch {
    /// Rows share chunks with their neighbours.
    Edges,
    /// Log-partition, target log-probability, argmax and rank of each row.
    Details,
    /// Label smoothing.
    Smoothing,
    /// The logarithm of the softmax.
    Logarithm,
}

impl Switch {
    /// Its name in the WGSL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edges => "EDGES",
            Self::Details => "DETAILS",
            Self::Smoothing => "SMOOTHING",
            Self::Logarithm => "LOGARITHM",
        }
    }
}

/// The switches that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Switches(u8);

impl Switches {
    /// These and `switch` if `on`.
    #[must_use]
    pub const fn with(self, switch: Switch, on: bool) -> Self {
        if on { Self(self.0 | 1 << switch as u8) } else { self }
    }

    pub const fn has(self, switch: Switch) -> bool {
        self.0 & 1 << switch as u8 != 0
    }

    /// Every subset of `switches`.
    pub fn subsets(switches: &[Switch]) -> Vec<Self> {
        let extend = |sets: Vec<Self>, &switch| {
            [false, true].map(|on| sets.iter().map(move |s| s.with(switch, on)).collect::<Vec<_>>()).concat()
        };
        switches.iter().fold(vec![Self::default()], extend)
    }
}
