//! Rows to learn from and rows to judge by, and their columns on a common scale.

use super::dataset::Dataset;

/// Rows to learn from, and rows to judge by.
#[derive(Debug, Clone, PartialEq)]
pub struct Split<T = Dataset> {
    /// Rows to learn from.
    pub train: T,
    /// Rows to judge by.
    pub test: T,
}

/// Rows of features.
pub trait Table {
    /// Number of features of a row.
    fn columns(&self) -> usize;

    /// Features: row `r`, column `c` is element `r * columns + c`.
    fn features(&mut self) -> &mut [f32];
}

impl<T: Table> Split<T> {
    /// Standardises each column: `(x - mean) / deviation`, the mean and the population deviation of the training rows.
    ///
    /// - The test rows take no part in the statistics, as unseen data could not; they are mapped with the same numbers.
    /// - A column that is constant over the training rows has no scale, and becomes 0 everywhere.
    /// - Two passes in f64: the squares of areas near 1000 would cost a one-pass f32 variance most of its digits.
    #[must_use]
    pub fn standardised(mut self) -> Self {
        // At least 1 in a parsed table; max keeps a hand-made empty one from panicking.
        let columns = self.train.columns().max(1);
        for column in 0..columns {
            let train = self.train.features();
            let scale = Scale::of(train.iter().skip(column).step_by(columns).copied());
            for features in [train, self.test.features()] {
                features.iter_mut().skip(column).step_by(columns).for_each(|x| *x = scale.apply(*x));
            }
        }
        self
    }
}

/// What maps a column to mean 0 and variance 1.
struct Scale {
    mean: f64,
    /// Population standard deviation; absent for a constant column.
    deviation: Option<f64>,
}

impl Scale {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        // Compared, not computed: rounding could leave a constant column a tiny deviation to divide by.
        let constant = values.clone().zip(values.clone().skip(1)).all(|(a, b)| a == b);
        let count = values.clone().count() as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / count;
        let variance = values.map(|x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        Self { mean, deviation: (!constant).then(|| variance.sqrt()) }
    }

    fn apply(&self, x: f32) -> f32 {
        self.deviation.map_or(0.0, |deviation| ((f64::from(x) - self.mean) / deviation) as f32)
    }
}
