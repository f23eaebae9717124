//! A loss that every engine has, so that a program can choose both at run time.

use crate::cpu::CpuLoss;
use crate::gpu::GpuLoss;
use crate::reference::ReferenceLoss;

/// A loss that every engine has: `&dyn AnyLoss` is what a program holds that chooses its loss at run time.
///
/// ```
/// use logloss::{AnyLoss, Batch, CrossEntropy, Nll, Shape, reference};
///
/// let losses: [Box<dyn AnyLoss>; 2] = [Box::new(CrossEntropy::default()), Box::new(Nll::default())];
/// let batch = Batch::new(Shape::new(1, 2), &[-0.25, -1.5], &[0]);
/// for loss in &losses {
///     println!("{}: {}", loss.definition().name, reference::evaluate(loss.as_ref(), &batch)?.loss);
/// }
/// # Ok::<(), logloss::Error>(())
/// ```
pub trait AnyLoss: GpuLoss + CpuLoss + ReferenceLoss {}

impl<L: GpuLoss + CpuLoss + ReferenceLoss> AnyLoss for L {}
