//! Line charts.

use anyhow::{Result, ensure};
use plotters::prelude::*;

use super::{Area, HEADING, LEGEND, RULE, SMALL, Section, WIDTH, colour, headed, legend, text};

pub(super) const HEIGHT: u32 = HEADING + 320;

/// A line chart, whose values start at 0.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Heading.
    pub heading: String,
    /// What runs from left to right in whole numbers, with its unit.
    pub x: String,
    /// What runs from bottom to top, with its unit.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// A line.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// The line through the losses at these steps.
    pub fn of_losses(name: impl Into<String>, losses: &[(usize, f32)]) -> Self {
        let points = losses.iter().map(|&(step, loss)| (step as f64, f64::from(loss)));
        Self { name: name.into(), points: points.collect() }
    }

    /// The values over the first one, so that lines of different units can share a chart.
    #[must_use]
    pub fn relative(mut self) -> Self {
        let first = self.points.first().map_or(1.0, |&(_, y)| y);
        self.points.iter_mut().for_each(|(_, y)| *y /= first);
        self
    }
}

impl From<Lines> for Section {
    fn from(lines: Lines) -> Self {
        Self::Lines(lines)
    }
}

impl Lines {
    pub(super) fn draw(&self, area: &Area) -> Result<()> {
        let mut points = self.series.iter().flat_map(|series| &series.points);
        ensure!(
            points.clone().all(|(x, y)| x.is_finite() && y.is_finite()),
            "the chart {:?} has a point that is not finite",
            self.heading
        );
        let (right, top) = points.clone().fold((0.0, 0.0), |(a, b), &(x, y)| (x.max(a), y.max(b)));
        ensure!(points.next().is_some() && right > 0.0 && top > 0.0, "the chart {:?} has no extent", self.heading);

        let (left, side) = headed(area, &self.heading)?.split_horizontally(WIDTH - LEGEND);
        let mut chart = ChartBuilder::on(&left)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .margin_right(12)
            .build_cartesian_2d(0.0..right, 0.0..1.05 * top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .label_style(text(SMALL))
            .axis_desc_style(text(SMALL))
            .x_desc(&self.x)
            .y_desc(&self.y)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .draw()?;
        for (index, series) in self.series.iter().enumerate() {
            chart.draw_series(LineSeries::new(series.points.iter().copied(), colour(index).stroke_width(2)))?;
        }
        let names = self.series.iter().enumerate().map(|(index, series)| (series.name.as_str(), colour(index)));
        legend(&side, names)
    }
}
