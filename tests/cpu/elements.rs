//! An element's bits depend on the element: not on where it lies in memory, where its gradient goes, or which others come with it.

use crate::common::random::Random;
use crate::instructions;
use half::{bf16, f16};
use logloss::cpu::{self, CpuLoss, Instructions, LogitsMut, Outputs};
use logloss::{Batch, BceWithLogits, Logits, Mse, Reduction, Shape, SigmoidFocal};

/// More than a part, so that there is a second one, of several chunks and a rest.
const N: usize = (1 << 16) + 3 * 512 + 77;

struct Elements<T> {
    logits: Vec<T>,
    targets: Vec<f32>,
    weights: Vec<f32>,
}

impl<T: Copy> Elements<T> {
    fn new(from_f32: impl Fn(f32) -> T) -> Self {
        let mut random = Random(41);
        let mut of = |low, high| (0..N).map(|_| random.uniform(low, high)).collect::<Vec<f32>>();
        let logits = of(-30.0, 30.0).into_iter().map(from_f32).collect();
        Self { logits, targets: of(0.0, 1.0), weights: of(0.5, 2.0) }
    }

    /// Losses and gradient of elements `from..to`, the latter starting `offset` elements behind a cache line, or over the logits.
    fn evaluate(
        &self,
        loss: &impl CpuLoss,
        set: Instructions,
        is_weighted: bool,
        view: impl Fn(&[T]) -> Logits<'_>,
        (from, to): (usize, usize),
        offset: Option<usize>,
    ) -> (Vec<u32>, Vec<T>)
    where
        for<'a> LogitsMut<'a>: From<&'a mut [T]>,
    {
        let (logits, targets, weights) = (&self.logits[from..to], &self.targets[from..to], &self.weights[from..to]);
        let mut memory = vec![logits[0]; to - from + 128];
        let start = memory.as_ptr().align_offset(64) + offset.unwrap_or(0);
        let gradient = &mut memory[start..start + to - from];
        let mut losses = vec![0.0; to - from];
        let batch = Batch {
            pos_weights: is_weighted.then_some(weights),
            ..Batch::new(Shape::new(1, (to - from) as u32), view(logits), targets)
        };
        if offset.is_some() {
            let outputs =
                Outputs { losses: Some(&mut losses), gradient: Some((&mut *gradient).into()), ..Outputs::default() };
            cpu::evaluate_into_with(set, loss, &batch, outputs).expect("a valid batch");
        } else {
            gradient.copy_from_slice(logits);
            let outputs = Outputs { losses: Some(&mut losses), ..Outputs::default() };
            let batch = Batch { logits: Logits::F32(&[]), ..batch };
            cpu::evaluate_in_place_with(set, loss, &batch, &mut *gradient, outputs).expect("a valid batch");
        }
        (losses.iter().map(|loss| loss.to_bits()).collect(), gradient.to_vec())
    }

    fn check(&self, loss: &impl CpuLoss, is_weighted: bool, view: impl Fn(&[T]) -> Logits<'_> + Copy)
    where
        T: PartialEq,
        for<'a> LogitsMut<'a>: From<&'a mut [T]>,
    {
        for set in instructions() {
            let evaluate = |range, offset| self.evaluate(loss, set, is_weighted, view, range, offset);
            let (losses, gradient) = evaluate((0, N), Some(0));
            for offset in [None, Some(1), Some(4), Some(31)] {
                let of_other = evaluate((0, N), offset);
                assert!(of_other.0 == losses, "{set:?}, losses with {offset:?}");
                assert!(of_other.1 == gradient, "{set:?}, gradient with {offset:?}");
            }
            for (from, to) in [(7, 8), (100, 163), (513, 1100), (60_000, N), (N - 700, N - 1)] {
                for offset in [None, Some(0), Some(5), Some(17)] {
                    let part = evaluate((from, to), offset);
                    assert!(part.0 == losses[from..to], "{set:?}, losses of {from}..{to} with {offset:?}");
                    assert!(part.1 == gradient[from..to], "{set:?}, gradient of {from}..{to} with {offset:?}");
                }
            }
        }
    }
}

#[test]
fn neighbours_and_places_change_no_bit() {
    let elements = Elements::new(|x| x);
    let bce = BceWithLogits { reduction: Reduction::Sum };
    elements.check(&bce, false, |logits| Logits::F32(logits));
    elements.check(&bce, true, |logits| Logits::F32(logits));
    elements.check(&Mse { reduction: Reduction::Sum }, false, |logits| Logits::F32(logits));
    let focal = SigmoidFocal { reduction: Reduction::Sum, ..SigmoidFocal::default() };
    elements.check(&focal, false, |logits| Logits::F32(logits));
}

#[test]
fn nor_those_of_16_bits() {
    let bce = BceWithLogits { reduction: Reduction::Sum };
    Elements::new(f16::from_f32).check(&bce, false, |logits| Logits::F16(logits));
    Elements::new(bf16::from_f32).check(&bce, true, |logits| Logits::Bf16(logits));
}
