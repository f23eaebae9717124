//! From how many rows on the GPU is faster than the CPU.

use crate::number;

/// From how many rows on the GPU is faster, as far as was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum BreakEven {
    /// From about this number on.
    At(f64),
    /// From the fewest that were measured on.
    FromTheFirst(u32),
    /// Not with the most that were measured.
    Never(u32),
}

/// Times with one number of rows, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub rows: u32,
    pub cpu: f64,
    pub gpu: f64,
}

impl BreakEven {
    /// Of times by ascending rows; none of none. Between the last number of rows with which the GPU is slower and the next, the
    /// logarithm of the ratio of the times is taken to be linear in that of the rows.
    pub fn of(times: &[Times]) -> Option<Self> {
        let advantage = |t: &Times| (t.cpu / t.gpu).ln();
        let most = times.last()?;
        let Some(i) = times.iter().rposition(|t| t.gpu > t.cpu) else {
            return Some(Self::FromTheFirst(times.first()?.rows));
        };
        let (slower, Some(faster)) = (times.get(i)?, times.get(i + 1)) else { return Some(Self::Never(most.rows)) };
        let (from, to) = (advantage(slower), advantage(faster));
        let share = -from / (to - from);
        let (low, high) = (f64::from(slower.rows).ln(), f64::from(faster.rows).ln());
        Some(Self::At((low + share * (high - low)).exp()))
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::At(rows) => format!("about {} rows", rounded(rows)),
            Self::FromTheFirst(rows) => format!("at most {}", plural(rows)),
            Self::Never(rows) => format!("never, up to {}", plural(rows)),
        }
    }

    /// The rows; none where it is never.
    pub const fn rows(self) -> Option<f64> {
        match self {
            Self::At(rows) => Some(rows),
            Self::FromTheFirst(rows) => Some(rows as f64),
            Self::Never(_) => None,
        }
    }

    /// In a word, for programs.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::At(_) => "at",
            Self::FromTheFirst(_) => "at most",
            Self::Never(_) => "never in the range measured",
        }
    }
}

fn plural(rows: u32) -> String {
    format!("{} row{}", number::grouped(rows.into()), if rows == 1 { "" } else { "s" })
}

/// Two digits: the rest would be an invention.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of rows")]
fn rounded(rows: f64) -> String {
    let unit = 10_f64.powf((rows.max(1.0).log10().floor() - 1.0).max(0.0));
    number::grouped(((rows / unit).round() * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[(u32, f64, f64)]) -> Option<BreakEven> {
        BreakEven::of(&times.iter().map(|&(rows, cpu, gpu)| Times { rows, cpu, gpu }).collect::<Vec<_>>())
    }

    #[test]
    fn of_a_constant_and_a_line() {
        // A device that takes 100 whatever the rows, and a CPU that takes 1 a row.
        let Some(BreakEven::At(rows)) = of(&[(10, 10.0, 100.0), (1000, 1000.0, 100.0)]) else { panic!("crosses") };
        assert!((rows / 100.0 - 1.0).abs() < 1e-12, "{rows}");
    }

    #[test]
    fn outside_of_the_range() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(8, 2.0, 1.0), (64, 9.0, 1.0)]), Some(BreakEven::FromTheFirst(8)));
        assert_eq!(of(&[(8, 1.0, 2.0), (64, 8.0, 9.0)]), Some(BreakEven::Never(64)));
        // A device that is faster for a while only is not faster from some number on.
        assert_eq!(of(&[(8, 2.0, 1.0), (64, 8.0, 9.0)]), Some(BreakEven::Never(64)));
    }

    #[test]
    fn words() {
        assert_eq!(BreakEven::At(12_345.0).words(), "about 12,000 rows");
        assert_eq!(BreakEven::At(7.6).words(), "about 8 rows");
        assert_eq!(BreakEven::FromTheFirst(1).words(), "at most 1 row");
        assert_eq!(BreakEven::Never(4096).words(), "never, up to 4,096 rows");
    }
}
