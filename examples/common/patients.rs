//! Patients who may have several conditions at once, some of them rare. `examples/data/README.md` says where they come
//! from.

use std::num::TryFromIntError;

use logloss::{Shape, Targets};

use super::linear_model::Samples;
use super::split::{Split, Table};

/// Embedded, so that an example runs from any folder.
const CSV: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/conditions.csv"));

/// What was measured of a patient, or asked.
pub const MEASUREMENTS: [&str; 8] = ["age", "female", "waist", "systolic", "cholesterol", "hdl", "hba1c", "smoked"];

/// The conditions, each of which a patient has or has not, from the most frequent to the rarest.
pub const CONDITIONS: [&str; 5] = ["arthritis", "diabetes", "cancer", "heart attack", "stroke"];

/// Every fifth patient is judged by: 20 % of the data.
const TEST_EVERY: usize = 5;

/// Why a csv file holds no patients. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum PatientsError {
    /// The text is not csv, or a row is longer or shorter than the header.
    #[error("the csv cannot be read: {0}")]
    Csv(#[from] csv::Error),

    /// The header names other columns.
    #[error("the header is {got:?}, but it must be {expected:?}")]
    Header {
        /// The measurements, then the conditions.
        expected: Vec<&'static str>,
        /// What the header says.
        got: Vec<String>,
    },

    /// A field is not what its column holds.
    #[error("line {line}, {column} is {field:?}, but it must be {domain}")]
    Field {
        /// Line of the row.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// The offending text.
        field: String,
        /// What the column holds.
        domain: &'static str,
    },
}

/// Patients, each with measurements and any number of conditions.
///
/// | field | shape | dtype |
/// | --- | --- | --- |
/// | `features` | (rows, [`MEASUREMENTS`]), row-major | float32 |
/// | `targets` | (rows, [`CONDITIONS`]), row-major | float32: 1 with the condition, 0 without |
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patients {
    /// Measurements.
    pub features: Vec<f32>,
    /// Conditions.
    pub targets: Vec<f32>,
    /// Number of patients.
    pub rows: usize,
}

impl Patients {
    /// Adults of the National Health and Nutrition Examination Survey 2017-2018: 4,387 patients.
    ///
    /// # Errors
    /// As [`Patients::parse`].
    pub fn load() -> Result<Self, PatientsError> {
        Self::parse(CSV)
    }

    /// Parses csv text under a header of [`MEASUREMENTS`], then [`CONDITIONS`].
    ///
    /// # Errors
    /// [`PatientsError`] names the first place that does not fit.
    pub fn parse(text: &str) -> Result<Self, PatientsError> {
        let expected: Vec<_> = MEASUREMENTS.into_iter().chain(CONDITIONS).collect();
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers()?;
        if header != expected {
            return Err(PatientsError::Header { expected, got: header.iter().map(Into::into).collect() });
        }
        let mut patients = Self::default();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            for (index, (&column, field)) in expected.iter().zip(&record).enumerate() {
                let bad = |domain| PatientsError::Field { line, column, field: field.into(), domain };
                if index < MEASUREMENTS.len() {
                    let value = field.parse().ok().filter(|value: &f32| value.is_finite());
                    patients.features.push(value.ok_or_else(|| bad("a finite number"))?);
                } else {
                    patients.targets.push(match field {
                        "0" => 0.0,
                        "1" => 1.0,
                        _ => return Err(bad("0 or 1")),
                    });
                }
            }
            patients.rows += 1;
        }
        Ok(patients)
    }

    /// Splits off every fifth patient to judge by; the order of the patients stays.
    ///
    /// No random numbers: every run, platform and backend sees the same patients. Each condition is about as frequent in
    /// both parts.
    #[must_use]
    pub fn split(&self) -> Split<Self> {
        let mut split = Split { train: Self::default(), test: Self::default() };
        let rows = self.features.chunks_exact(MEASUREMENTS.len()).zip(self.targets.chunks_exact(CONDITIONS.len()));
        for (nth, (features, targets)) in (1..).zip(rows) {
            let part = if nth % TEST_EVERY == 0 { &mut split.test } else { &mut split.train };
            part.features.extend_from_slice(features);
            part.targets.extend_from_slice(targets);
            part.rows += 1;
        }
        split
    }

    /// The patients as a model takes them.
    ///
    /// # Errors
    /// If there are more than 2^32 - 1 patients.
    pub fn samples(&self) -> Result<Samples<'_>, TryFromIntError> {
        let shape = Shape::new(self.rows.try_into()?, CONDITIONS.len().try_into()?);
        Ok(Samples { features: &self.features, targets: Targets::Dense(&self.targets), shape })
    }

    /// Whether each patient has a condition.
    pub fn with(&self, condition: usize) -> impl Iterator<Item = bool> {
        self.targets.iter().skip(condition).step_by(CONDITIONS.len()).map(|&target| target > 0.0)
    }

    /// Number of patients with each condition.
    #[must_use]
    pub fn counts(&self) -> [usize; CONDITIONS.len()] {
        std::array::from_fn(|condition| self.with(condition).filter(|&with| with).count())
    }

    /// Weight of each condition's patients: how many have it not, for each who has it. So both have the same share of a
    /// sum over the patients.
    ///
    /// Infinite for a condition that no patient has.
    #[must_use]
    pub fn positive_weights(&self) -> [f32; CONDITIONS.len()] {
        self.counts().map(|count| (self.rows - count) as f32 / count as f32)
    }

    /// Weight of each condition, inverse to its frequency and 1 on average, so that rare conditions count for more.
    ///
    /// Not a number if there is a condition that no patient has.
    #[must_use]
    pub fn condition_weights(&self) -> [f32; CONDITIONS.len()] {
        let inverse = self.counts().map(|count| 1.0 / count as f32);
        let mean = inverse.iter().sum::<f32>() / CONDITIONS.len() as f32;
        inverse.map(|weight| weight / mean)
    }
}

impl Table for Patients {
    fn columns(&self) -> usize {
        MEASUREMENTS.len()
    }

    fn features(&mut self) -> &mut [f32] {
        &mut self.features
    }
}
