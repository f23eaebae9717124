//! What the targets say of each row.

use crate::{Batch, Error, Result, Targets};

/// The target class of each row; none if the row is ignored. An ignore index may be a class index too: it is ignored.
///
/// # Errors
/// [`Error::BadTarget`] if a target is neither a class index nor an ignore index.
pub(super) fn class_targets(batch: &Batch<'_>, ignore_index: &[i32]) -> Result<Vec<Option<usize>>> {
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

/// Shape (classes): the values of row `row` of dense targets.
pub(super) fn dense_target(targets: &[f32], batch: &Batch<'_>, row: u32) -> Vec<f64> {
    let layout = batch.layout.contiguous();
    (0..layout.classes()).map(|class| f64::from(targets[layout.element(row, class) as usize])).collect()
}

/// The dense targets; none where the targets are of another kind.
pub(super) const fn dense_targets<'a>(batch: &Batch<'a>) -> &'a [f32] {
    match batch.targets {
        Targets::Classes(_) => &[],
        Targets::Dense(targets) => targets,
    }
}

/// Targets of either kind as one value a class.
///
/// # Errors
/// As [`class_targets`].
pub(super) fn as_dense(batch: &Batch<'_>, ignore_index: &[i32]) -> Result<Vec<Option<Vec<f64>>>> {
    let classes = batch.layout.classes() as usize;
    let one_hot = |target: usize| (0..classes).map(|class| f64::from(u8::from(class == target))).collect();
    match batch.targets {
        Targets::Classes(_) => {
            Ok(class_targets(batch, ignore_index)?.into_iter().map(|target| target.map(one_hot)).collect())
        }
        Targets::Dense(targets) => {
            Ok((0..batch.layout.rows()).map(|row| Some(dense_target(targets, batch, row))).collect())
        }
    }
}
