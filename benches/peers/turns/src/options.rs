//! What both programs may be told.

use std::path::PathBuf;

use logloss::Shape;

use crate::contest::Effort;

/// The large shapes of training: images, and vocabularies of language models.
const SHAPES: [Shape; 5] = [
    Shape::new(65_536, 1000),
    Shape::new(8192, 32_000),
    Shape::new(4096, 50_257),
    Shape::new(2048, 128_256),
    Shape::new(1024, 262_144),
];

/// Arguments of both programs.
#[derive(clap::Args)]
pub struct Options {
    /// Rows x classes, such as 8192x32000; more than one may be given. All of the table's without it.
    #[arg(long = "shape", value_parser = parse_shape)]
    shapes: Vec<Shape>,
    /// Rounds at most.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Seconds after which an entry that has run three times runs no more.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Writes the table as JSON too.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Options {
    pub fn shapes(&self) -> &[Shape] {
        if self.shapes.is_empty() { &SHAPES } else { &self.shapes }
    }

    pub const fn effort(&self) -> Effort {
        Effort { rounds: self.rounds, seconds: self.seconds }
    }
}

fn parse_shape(text: &str) -> Result<Shape, String> {
    let number = |s: &str| s.trim().parse::<u32>().map_err(|e| format!("{s}: {e}"));
    let (rows, classes) = text.split_once('x').ok_or("rows x classes, such as 8192x32000")?;
    Ok(Shape::new(number(rows)?, number(classes)?))
}
