//! The float64 oracle: textbook formulas, one loss a file.
//!
//! Every engine is checked against these functions. They share no code with any engine, favour plainness over speed, and
//! are accurate to a few float64 roundings for float32 logits: there is no offset and no confidence at which digits go.
//!
//! ```
//! use logloss::{Batch, CrossEntropy, Shape, reference};
//!
//! let logits = [20.0, 0.0, 0.0];
//! let row = reference::evaluate(&CrossEntropy::default(), &Batch::new(Shape::new(1, 3), &logits, &[0]))?;
//! assert!((row.loss / 4.122307236380407e-9 - 1.0).abs() < 1e-14);
//! # Ok::<(), logloss::Error>(())
//! ```

mod cross_entropy;
mod nll;
mod row;

use crate::{Batch, Error, Loss, Reduction, Result};
use row::Row;

/// What the reference computes of a batch, in float64 and nats.
///
/// A row is *ignored* if its target is an ignore index. A row that counts is *non-finite* if the loss reads a logit of it that
/// is NaN or +inf, or reads only -inf where it needs a softmax; its loss, log-probability and gradient are NaN, whatever its
/// weights are, and so is the reduced loss. Only a mean over a weight sum of 0 has a gradient of zeros in every row.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The reduced loss; for [`Reduction::None`] the sum of the row losses.
    pub loss: f64,
    /// Shape (rows): the loss of each row, weights included, before the reduction; 0 for an ignored row.
    pub losses: Vec<f64>,
    /// Shape (rows, classes), row-major: derivative of `loss` by each logit; exactly 0 in an ignored row.
    pub gradient: Vec<f64>,
    /// Sum over the rows that count of the row's weight times its target's class weight.
    pub weight_sum: f64,
    /// Shape (rows): logsumexp of the logits over the temperature; NaN if they have none, also in an ignored row.
    pub lse: Vec<f64>,
    /// Shape (rows): log-probability of the target; 0 for an ignored row.
    pub log_prob: Vec<f64>,
    /// Shape (rows): the largest class, the lowest index among equals; NaN counts as -inf.
    pub argmax: Vec<u32>,
    /// Shape (rows): number of classes that are larger than the target, where of equal logits the lower class index counts
    /// as larger. The target is among the k largest if its rank is below k. `u32::MAX`, so never among them, for an
    /// ignored or non-finite row.
    pub rank: Vec<u32>,
    /// Number of ignored rows.
    pub ignored: u32,
    /// Number of non-finite rows among those that count.
    pub non_finite_rows: u32,
}

/// What a loss says of one finite row that counts, without the row's weight.
struct RowLoss {
    loss: f64,
    /// Log-probability of the target.
    log_prob: f64,
    /// Shape (classes): derivative of `loss` by each logit, before the division by the temperature.
    gradient: Vec<f64>,
}

impl RowLoss {
    fn nan(classes: usize) -> Self {
        Self { loss: f64::NAN, log_prob: f64::NAN, gradient: vec![f64::NAN; classes] }
    }
}

