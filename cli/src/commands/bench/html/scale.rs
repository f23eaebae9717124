//! From numbers to places in a drawing.

/// A logarithmic axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogScale {
    /// The numbers at both ends.
    low: f64,
    high: f64,
    /// Where these are drawn.
    from: f64,
    to: f64,
}

impl LogScale {
    /// An axis from the least of these values to the greatest; none if there are none that a logarithm has.
    pub fn tight(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (low, high) = range(values)?;
        // A single value is drawn in the middle.
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, high * 2.0) };
        Some(Self { low, high, from, to })
    }

    /// As [`tight`](Self::tight), with ends at 1, 2 or 5 times a power of ten.
    pub fn round(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (low, high) = range(values)?;
        let marks = marks(low, high, &[1.0, 2.0, 5.0]);
        let low = marks.iter().copied().rfind(|&mark| mark <= low)?;
        let high = marks.iter().copied().find(|&mark| mark >= high)?;
        Self::tight([low, high], from, to)
    }

    /// Where a number is drawn.
    pub fn place(&self, value: f64) -> f64 {
        self.from + (value / self.low).ln() / (self.high / self.low).ln() * (self.to - self.from)
    }

    /// The numbers to write at the axis: powers of ten, and where there are few of these, twice and five times them.
    pub fn ticks(&self) -> Vec<f64> {
        let inside = |multiples: &[f64]| {
            let marks = marks(self.low, self.high, multiples).into_iter();
            // What rounding lost of the ends is not to cost them their ticks.
            marks.filter(|&m| (self.low * 0.999..=self.high * 1.001).contains(&m)).collect::<Vec<_>>()
        };
        let decades = inside(&[1.0]);
        if decades.len() > 2 { decades } else { inside(&[1.0, 2.0, 5.0]) }
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| v.is_finite() && *v > 0.0).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// Multiples of powers of ten, ascending, beyond both ends.
fn marks(low: f64, high: f64, multiples: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "exponents of float64")]
    let decade = |value: f64| value.log10().floor() as i32;
    let powers = decade(low) - 1..=decade(high) + 1;
    powers.flat_map(|power| multiples.iter().map(move |multiple| multiple * 10_f64.powi(power))).collect()
}

/// A place as the page writes it: a tenth of a pixel is enough.
pub(super) fn px(place: f64) -> String {
    format!("{place:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_ticks() {
        let scale = LogScale::round([3.0, 4000.0], 0.0, 100.0).expect("positive numbers");
        assert_eq!((scale.low, scale.high), (2.0, 5000.0));
        assert_eq!([scale.place(2.0), scale.place(5000.0), scale.place(100.0).round()], [0.0, 100.0, 50.0]);
        assert_eq!(scale.ticks(), [10.0, 100.0, 1000.0]);
        let narrow = LogScale::round([1.5, 7.0], 0.0, 1.0).expect("positive numbers");
        assert_eq!(narrow.ticks(), [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn nothing_to_draw() {
        assert_eq!(LogScale::tight([0.0, -1.0, f64::NAN, f64::INFINITY], 0.0, 1.0), None);
        assert_eq!(LogScale::tight([8.0], 0.0, 1.0).map(|scale| scale.place(8.0)), Some(0.5));
    }
}
