//! The data of the examples with one class a row: parsed and split. `examples/data/README.md` says where it comes from.

use std::collections::BTreeSet;
use std::num::TryFromIntError;

use logloss::{Shape, Targets};

use super::linear_model::Samples;
use super::split::{Split, Table};

/// Embedded, so that an example runs from any folder.
const DIGITS: &str = include_str!("../data/digits.csv");
const BREAST_CANCER: &str = include_str!("../data/breast_cancer.csv");

/// Of the rows of each class, every fifth is a test row: 20 % of the data.
const TEST_EVERY: usize = 5;

/// Result with a [`DatasetError`].
pub type Result<T> = std::result::Result<T, DatasetError>;

/// Why a csv file is not a data set. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The text is not csv.
    #[error("the csv cannot be read: {0}")]
    Csv(#[from] csv::Error),

    /// There is no row, or a row without a feature.
    #[error("the csv has no {0}; a row holds one or more features, then the label")]
    Empty(&'static str),

    /// A row is longer or shorter than the first one.
    #[error("line {line} has {got} fields, but the first row has {expected}")]
    Ragged {
        /// Line of the row.
        line: u64,
        /// Fields of the first row.
        expected: usize,
        /// Fields of this row.
        got: usize,
    },

    /// A field is not what its column holds.
    #[error("line {line}, column {column} is {field:?}, but it must be {domain}")]
    Field {
        /// Line of the row.
        line: u64,
        /// Column, counted from 0.
        column: usize,
        /// The offending text.
        field: String,
        /// What the column holds.
        domain: &'static str,
    },

    /// A label is no class index.
    #[error("label {label} in row {row} is not a class index of 0..{classes}; number the classes from 0 without gaps")]
    Label {
        /// First offending row, counted from 0.
        row: usize,
        /// Its label.
        label: i32,
        /// Number of different labels.
        classes: usize,
    },

    /// The header announces something else than the rows hold.
    #[error("the header says {expected:?} {what}, but the csv holds {got}")]
    Header {
        /// Rows, features or classes.
        what: &'static str,
        /// What the header says.
        expected: String,
        /// What was counted.
        got: usize,
    },
}

/// Whether the first line of a csv file is a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// It is.
    Absent,
    /// It holds the number of rows, the number of features, and the name of each class.
    Counts,
}

/// Rows of features, each with its class.
///
/// | field | shape | dtype |
/// | --- | --- | --- |
/// | `features` | (rows, columns), row-major | float32 |
/// | `labels` | (rows) | int32 class indices of 0..classes |
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Features: row `r`, column `c` is element `r * columns + c`.
    pub features: Vec<f32>,
    /// Class index of each row.
    pub labels: Vec<i32>,
    /// Number of rows.
    pub rows: usize,
    /// Number of features of a row.
    pub columns: usize,
    /// Number of classes.
    pub classes: usize,
}

impl Dataset {
    /// Handwritten digits: 1,797 rows, 64 features of 0..=16, 10 classes.
    ///
    /// # Errors
    /// As [`Dataset::parse`].
    pub fn digits() -> Result<Self> {
        Self::parse(DIGITS, Header::Absent)
    }

    /// Breast cancer Wisconsin (diagnostic): 569 rows, 30 features, 2 classes: malignant, benign.
    ///
    /// # Errors
    /// As [`Dataset::parse`].
    pub fn breast_cancer() -> Result<Self> {
        Self::parse(BREAST_CANCER, Header::Counts)
    }

    /// Parses csv text whose last column is the label.
    ///
    /// # Errors
    /// [`DatasetError`] names the first place that does not fit.
    pub fn parse(text: &str, header: Header) -> Result<Self> {
        // Flexible, because the header has fewer fields than the rows; their lengths are checked here.
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(header == Header::Counts)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());

