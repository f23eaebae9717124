//! A loss that every engine has, so that a program can choose both at run time.

use crate::cpu::CpuLoss;
use crate::gpu::GpuLoss;
use crate::loss::{
    Bce, BceWithLogits, CrossEntropy, Dice, DiceCrossEntropy, DiceFocal, Focal, GeneralizedDice, Hinge, KlDiv,
    LogitDivergence, Mse, MultiMargin, Nll, SigmoidFocal, SoftCrossEntropy, SquaredHinge, Tversky,
};
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

/// Every loss with its default options: those of rows, of single logits, of regions.
///
/// ```
/// for loss in logloss::every_loss() {
///     let definition = loss.definition();
///     println!("{}: targets {:?}, in {:?}", definition.name, definition.targets, definition.domains.target);
/// }
/// ```
#[must_use]
pub fn every_loss() -> Vec<Box<dyn AnyLoss>> {
    vec![
        Box::new(CrossEntropy::default()),
        Box::new(SoftCrossEntropy::default()),
        Box::new(Nll::default()),
        Box::new(Focal::default()),
        Box::new(MultiMargin::default()),
        Box::new(KlDiv::default()),
        Box::new(LogitDivergence::default()),
        Box::new(Bce::default()),
        Box::new(BceWithLogits::default()),
        Box::new(SigmoidFocal::default()),
        Box::new(Mse::default()),
        Box::new(Hinge::default()),
        Box::new(SquaredHinge::default()),
        Box::new(Dice::default()),
        Box::new(GeneralizedDice::default()),
        Box::new(Tversky::default()),
        Box::new(DiceCrossEntropy::default()),
        Box::new(DiceFocal::default()),
    ]
}
