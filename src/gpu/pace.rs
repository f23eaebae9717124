//! How many logits a submission should have: as many as the device was measured to finish in a time that keeps it answering.

use std::time::Duration;

/// What a submission should take. Windows resets a GPU that is busy for two seconds, and a desktop that shares it stutters long
/// before; a submission itself costs well under a millisecond.
const GOAL: Duration = Duration::from_millis(100);

/// Logits of a first batch: 4 MiB of float32, which a device of 40 MB a second finishes in [`GOAL`].
const FIRST: u64 = 1 << 20;

/// By how much one batch may be larger than another that was measured: short ones say little of long ones.
const GROWTH: u64 = 4;

/// What was measured so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    logits: u64,
    longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { logits: FIRST, longest: Duration::ZERO }
    }
}

impl Pace {
    /// Logits that the next batch should have at most; at least one.
    pub const fn logits(self) -> u64 {
        self.logits
    }

    /// The longest that a batch took.
    pub const fn longest(self) -> Duration {
        self.longest
    }

    /// Takes note of what a batch of so many logits took.
    pub fn record(&mut self, logits: u64, took: Duration) {
        self.longest = self.longest.max(took);
        let fitting = u128::from(logits) * GOAL.as_nanos() / took.as_nanos().max(1);
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX);
        self.logits = fitting.min(logits.saturating_mul(GROWTH)).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The sizes of a stream on a device that takes `of` a batch, where each batch is sized by all before.
    fn sizes(count: usize, of: impl Fn(u64) -> Duration) -> Vec<u64> {
        let mut pace = Pace::default();
        let next = |_| {
            let logits = pace.logits();
            pace.record(logits, of(logits));
            logits
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn grows_to_the_goal_and_stays() {
        // A logit a nanosecond, and a millisecond for each submission.
        let sizes = sizes(12, |logits| MS + Duration::from_nanos(logits));
        assert_eq!(sizes[0], FIRST);
        assert!(sizes.windows(2).all(|pair| pair[1] <= GROWTH * pair[0]), "{sizes:?}");
        // 99 ms of logits; less than a logit is lost to each division.
        assert!(sizes[8..].iter().all(|size| size.abs_diff(99_000_000) < 1_000_000), "{sizes:?}");
    }

    #[test]
    fn a_slow_device_gets_less_at_once() {
        let mut pace = Pace::default();
        pace.record(FIRST, 1000 * MS);
        assert_eq!(pace.logits(), FIRST / 10);
        pace.record(FIRST / 10, 100 * MS);
        assert_eq!((pace.logits(), pace.longest()), (FIRST / 10, 1000 * MS));
    }

    #[test]
    fn one_delay_is_made_up_for() {
        let mut pace = Pace::default();
        pace.record(1 << 24, 10 * MS);
        let before = pace.logits();
        pace.record(before, 10_000 * MS);
        assert_eq!(pace.logits(), before / 100);
        for _ in 0..5 {
            pace.record(pace.logits(), 10 * MS);
        }
        assert!(pace.logits() > before);
    }

    #[test]
    fn never_nothing_and_never_too_much() {
        let mut pace = Pace::default();
        pace.record(1, Duration::MAX);
        assert_eq!(pace.logits(), 1);
        pace.record(u64::MAX, Duration::ZERO);
        assert_eq!(pace.logits(), u64::MAX);
    }
}