        let mut width = None;
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let expected = *width.get_or_insert(record.len());
            if record.len() != expected {
                return Err(DatasetError::Ragged { line, expected, got: record.len() });
            }
            let bad = |column, field: &str, domain| DatasetError::Field { line, column, field: field.into(), domain };
            for (column, field) in record.iter().enumerate() {
                if column + 1 == expected {
                    labels.push(field.parse().map_err(|_| bad(column, field, "a class index"))?);
                } else {
                    let value = field.parse().ok().filter(|value: &f32| value.is_finite());
                    features.push(value.ok_or_else(|| bad(column, field, "a finite number"))?);
                }
            }
        }

        let columns = width.ok_or(DatasetError::Empty("rows"))?.saturating_sub(1);
        if columns == 0 {
            return Err(DatasetError::Empty("features"));
        }
        let dataset = Self { rows: labels.len(), columns, classes: count_classes(&labels)?, features, labels };
        if header == Header::Counts {
            dataset.check_header(reader.headers()?)?;
        }
        Ok(dataset)
    }

    fn check_header(&self, header: &csv::StringRecord) -> Result<()> {
        for (index, what, got) in [(0, "rows", self.rows), (1, "features", self.columns)] {
            let expected = header.get(index).unwrap_or_default();
            if expected.parse() != Ok(got) {
                return Err(DatasetError::Header { what, expected: expected.into(), got });
            }
        }
        let names = header.len().saturating_sub(2);
        if names != self.classes {
            return Err(DatasetError::Header { what: "classes", expected: names.to_string(), got: self.classes });
        }
        Ok(())
    }

    /// Splits off every fifth row of each class as test rows; the order of the rows stays.
    ///
    /// - No random numbers: every run, platform and backend sees the same rows, so losses can be compared digit by digit.
    /// - Counted within a class, because the file of digits runs through 0 to 9 over and over: every fifth row of the
    ///   file would test on 52 threes and 21 ones of about 180 each.
    /// - A class of fewer than five rows is only learned from.
    #[must_use]
    pub fn split(&self) -> Split {
        let none = || Self { features: Vec::new(), labels: Vec::new(), rows: 0, ..*self };
        let (mut train, mut test) = (none(), none());
        let mut seen = vec![0_usize; self.classes];
        // `columns` is at least 1 after `parse`; max keeps a hand-made empty data set from panicking.
        for (row, &label) in self.features.chunks_exact(self.columns.max(1)).zip(&self.labels) {
            let nth = usize::try_from(label).ok().and_then(|class| seen.get_mut(class)).map_or(0, |count| {
                *count += 1;
                *count
            });
            let part = if nth > 0 && nth % TEST_EVERY == 0 { &mut test } else { &mut train };
            part.features.extend_from_slice(row);
            part.labels.push(label);
            part.rows += 1;
        }
        Split { train, test }
    }

    /// The rows as a model takes them.
    ///
    /// # Errors
    /// If there are more than 2^32 - 1 rows or classes.
    pub fn samples(&self) -> std::result::Result<Samples<'_>, TryFromIntError> {
        let shape = Shape::new(self.rows.try_into()?, self.classes.try_into()?);
        Ok(Samples { features: &self.features, targets: Targets::Classes(&self.labels), shape })
    }

    /// Weight of each class: `rows / (classes * rows of the class)`, so that every class has the same share of a weighted
    /// sum over the rows. A class without rows weighs 0.
    #[must_use]
    pub fn inverse_frequencies(&self) -> Vec<f32> {
        let weight = |class| {
            let count = self.labels.iter().filter(|&&label| usize::try_from(label) == Ok(class)).count();
            if count == 0 { 0.0 } else { self.rows as f32 / (self.classes * count) as f32 }
        };
        (0..self.classes).map(weight).collect()
    }
}

impl Table for Dataset {
    fn columns(&self) -> usize {
        self.columns
    }

    fn features(&mut self) -> &mut [f32] {
        &mut self.features
    }
}

fn count_classes(labels: &[i32]) -> Result<usize> {
    let classes = labels.iter().collect::<BTreeSet<_>>().len();
    let is_class = |label: i32| usize::try_from(label).is_ok_and(|class| class < classes);
    match labels.iter().enumerate().find(|&(_, &label)| !is_class(label)) {
        Some((row, &label)) => Err(DatasetError::Label { row, label, classes }),
        None => Ok(classes),
    }
}
