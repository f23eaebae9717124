//! Losses and gradients in every combination, and for every width of a workgroup.

use logloss::gpu::Tuning;
use logloss::{DType, Dice, DiceCrossEntropy, GeneralizedDice, Layout, Reduction, Request, Shape};

use super::{Tensors, losses};
use crate::case::{IN_PLACE, SEPARATE, reductions};
use crate::stored::{GRADIENTS, planes, strided};

/// Blocks are of 128 positions where a workgroup has eight lanes.
fn layouts() -> Vec<Layout> {
    vec![
        planes(2, 3, 4),
        planes(3, 5, 7),
        planes(1, 2, 127),
        planes(2, 3, 129),
        planes(2, 4, 640),
        planes(3, 3, 3),
        planes(4, 1, 6),
        planes(2, 70, 9),
        Shape::new(9, 3).into(),
        Shape::new(40, 6).into(),
        strided(7, 5, 3),
        strided(300, 3, 1),
    ]
}

#[test]
fn every_loss_in_every_layout() {
    for loss in losses() {
        for layout in layouts() {
            // Without class 0 there may be no region at all, whose logits nobody reads.
            let tensors = Tensors::new(layout);
            for dense in [false, true] {
                tensors.check(loss.as_ref(), dense, SEPARATE, Tuning::PLANNED);
            }
            tensors.check(loss.as_ref(), false, Request::FORWARD, Tuning::PLANNED);
            tensors.check(loss.as_ref(), true, IN_PLACE, Tuning::PLANNED);
        }
    }
}

#[test]
fn every_element_type_and_place() {
    for loss in [&losses()[0], &losses()[13]] {
        for layout in [planes(2, 3, 8), planes(3, 5, 7), planes(3, 3, 3), planes(5, 2, 1), strided(6, 3, 2)] {
            let tensors = Tensors::new(layout);
            for dtype in DType::ALL {
                for gradient in GRADIENTS {
                    let request = Request { dtype, gradient, ..Request::FORWARD };
                    tensors.check(loss.as_ref(), false, request, Tuning::PLANNED);
                }
            }
        }
    }
}

#[test]
fn every_reduction() {
    let reductions =
        [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::MeanOrZero, Reduction::MeanOver(2.5)];
    for layout in [planes(2, 3, 20), planes(0, 3, 20), planes(2, 3, 0), planes(2, 1, 6)] {
        let tensors = Tensors::new(layout);
        for reduction in reductions {
            for include_background in [true, false] {
                for batch in [true, false] {
                    for dense in [true, false] {
                        let dice = Dice { reduction, include_background, batch, ..Dice::default() };
                        tensors.check(&dice, dense, SEPARATE, Tuning::PLANNED);
                        let generalized =
                            GeneralizedDice { reduction, include_background, batch, ..GeneralizedDice::default() };
                        tensors.check(&generalized, dense, SEPARATE, Tuning::PLANNED);
                        if matches!(reduction, Reduction::Sum | Reduction::Mean) {
                            let combined = DiceCrossEntropy { dice, ..DiceCrossEntropy::default() };
                            tensors.check(&combined, dense, SEPARATE, Tuning::PLANNED);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_width_and_reduce() {
    let losses = losses();
    for loss in [0, 3, 7, 14].map(|i| &losses[i]) {
        for layout in [planes(2, 5, 70), planes(30, 3, 7)] {
            let tensors = Tensors::new(layout);
            for reduce in reductions() {
                for lanes in [4, 16, 64, 256] {
                    let tuning = Tuning { lanes: Some(lanes), reduce: Some(reduce), ..Tuning::PLANNED };
                    tensors.check(loss.as_ref(), false, SEPARATE, tuning);
                }
            }
            let tuning = Tuning { max_workgroups: Some(3), checked: true, ..Tuning::PLANNED };
            tensors.check(loss.as_ref(), true, SEPARATE, tuning);
        }
    }
}