/// A loss with a float64 oracle.
pub trait ReferenceLoss: Loss {
    /// The oracle, for a batch that was checked.
    #[doc(hidden)]
    fn reference(&self, batch: &Batch<'_>) -> Result<Evaluation>;
}

/// The loss of a batch and its gradient, by the textbook.
///
/// # Errors
/// [`Error::InvalidOption`], [`Error::LengthMismatch`], [`Error::WrongTargets`], [`Error::UnusedWeights`],
/// [`Error::BadTarget`] and [`Error::BadValue`].
pub fn evaluate(loss: &(impl ReferenceLoss + ?Sized), batch: &Batch<'_>) -> Result<Evaluation> {
    loss.validate()?;
    loss.definition().check_batch(batch)?;
    loss.reference(batch)
}

/// Evaluates every row with `row_loss(row, target)`, which is none for a non-finite row, and reduces.
fn evaluate_rows(
    batch: &Batch<'_>,
    ignore_index: &[i32],
    reduction: Reduction,
    temperature: f64,
    row_loss: impl Fn(&Row, usize) -> Option<RowLoss>,
) -> Result<Evaluation> {
    let targets = class_targets(batch, ignore_index)?;
    let logits = batch.plain_rows()?;
    let classes = batch.layout.classes() as usize;
    let mut out = Evaluation {
        loss: 0.0,
        losses: Vec::with_capacity(targets.len()),
        gradient: Vec::with_capacity(batch.logits.len()),
        weight_sum: 0.0,
        lse: Vec::with_capacity(targets.len()),
        log_prob: Vec::with_capacity(targets.len()),
        argmax: Vec::with_capacity(targets.len()),
        rank: Vec::with_capacity(targets.len()),
        ignored: 0,
        non_finite_rows: 0,
    };
    for (r, &target) in targets.iter().enumerate() {
        let row = Row::new(&logits[r * classes..(r + 1) * classes], temperature);
        out.lse.push(row.lse());
        out.argmax.push(row.argmax() as u32);
        let Some(target) = target else {
            out.ignored += 1;
            out.losses.push(0.0);
            out.log_prob.push(0.0);
            out.rank.push(u32::MAX);
            out.gradient.extend(std::iter::repeat_n(0.0, classes));
            continue;
        };
        let row_weight = weight(batch.row_weights, r);
        out.weight_sum += row_weight * weight(batch.class_weights, target);
        let result = if let Some(result) = row_loss(&row, target) {
            out.rank.push(row.rank(target) as u32);
            result
        } else {
            out.non_finite_rows += 1;
            out.rank.push(u32::MAX);
            RowLoss::nan(classes)
        };
        out.losses.push(weighted(row_weight, result.loss));
        out.log_prob.push(result.log_prob);
        out.gradient.extend(result.gradient.iter().map(|g| row_weight * g / temperature));
    }
    out.reduce(reduction);
    Ok(out)
}

impl Evaluation {
    /// Sets `loss`, and makes the gradient that of `loss`.
    fn reduce(&mut self, reduction: Reduction) {
        let denominator = match reduction {
            Reduction::None | Reduction::Sum | Reduction::BatchMean => 1.0,
            Reduction::Mean | Reduction::MeanOrZero => self.weight_sum,
            Reduction::MeanOver(denominator) => f64::from(denominator),
        };
        if denominator == 0.0 {
            let is_zero = reduction == Reduction::MeanOrZero && self.non_finite_rows == 0;
            self.loss = if is_zero { 0.0 } else { f64::NAN };
            self.gradient.fill(0.0);
        } else {
            self.loss = self.losses.iter().fold(0.0, |sum, loss| sum + loss) / denominator;
            self.gradient.iter_mut().for_each(|g| *g /= denominator);
        }
    }
}

/// The target class of each row; none if the row is ignored. An ignore index may be a class index too: it is ignored.
///
/// # Errors
/// [`Error::BadTarget`] if a target is neither a class index nor an ignore index.
fn class_targets(batch: &Batch<'_>, ignore_index: &[i32]) -> Result<Vec<Option<usize>>> {
    let classes = u64::from(batch.layout.classes());
    let is_class = |target: i32| u64::try_from(target).is_ok_and(|target| target < classes);
    let is_bad = |target: i32| !ignore_index.contains(&target) && !is_class(target);
    let targets = batch.class_targets();
    if let Some(first) = targets.iter().position(|&target| is_bad(target)) {
        let count = targets.iter().filter(|&&target| is_bad(target)).count();
        return Err(Error::BadTarget { row: first as u64, value: targets[first].into(), classes, count: count as u64 });
    }
    let class = |&target: &i32| if ignore_index.contains(&target) { None } else { usize::try_from(target).ok() };
    Ok(targets.iter().map(class).collect())
}

/// Weight `i`; 1 where there are no weights.
fn weight(weights: Option<&[f32]>, i: usize) -> f64 {
    weights.map_or(1.0, |weights| f64::from(weights[i]))
}

/// `weight * term`, where a weight of 0 also removes an infinite term.
fn weighted(weight: f64, term: f64) -> f64 {
    if weight == 0.0 && term.is_infinite() { 0.0 } else { weight * term }
}
