//! Curves over the number of rows, both axes logarithmic.
//!
//! Drawn here rather than by a charting crate: colours are variables of the page, which turns dark with the system, and text keeps
//! its size on a phone, where the drawing is as wide as the screen.

use maud::{Markup, html};

use super::scale::{LogScale, px};
use crate::commands::bench::statistics::Spread;
use crate::number;

/// Units of the drawing, one of which is about a pixel of a phone.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = HEIGHT - 36.0;
/// A digit's width.
const DIGIT: f64 = 6.4;

/// What a curve is of: its colour, its dashes and its marks, so that colour alone tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cpu,
    Kernel,
    Upload,
    RoundTrip,
}

impl Kind {
    pub const fn class(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Kernel => "kernel",
            Self::Upload => "upload",
            Self::RoundTrip => "round-trip",
        }
    }

    const fn dashes(self) -> &'static str {
        match self {
            Self::Cpu | Self::Kernel => "none",
            Self::Upload => "7 4",
            Self::RoundTrip => "1.5 4",
        }
    }

    /// The mark of a measured point.
    fn mark(self, x: f64, y: f64, title: Option<&str>) -> Markup {
        let outline = match self {
            Self::Cpu => [(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)].as_slice(),
            Self::Kernel => &[(0.0, -4.2), (3.6, -2.1), (3.6, 2.1), (0.0, 4.2), (-3.6, 2.1), (-3.6, -2.1)],
            Self::Upload => &[(0.0, -4.6), (4.4, 3.4), (-4.4, 3.4)],
            Self::RoundTrip => &[(0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)],
        };
        let points: Vec<_> = outline.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy)).collect();
        html! {
            polygon class="mark" points=(points.join(" ")) {
                @if let Some(title) = title { title { (title) } }
            }
        }
    }
}

/// A curve.
pub(super) struct Curve {
    pub kind: Kind,
    pub name: String,
    /// Rows and what was measured with them, ascending.
    pub points: Vec<(u32, Spread)>,
    /// Rows from which on it wins.
    pub crossing: Option<f64>,
}

/// A figure.
pub(super) struct Curves<'a> {
    pub caption: &'a str,
    /// What is drawn upwards, with its unit.
    pub quantity: &'a str,
    /// A number of it in words.
    pub words: fn(f64) -> String,
    /// The classes of a row.
    pub classes: u32,
    /// Whether to draw where both sides are even.
    pub has_even: bool,
    pub curves: Vec<Curve>,
}

