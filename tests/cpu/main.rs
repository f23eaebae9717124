//! The CPU engine against PyTorch's golden cases and the float64 reference, and the totals of a stream.

#[path = "../common/mod.rs"]
mod common;

mod company;
mod elements;
mod every_loss;
mod golden;
mod random;
mod reference;
mod totals;

use common::assert_close;
use logloss::{Batch, CrossEntropy, Evaluation, Gradient, Nll, Reduction, Request, cpu, reference as oracle};

/// Everything that can be asked for.
const ALL: Request = Request { gradient: Gradient::Separate, details: true, ..Request::FORWARD };

/// The sets of instructions that this processor has.
fn instructions() -> impl Iterator<Item = cpu::Instructions> {
    cpu::Instructions::ALL.into_iter().filter(|set| set.is_available())
}

/// A loss of either kind, so that one test serves both.
#[derive(Debug, Clone)]
enum Loss {
    CrossEntropy(CrossEntropy),
    Nll(Nll),
}

impl Loss {
    fn evaluate(&self, request: Request, batch: &Batch<'_>) -> logloss::Result<Evaluation> {
        match self {
            Self::CrossEntropy(loss) => cpu::evaluate(loss, request, batch),
            Self::Nll(loss) => cpu::evaluate(loss, request, batch),
        }
    }

    fn oracle(&self, batch: &Batch<'_>) -> logloss::Result<oracle::Evaluation> {
        match self {
            Self::CrossEntropy(loss) => oracle::evaluate(loss, batch),
            Self::Nll(loss) => oracle::evaluate(loss, batch),
        }
    }

    const fn reduction(&self) -> Reduction {
        match self {
            Self::CrossEntropy(loss) => loss.reduction,
            Self::Nll(loss) => loss.reduction,
        }
    }

    fn ignore_index(&self) -> &[i32] {
        match self {
            Self::CrossEntropy(loss) => &loss.ignore_index,
            Self::Nll(loss) => &loss.ignore_index,
        }
    }
}

/// Asserts equality to the bit, so that 0 is not -0; NaN equals NaN, whose sign and payload no platform promises.
#[track_caller]
fn assert_same_bits(name: &str, got: f64, want: f64) {
    let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
    assert!(same, "{name}: {got:e}, want {want:e}");
}
