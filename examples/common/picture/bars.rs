//! Bar charts of shares.

use anyhow::{Result, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, HEADING, LEGEND, RULE, SMALL, Section, TINY, WIDTH, colour, headed, legend, text};

pub(super) const HEIGHT: u32 = HEADING + 280;

/// Shares of 0 to 1 as bars: a group for each thing, and in each group a bar for each series.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// Heading.
    pub heading: String,
    /// What the bars show, with its unit.
    pub y: String,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Each series' name and its share in each group.
    pub series: Vec<(String, Vec<f64>)>,
}

impl From<Bars> for Section {
    fn from(bars: Bars) -> Self {
        Self::Bars(bars)
    }
}

impl Bars {
    pub(super) fn draw(&self, area: &Area) -> Result<()> {
        let heading = &self.heading;
        ensure!(!self.groups.is_empty() && !self.series.is_empty(), "the chart {heading:?} has no bar");
        for (name, shares) in &self.series {
            ensure!(
                shares.len() == self.groups.len(),
                "{name:?} in the chart {heading:?} needs a share for each group"
            );
            ensure!(
                shares.iter().all(|share| (0.0..=1.0).contains(share)),
                "{name:?} in the chart {heading:?} is no share of 0 to 1"
            );
        }

        let (left, side) = headed(area, heading)?.split_horizontally(WIDTH - LEGEND);
        // A group is one unit wide.
        let mut chart = ChartBuilder::on(&left)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .margin_right(12)
            .margin_top(20)
            .build_cartesian_2d(0.0..self.groups.len() as f64, 0.0..1.0)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .x_labels(0)
            .y_labels(6)
            .label_style(text(SMALL))
            .axis_desc_style(text(SMALL))
            .y_desc(&self.y)
            .draw()?;
        // The gap between two groups is as wide as a bar.
        let bar = 1.0 / (self.series.len() + 1) as f64;
        let above = text(TINY).pos(Pos::new(HPos::Center, VPos::Bottom));
        for (index, (_, shares)) in self.series.iter().enumerate() {
            for (group, &share) in shares.iter().enumerate() {
                let centre = group as f64 + bar * (index + 1) as f64;
                let (left, right) = (centre - 0.46 * bar, centre + 0.46 * bar);
                chart.draw_series([Rectangle::new([(left, 0.0), (right, share)], colour(index).filled())])?;
                let value = Text::new(format!("{share:.2}"), (0, -2), above.clone());
                chart.draw_series([EmptyElement::at((centre, share)) + value])?;
            }
        }
        let below = text(SMALL).pos(Pos::new(HPos::Center, VPos::Top));
        for (group, name) in self.groups.iter().enumerate() {
            let name = Text::new(name.clone(), (0, 10), below.clone());
            chart.draw_series([EmptyElement::at((group as f64 + 0.5, 0.0)) + name])?;
        }
        legend(&side, self.series.iter().enumerate().map(|(index, (name, _))| (name.as_str(), colour(index))))
    }
}