impl Curves<'_> {
    /// The figure with its legend; nothing if there is nothing to draw.
    pub fn draw(&self) -> Markup {
        let rows = || self.curves.iter().flat_map(|c| c.points.iter().map(|&(rows, _)| f64::from(rows)));
        let spreads = self.curves.iter().flat_map(|curve| curve.points.iter().map(|(_, spread)| spread));
        let values = spreads.flat_map(|s| [s.lower_quartile, s.median, s.upper_quartile]);
        let values = values.chain(self.has_even.then_some(1.0));
        let (Some(x), Some(y)) = (LogScale::tight(rows(), LEFT + 6.0, RIGHT), LogScale::round(values, BOTTOM, TOP))
        else {
            return html! {};
        };
        html! {
            figure {
                figcaption { (self.caption) }
                svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.caption) {
                    (self.axes(&x, &y))
                    @for curve in &self.curves { (self.curve(curve, &x, &y)) }
                }
                (self.legend())
            }
        }
    }

    fn axes(&self, x: &LogScale, y: &LogScale) -> Markup {
        let classes = number::grouped(self.classes.into());
        html! {
            text class="muted" x="0" y="11" { (self.quantity) }
            @for tick in y.ticks() {
                @let at = y.place(tick);
                line class="grid" x1=(LEFT) y1=(px(at)) x2=(RIGHT) y2=(px(at)) {}
                text x=(LEFT - 6.0) y=(px(at + 4.0)) text-anchor="end" { (round((self.words)(tick))) }
            }
            @for (at, label) in self.row_labels(x) {
                line class="grid" x1=(px(at)) y1=(TOP) x2=(px(at)) y2=(BOTTOM + 4.0) {}
                @if let Some((middle, label)) = label {
                    text x=(px(middle)) y=(BOTTOM + 16.0) text-anchor="middle" { (label) }
                }
            }
            text class="muted" x=(px(LEFT.midpoint(RIGHT))) y=(HEIGHT - 3.0) text-anchor="middle" { "rows of " (classes) " classes" }
            @if self.has_even {
                @let at = y.place(1.0);
                line class="even" x1=(LEFT) y1=(px(at)) x2=(RIGHT) y2=(px(at)) {}
            }
        }
    }

    /// Where the measured numbers of rows are, and their labels with the middle of each, but for labels that would run into
    /// another.
    fn row_labels(&self, x: &LogScale) -> Vec<(f64, Option<(f64, String)>)> {
        let mut rows: Vec<u32> = self.curves.iter().flat_map(|c| c.points.iter().map(|&(rows, _)| rows)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut free = WIDTH;
        let mut labels = Vec::new();
        for rows in rows.into_iter().rev() {
            let (at, label) = (x.place(rows.into()), number::grouped(rows.into()));
            let half = DIGIT * label.len() as f64 / 2.0;
            // The last stays within the drawing.
            let middle = at.min(WIDTH - half);
            let fits = middle + half <= free;
            if fits {
                free = middle - half - DIGIT;
            }
            labels.push((at, fits.then_some((middle, label))));
        }
        labels
    }

    fn curve(&self, curve: &Curve, x: &LogScale, y: &LogScale) -> Markup {
        let place = |(rows, value): (f64, f64)| (x.place(rows), y.place(value));
        let line: Vec<_> = curve
            .points
            .iter()
            .map(|(rows, spread)| place((f64::from(*rows), spread.median)))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        html! {
            g class=(curve.kind.class()) {
                polyline class="curve" points=(line.join(" ")) stroke-dasharray=(curve.kind.dashes()) {}
                @for (rows, spread) in &curve.points {
                    @let (at, middle) = place((f64::from(*rows), spread.median));
                    line class="spread" x1=(px(at)) x2=(px(at)) y1=(px(y.place(spread.lower_quartile))) y2=(px(y.place(spread.upper_quartile))) {}
                    (curve.kind.mark(at, middle, Some(&self.title(curve, *rows, spread))))
                }
                @if let Some(rows) = curve.crossing {
                    @let (at, even) = place((rows, 1.0));
                    circle class="crossing" cx=(px(at)) cy=(px(even)) r="5" {
                        title { (curve.name) ": even at about " (format!("{rows:.0}")) " rows" }
                    }
                }
            }
        }
    }

    fn title(&self, curve: &Curve, rows: u32, spread: &Spread) -> String {
        let [low, middle, high] =
            [spread.lower_quartile, spread.median, spread.upper_quartile].map(|value| (self.words)(value));
        format!("{}, {} rows: {middle} ({low} .. {high})", curve.name, number::grouped(rows.into()))
    }

    fn legend(&self) -> Markup {
        html! {
            ul class="legend" {
                @for curve in &self.curves {
                    li {
                        svg xmlns="http://www.w3.org/2000/svg" class=(curve.kind.class()) viewBox="0 0 30 12" aria-hidden="true" {
                            line class="curve" x1="1" y1="6" x2="29" y2="6" stroke-dasharray=(curve.kind.dashes()) {}
                            (curve.kind.mark(15.0, 6.0, None))
                        }
                        (curve.name)
                    }
                }
            }
        }
    }
}

/// The label of a tick, whose digits are few.
fn round(words: String) -> String {
    match words.split_once('.') {
        None => words,
        Some((whole, rest)) => {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let fraction = rest[..rest.len() - digits.len()].trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{whole}{point}{fraction}{digits}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_no_needless_zeros() {
        for (words, label) in [("1.00 ms", "1 ms"), ("0.500x", "0.5x"), ("20.0 µs", "20 µs"), ("100 s", "100 s")] {
            assert_eq!(round(words.to_owned()), label);
        }
    }
}
