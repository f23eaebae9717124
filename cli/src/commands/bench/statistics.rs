//! Medians and quartiles of what the rounds gave.

use serde_json::{Map, Value};

/// Median and quartiles of a quantity over the rounds that count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub median: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
}

impl Spread {
    /// Of these values; NaN of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self {
            median: quantile(&values, 0.5),
            lower_quartile: quantile(&values, 0.25),
            upper_quartile: quantile(&values, 0.75),
        }
    }

    /// Puts the three numbers into an object, under names that end in the unit.
    pub fn put(self, object: &mut Map<String, Value>, name: &str, unit: &str) {
        let numbers =
            [("median", self.median), ("lower_quartile", self.lower_quartile), ("upper_quartile", self.upper_quartile)];
        for (which, value) in numbers {
            object.insert(format!("{name}_{which}_{unit}"), crate::number::json(value));
        }
    }
}

/// A quantile of sorted values, between two of them in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the number of values")]
    let below = place.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles() {
        let spread = |values: &[f64]| {
            let Spread { median, lower_quartile, upper_quartile } = Spread::of(values.iter().copied());
            [lower_quartile, median, upper_quartile]
        };
        assert_eq!(spread(&[5.0, 1.0, 3.0, 2.0, 4.0]), [2.0, 3.0, 4.0]);
        assert_eq!(spread(&[1.0, 2.0]), [1.25, 1.5, 1.75]);
        assert_eq!(spread(&[7.0]), [7.0; 3]);
        assert!(spread(&[]).iter().all(|value| value.is_nan()));
    }
}
