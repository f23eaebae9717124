//! Pictures of results as SVG: line charts, bar charts and images, one below the other.
//!
//! SVG keeps text as text, so that no font has to be found or drawn here. A picture has a white ground of its own and
//! colours that stay apart with every kind of colour vision, so it reads the same on a light and a dark page.

pub mod bars;
pub mod images;
pub mod lines;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use bars::Bars;
use images::Images;
use lines::Lines;

/// What the sections are drawn on.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels of a picture from left to right.
const WIDTH: u32 = 1200;
/// Pixels around a section.
const MARGIN: u32 = 16;
/// Pixels that a heading takes.
const HEADING: u32 = 36;
/// Pixels of a legend from left to right, right of its chart.
const LEGEND: u32 = 260;
/// Pixels of a legend's line from top to bottom.
const LEGEND_LINE: i32 = 24;
/// Sizes of a bar's value, a label and a heading. plotters divides them by 1.24 to get the pixels of an SVG font.
const TINY: u32 = 13;
const SMALL: u32 = 17;
const LARGE: u32 = 23;

const INK: RGBColor = RGBColor(34, 34, 34);
const RULE: RGBColor = RGBColor(221, 221, 221);

/// Colours of the series by turns: those of Okabe and Ito that stand out from white.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// Sections, one below the other.
#[derive(Debug, Clone)]
pub struct Picture {
    sections: Vec<Section>,
}

/// A chart or images, under a heading.
#[derive(Debug, Clone)]
pub enum Section {
    /// A line chart.
    Lines(Lines),
    /// A bar chart.
    Bars(Bars),
    /// Images side by side.
    Images(Images),
}

impl Picture {
    /// A picture of these sections, from top to bottom.
    pub fn new(sections: impl IntoIterator<Item = Section>) -> Self {
        Self { sections: sections.into_iter().collect() }
    }

    /// The picture as text.
    pub fn to_svg(&self) -> Result<String> {
        let heights: Vec<u32> = self.sections.iter().map(|section| section.height() + 2 * MARGIN).collect();
        let mut svg = String::new();
        let mut rest = SVGBackend::with_string(&mut svg, (WIDTH, heights.iter().sum())).into_drawing_area();
        rest.fill(&WHITE)?;
        for (section, height) in self.sections.iter().zip(heights) {
            let (area, below) = rest.split_vertically(height);
            section.draw(&area.margin(MARGIN, MARGIN, MARGIN, MARGIN))?;
            rest = below;
        }
        rest.present()?;
        // The backend holds the text until it is gone.
        drop(rest);
        // plotters-svg names its images by "png", which is no media type: browsers guess, other programs need not.
        Ok(svg.replace(r#"href="data:png;"#, r#"href="data:image/png;"#))
    }

    /// Writes `FOLDER/NAME.svg` and says so.
    pub fn save(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let path = folder.join(format!("{name}.svg"));
        fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        fs::write(&path, self.to_svg()?).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
        Ok(path)
    }
}

impl Section {
    fn height(&self) -> u32 {
        match self {
            Self::Lines(_) => lines::HEIGHT,
            Self::Bars(_) => bars::HEIGHT,
            Self::Images(images) => images.height(),
        }
    }

    fn draw(&self, area: &Area) -> Result<()> {
        match self {
            Self::Lines(lines) => lines.draw(area),
            Self::Bars(bars) => bars.draw(area),
            Self::Images(images) => images.draw(area),
        }
    }
}

fn colour(series: usize) -> RGBColor {
    PALETTE[series % PALETTE.len()]
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).with_color(INK).into_text_style(&(WIDTH, 0))
}

/// Writes a heading and returns the area below.
fn headed<'a>(area: &Area<'a>, heading: &str) -> Result<Area<'a>> {
    let (top, below) = area.split_vertically(HEADING);
    top.draw(&Text::new(heading, (0, 0), text(LARGE)))?;
    Ok(below)
}

/// Lists names below one another, each with a patch of its colour.
fn legend<'n>(area: &Area, entries: impl IntoIterator<Item = (&'n str, RGBColor)>) -> Result<()> {
    let style = text(SMALL).pos(Pos::new(HPos::Left, VPos::Center));
    for (name, (y, colour)) in
        entries.into_iter().zip(0..).map(|((name, colour), line)| (name, (line * LEGEND_LINE, colour)))
    {
        area.draw(&Rectangle::new([(16, y + 4), (32, y + 16)], colour.filled()))?;
        area.draw(&Text::new(name, (40, y + 10), style.clone()))?;
    }
    Ok(())
}
