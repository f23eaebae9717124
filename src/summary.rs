//! What a batch came to: the reduced loss, its denominator, and a status that cannot be missed.

use crate::definition::{Definition, TargetKind};
use crate::{DType, Error, Result, Shape};

/// Value of the `first_*` fields of [`Summary`] where there is no such row, and of [`Details::rank`] where there is no rank.
pub const ABSENT: u32 = u32::MAX;

/// Totals of a batch, laid out as the kernels write them: 64 bytes.
///
/// Copy the summary buffer into a mappable one, read it with [`from_bytes`](Self::from_bytes), and call
/// [`check`](Self::check).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Summary {
    /// The reduced loss in nats; the sum for `Reduction::None`. NaN when a target is bad or a row is not finite, unless
    /// nothing counts: then `Reduction::MeanOrZero` gives 0.
    pub loss: f32,
    /// Sum of the losses; of a sum of two losses, which differ in what they belong to, the reduced loss once more.
    pub loss_sum: f32,
    /// What a mean divides by, as [`Mean`](crate::Mean) says.
    pub weight_sum: f32,
    /// What every row's gradient was multiplied by: one over the denominator, or 0 where that is 0.
    pub gradient_scale: f32,
    /// Rows in the batch.
    pub rows: u32,
    /// Rows left out because of their target.
    pub ignored: u32,
    /// The first of them, or [`ABSENT`].
    pub first_ignored: u32,
    /// Class indices: rows whose target is neither a class nor ignored. Dense targets: logits that are outside the domain of the
    /// loss, or whose target is; 0 where every value is in it. Only a summary read from the GPU has any: elsewhere it is an error.
    pub bad_targets: u32,
    /// The first row with one, or [`ABSENT`].
    pub first_bad_row: u32,
    /// The target in that row; 0, which always is a class, where targets are no class indices.
    pub first_bad_target: i32,
    /// Rows that count and that the loss can make nothing of: with NaN, +inf or nothing but -inf where it reads a softmax (of the
    /// targets too for [`LogitDivergence`](crate::LogitDivergence)); as
    /// [`reference::Evaluation`](crate::reference::Evaluation) says of each loss.
    ///
    /// Where a loss belongs to a logit ([`Unit::Element`](crate::Unit::Element)), logits: those whose loss is NaN before any weight,
    /// and all of such a row of [`KlDiv`](crate::KlDiv).
    pub non_finite: u32,
    /// The first row with one, or [`ABSENT`].
    pub first_non_finite: u32,
    /// Pads the struct to 64 bytes.
    pub reserved: [u32; 4],
}

impl Summary {
    /// The summary at the start of `bytes`, wherever they lie in memory; None if they are too few.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.get(..size_of::<Self>()).map(bytemuck::pod_read_unaligned)
    }

    /// Turns a bad target into an error.
    ///
    /// # Errors
    /// [`Error::BadTarget`] names the first bad row and its target; [`Error::OutsideDomain`] the first row with a bad value,
    /// where targets are no class indices.
    pub fn check(&self, shape: Shape) -> Result<()> {
        if self.bad_targets == 0 {
            return Ok(());
        }
        if u32::try_from(self.first_bad_target).is_ok_and(|target| target < shape.classes) {
            return Err(Error::OutsideDomain { row: self.first_bad_row.into(), count: self.bad_targets.into() });
        }
        Err(Error::BadTarget {
            row: self.first_bad_row.into(),
            value: self.first_bad_target.into(),
            classes: shape.classes.into(),
            count: self.bad_targets.into(),
        })
    }
}

/// What else is known of a row once its logits have been read: 16 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Details {
    /// Log-partition `logsumexp(x)` in nats, of the logits capped and divided by the temperature; 0 for [`Nll`](crate::Nll).
    pub lse: f32,
    /// Log-probability of the target in nats; 0 in an ignored row.
    pub log_prob: f32,
    /// Class of the largest logit; the lowest of equals, and NaN counts as -inf.
    pub argmax: u32,
    /// How many logits stand before the target's: larger ones, and equal ones of a lower class; NaN counts as -inf. [`ABSENT`]
    /// where the row is ignored, bad or not finite. The target is among the k largest when `rank < k`.
    pub rank: u32,
}

/// Results of a batch on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Totals and status.
    pub summary: Summary,
    /// Unreduced losses in nats, weighted, before any division: one a [`Unit`](crate::Unit) of the loss.
    pub losses: Vec<f32>,
    /// Gradient of the reduced loss with respect to the logits, in their layout, 0 in gaps between rows; empty if not requested.
    /// A gradient of 16 bits is widened, which is exact.
    pub gradient: Vec<f32>,
    /// Details of each row; empty if not requested.
    pub details: Vec<Details>,
}

/// What to compute besides the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Request {
    /// Element type of the logits.
    pub dtype: DType,
    /// Whether to compute the gradient, and where to.
    pub gradient: Gradient,
    /// Whether to write [`Details`] of each row; only a loss of rows against class indices has them.
    pub details: bool,
    /// For a loss that takes targets of [either kind](crate::TargetKind::Either): one value a logit instead of class indices.
    pub dense_targets: bool,
}

impl Request {
    /// The loss alone, of float32 logits.
    pub const FORWARD: Self = Self { dtype: DType::F32, gradient: Gradient::No, details: false, dense_targets: false };

    /// The kind of the targets, where the loss leaves a choice.
    pub(crate) fn targets(&self, definition: &Definition<'_>) -> TargetKind {
        match definition.targets {
            TargetKind::Either if self.dense_targets => TargetKind::Dense,
            TargetKind::Either => TargetKind::Classes,
            kind => kind,
        }
    }
}

/// Where the gradient goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Gradient {
    /// No gradient: forward only.
    #[default]
    No,
    /// Into a buffer of its own, in the logits' element type: the float32 gradient, rounded once.
    Separate,
    /// Into a buffer of its own, in float32.
    Widened,
    /// Over the logits.
    InPlace,
}
