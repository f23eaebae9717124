//! The float64 oracle: textbook formulas, one loss a file.
//!
//! Every engine is checked against these functions. They share no code with any engine, favour plainness over speed, and
//! are accurate to a few float64 roundings of their terms: there is no offset and no confidence at which digits go.
//!
//! ```
//! use logloss::{Batch, CrossEntropy, Shape, reference};
//!
//! let logits = [20.0, 0.0, 0.0];
//! let row = reference::evaluate(&CrossEntropy::default(), &Batch::new(Shape::new(1, 3), &logits, &[0]))?;
//! assert!((row.loss / 4.122307236380407e-9 - 1.0).abs() < 1e-14);
//! # Ok::<(), logloss::Error>(())
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | one a loss | its formula and derivative |
//! | `class_rows`, `dense_rows`, `elements`, `regions`, `combined` | the loops over what a loss is a function of |
//! | `row` | a row of logits and its softmax |
//! | `math` | functions that float64 would otherwise round away |
//! | `targets`, `reduce` | what the targets and weights say; the reduced loss |

mod bce;
mod bce_with_logits;
mod class_rows;
mod combined;
mod cross_entropy;
mod dense_rows;
mod dice;
mod dice_cross_entropy;
mod dice_focal;
mod elements;
mod focal;
mod generalized_dice;
mod hinge;
mod kl_div;
mod logit_divergence;
mod math;
mod mse;
mod multi_margin;
mod nll;
mod reduce;
mod regions;
mod row;
mod sigmoid_focal;
mod soft_cross_entropy;
mod squared_hinge;
mod targets;
mod tversky;

use crate::{Batch, Loss, Result};

/// What the reference computes of a batch, in float64 and nats.
///
/// A row is *ignored* if its target is an ignore index. A row that counts is *non-finite* if the loss reads a logit of it that
/// it can make nothing of; its losses and gradients are NaN, whatever its weights are, and so is the reduced loss:
///
/// | loss | the row is non-finite if it has |
/// | --- | --- |
/// | reads a softmax of the row; `multi_margin` | NaN, +inf or nothing but -inf, once capped; `logit_divergence`: the targets too |
/// | `nll` | NaN or +inf at the target |
/// | reads each logit on its own | NaN, which spoils the losses and gradients of that class alone |
///
/// A region (Dice and its kin) with a non-finite row is NaN, and so are the gradients of all its logits. Only a mean over a
/// weight sum of 0 has a gradient of zeros in every row.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The reduced loss; for [`Reduction::None`](crate::Reduction::None) the sum of the losses.
    pub loss: f64,
    /// One a [`Unit`](crate::Unit) of the loss, weights included, before the reduction; 0 for an ignored row.
    ///
    /// Shape (rows), or that of the logits without gaps, or (samples, classes) of [`Regions::shape`](crate::Regions::shape).
    /// Of a sum of two losses: those of the Dice part, times its factor.
    pub losses: Vec<f64>,
    /// Derivative of `loss` by each logit, in the logits' layout; exactly 0 in an ignored row and in gaps.
    pub gradient: Vec<f64>,
    /// What [`Reduction::Mean`](crate::Reduction::Mean) divides the sum of `losses` by: see [`Mean`](crate::Mean).
    pub weight_sum: f64,
    /// Shape (rows): logsumexp of the logits, capped and over the temperature; NaN if they have none, also in an ignored row.
    /// Like the other three of shape (rows), only of losses of rows against class indices, and else empty.
    pub lse: Vec<f64>,
    /// Shape (rows): log-probability of the target; 0 for an ignored row.
    pub log_prob: Vec<f64>,
    /// Shape (rows): the largest class, the lowest index among equals; NaN counts as -inf.
    pub argmax: Vec<u32>,
    /// Shape (rows): number of classes that are larger than the target, where of equal logits the lower class index counts
    /// as larger, and NaN as -inf. The target is among the k largest if its rank is below k. `u32::MAX`, so never among them, for an
    /// ignored or non-finite row.
    pub rank: Vec<u32>,
    /// Number of ignored rows.
    pub ignored: u32,
    /// The first of them.
    pub first_ignored: Option<u32>,
    /// As [`Summary::non_finite`](crate::Summary::non_finite).
    pub non_finite: u32,
    /// The first row with one.
    pub first_non_finite: Option<u32>,
}

/// A loss with a float64 oracle.
pub trait ReferenceLoss: Loss {
    /// The oracle, for options and a batch that were checked.
    #[doc(hidden)]
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation>;
}

/// The loss of a batch and its gradient, by the textbook.
///
/// # Errors
/// [`InvalidOption`](crate::Error::InvalidOption), [`LengthMismatch`](crate::Error::LengthMismatch),
/// [`WrongTargets`](crate::Error::WrongTargets), [`UnusedWeights`](crate::Error::UnusedWeights),
/// [`BadTarget`](crate::Error::BadTarget) and [`BadValue`](crate::Error::BadValue).
pub fn evaluate(loss: &(impl ReferenceLoss + ?Sized), batch: &Batch<'_>) -> Result<Evaluation> {
    loss.validate()?;
    loss.definition().check_batch(batch)?;
    loss.definition().domains.check(batch)?;
    loss.reference(batch)
}
