//! Logits and targets of no meaning, valid for the loss, the same on every machine and for any number of threads.

use half::{bf16, f16};
use logloss::cpu::LogitsMut;
use logloss::{Batch, DType, Layout, Logits, TargetKind, Targets};
use rayon::prelude::*;

use super::case::Case;
use crate::loss::LossName;

/// Elements that are drawn by one task.
const PIECE: usize = 1 << 16;

/// A tensor of logits, or of their gradient.
pub(super) enum Elements {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Elements {
    pub fn zeros(dtype: DType, n: usize) -> Self {
        match dtype {
            DType::F32 => Self::F32(vec![0.0; n]),
            DType::F16 => Self::F16(vec![f16::ZERO; n]),
            DType::Bf16 => Self::Bf16(vec![bf16::ZERO; n]),
        }
    }

    fn draw(dtype: DType, n: usize, draw: impl Fn(u64) -> f32 + Sync) -> Self {
        let mut drawn = Self::zeros(dtype, n);
        match &mut drawn {
            Self::F32(values) => fill(values, draw),
            Self::F16(values) => fill(values, |i| f16::from_f32(draw(i))),
            Self::Bf16(values) => fill(values, |i| bf16::from_f32(draw(i))),
        }
        drawn
    }

    /// The first elements.
    pub fn first(&self, n: usize) -> Logits<'_> {
        match self {
            Self::F32(values) => Logits::F32(values.get(..n).unwrap_or(values)),
            Self::F16(values) => Logits::F16(values.get(..n).unwrap_or(values)),
            Self::Bf16(values) => Logits::Bf16(values.get(..n).unwrap_or(values)),
        }
    }

    /// The first elements, to write to.
    pub fn first_mut(&mut self, n: usize) -> LogitsMut<'_> {
        fn first<T>(values: &mut [T], n: usize) -> &mut [T] {
            let n = n.min(values.len());
            &mut values[..n]
        }
        match self {
            Self::F32(values) => LogitsMut::F32(first(values, n)),
            Self::F16(values) => LogitsMut::F16(first(values, n)),
            Self::Bf16(values) => LogitsMut::Bf16(first(values, n)),
        }
    }
}

enum OwnedTargets {
    Classes(Vec<i32>),
    Dense(Vec<f32>),
}

/// A batch that owns its rows.
pub(super) struct Data {
    logits: Elements,
    targets: OwnedTargets,
}

impl Data {
    /// `rows` rows for a case.
    pub fn new(case: &Case<'_>, rows: u32) -> Self {
        let n = usize::try_from(case.elements(rows)).unwrap_or(usize::MAX);
        let name = case.loss.name;
        let logits = Elements::draw(case.dtype, n, |i| match name {
            LossName::Bce => uniform(i),
            LossName::Nll => -8.0 * uniform(i),
            _ => 2.0 * normal(i),
        });
        let targets = if case.loss.targets == TargetKind::Dense {
            let mut targets = vec![0.0; n];
            // Another stretch of the same random numbers.
            let draw = |i| target(name, i + (1 << 60));
            fill(&mut targets, draw);
            if matches!(name, LossName::SoftCrossEntropy | LossName::KlDiv) {
                targets.par_chunks_mut(case.classes as usize).for_each(normalise);
            }
            OwnedTargets::Dense(targets)
        } else {
            let mut targets = vec![0; rows as usize];
            let classes = u64::from(case.classes);
            fill(&mut targets, |i| i32::try_from(bits(i + (1 << 60)) % classes).unwrap_or(0));
            OwnedTargets::Classes(targets)
        };
        Self { logits, targets }
    }

    /// The first rows in this layout.
    pub fn batch(&self, layout: Layout) -> Batch<'_> {
        let (elements, rows) = (layout.elements() as usize, layout.rows() as usize);
        let targets = match &self.targets {
            OwnedTargets::Classes(targets) => Targets::Classes(targets.get(..rows).unwrap_or(targets)),
            OwnedTargets::Dense(targets) => Targets::Dense(targets.get(..elements).unwrap_or(targets)),
        };
        Batch {
            layout,
            logits: self.logits.first(elements),
            targets,
            class_weights: None,
            pos_weights: None,
            row_weights: None,
        }
    }
}

/// Value `i` of the targets of a loss against one value a logit.
fn target(name: LossName, i: u64) -> f32 {
    match name {
        LossName::Hinge | LossName::SquaredHinge => [-1.0, 1.0][(bits(i) & 1) as usize],
        LossName::Mse | LossName::LogitDivergence => normal(i),
        _ => uniform(i),
    }
}

fn normalise(row: &mut [f32]) {
    let sum: f32 = row.iter().sum();
    if sum > 0.0 {
        row.iter_mut().for_each(|share| *share /= sum);
    }
}

fn fill<T: Send>(values: &mut [T], draw: impl Fn(u64) -> T + Sync) {
    values.par_chunks_mut(PIECE).enumerate().for_each(|(piece, values)| {
        let first = (piece * PIECE) as u64;
        (first..).zip(values).for_each(|(i, value)| *value = draw(i));
    });
}

/// Random bits number `i`: Steele, Lea and Flood's SplitMix64 (2014), entered anywhere.
const fn bits(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// In [0, 1): 24 bits, which float32 holds exactly.
fn uniform(i: u64) -> f32 {
    (bits(i) >> 40) as f32 / 16_777_216.0
}

/// Nearly normal, of mean 0 and variance 1: four uniform numbers of 16 bits, summed and scaled.
fn normal(i: u64) -> f32 {
    let bits = bits(i);
    let sum: u64 = (0..4).map(|quarter| (bits >> (16 * quarter)) & 0xffff).sum();
    (sum as f32 / 65_536.0 - 2.0) * 3.0_f32.sqrt()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use logloss::{Reduction, cpu};

    use super::*;
    use crate::loss::{Loss, LossOptions};

    #[test]
    fn drawn_numbers_spread_as_they_should() {
        let n = 1 << 16;
        let moments = |draw: fn(u64) -> f32| {
            let values = (0..n).map(|i| f64::from(draw(i)));
            let (sum, squares) = values.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
            (sum / n as f64, squares / n as f64)
        };
        // Five standard errors of 65536 draws.
        let (mean, variance) = moments(normal);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let (mean, square) = moments(uniform);
        assert!((mean - 0.5).abs() < 0.006 && (square - 1.0 / 3.0).abs() < 0.006, "{mean} {square}");
    }

    /// The engines refuse a value outside a loss's domain.
    #[test]
    fn every_loss_takes_its_data() {
        for &name in LossName::value_variants() {
            let loss = Loss::new(name, &LossOptions::default()).expect("defaults are valid");
            for dtype in DType::ALL {
                let case = Case { loss: &loss, dtype, classes: 7 };
                let (data, layout) = (Data::new(&case, 33), case.layout(33).expect("small"));
                let batch = data.batch(layout);
                let summary =
                    cpu::evaluate_into(loss.reduced(Reduction::Mean).as_ref(), &batch, cpu::Outputs::default());
                let loss = summary.expect("valid data").loss;
                assert!(loss.is_finite() && loss > 0.0, "{name} {dtype}: {loss}");
            }
        }
    }
}
