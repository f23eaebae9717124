//! What to measure: everything on a GPU; on a software adapter, what `--shapes`, `--dtypes` and `--quick` leave.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use logloss::{DType, Layout, Shape};

/// A batch by its dimensions, the class axis second.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimensions(pub Vec<u32>);

impl Dimensions {
    pub fn layout(&self) -> Result<Layout> {
        match *self.0 {
            [rows, classes] => Ok(Shape::new(rows, classes).into()),
            [outer, classes, ref inner @ ..] if !inner.is_empty() => {
                Ok(Layout::planes(outer, classes, inner.iter().product())?)
            }
            _ => bail!("{self}: (rows, classes) or (samples, classes, positions, ...)"),
        }
    }
}

impl std::fmt::Display for Dimensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("x"))
    }
}

/// Few classes, images, vocabularies of language models, few long rows, and a segmentation with the class axis second.
const SHAPES: [&[u32]; 9] = [
    &[1_000_000, 10],
    &[65_536, 1000],
    &[8192, 32_000],
    &[4096, 50_257],
    &[2048, 128_256],
    &[1024, 262_144],
    &[16, 262_144],
    &[1, 262_144],
    &[16, 19, 512, 1024],
];

/// Logits of the largest batch of `--quick`.
const QUICK: u64 = 1 << 26;

/// How near the kernels come to the memory's speed.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Dimensions with the class axis second, such as 8192x32000,16x19x512x1024.
    #[arg(long, value_delimiter = ',', value_parser = parse_dimensions)]
    shapes: Vec<Dimensions>,
    /// float32, float16, bfloat16; all without it.
    #[arg(long, value_delimiter = ',', value_parser = parse_dtype)]
    dtypes: Vec<DType>,
    /// float32, batches of at most 2^26 logits, and five rounds.
    #[arg(long)]
    quick: bool,
    /// Rounds that count.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds for one batch, after which three rounds are enough.
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Leaves out the times a logit over decades of rows and classes.
    #[arg(long)]
    no_decades: bool,
    /// An adapter by its name.
    #[arg(long, env = "LOGLOSS_ADAPTER")]
    pub adapter: Option<String>,
    /// A program that takes turns, such as "python3 benches/peers/torch_peer.py cuda".
    #[arg(long)]
    pub peer: Option<String>,
    /// Writes the tables as JSON too.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Those of the command line. Without `--bench` this runs among the tests, once through everything on small batches.
    pub fn get() -> Self {
        if std::env::args().any(|argument| argument == "--bench") {
            return Self::parse();
        }
        Self::parse_from(["roofline", "--shapes", "37x1003,2x5x6x7", "--rounds", "1", "--no-decades"])
    }

    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 5 } else { 11 })
    }

    pub fn dtypes(&self) -> &[DType] {
        match (&self.dtypes[..], self.quick) {
            ([], true) => &[DType::F32],
            ([], false) => &DType::ALL,
            (given, _) => given,
        }
    }

    pub fn shapes(&self) -> Vec<Dimensions> {
        let all = SHAPES.map(|dimensions| Dimensions(dimensions.into()));
        let list = if self.shapes.is_empty() { &all[..] } else { &self.shapes };
        list.iter().filter(|dimensions| self.is_within(dimensions)).cloned().collect()
    }

    /// Five decades of rows of 1000 classes, and of classes in 1000 rows.
    pub fn decades(&self) -> Vec<Dimensions> {
        let powers = || [1, 2, 3, 4, 5].map(|power| 10_u32.pow(power)).into_iter();
        let rows = powers().map(|rows| Dimensions(vec![rows, 1000]));
        let classes = powers().map(|classes| Dimensions(vec![1000, classes]));
        let both = rows.chain(classes).filter(|dimensions| self.is_within(dimensions));
        if self.no_decades { Vec::new() } else { both.collect() }
    }

    fn is_within(&self, dimensions: &Dimensions) -> bool {
        !self.quick || dimensions.0.iter().map(|&n| u64::from(n)).product::<u64>() <= QUICK
    }
}

fn parse_dimensions(text: &str) -> Result<Dimensions> {
    let parts = text.split('x').map(|part| part.trim().parse().with_context(|| text.to_owned()));
    let dimensions = Dimensions(parts.collect::<Result<_>>()?);
    dimensions.layout()?;
    Ok(dimensions)
}

fn parse_dtype(text: &str) -> Result<DType> {
    DType::ALL.into_iter().find(|dtype| dtype.name() == text).context("float32, float16 or bfloat16")
}
