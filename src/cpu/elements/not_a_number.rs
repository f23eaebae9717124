//! Logits whose loss is NaN.

use super::super::simd::exp::Exp;
use super::super::simd::{Kernel, MAX_BLOCK, Simd, block_len, load_up_to, store_block};
use super::weights::row_and_class;
use super::{ElementLoss, evaluate};
use crate::Layout;

/// How many there are, and the lowest row with one.
#[derive(Default)]
pub(super) struct NotANumber {
    pub(super) count: u32,
    pub(super) first_row: Option<usize>,
}

/// Looks for them in a chunk whose sum is NaN. Few chunks' is: each loss is computed once more for it.
pub(super) struct Recount<'a, L> {
    pub(super) loss: &'a L,
    pub(super) x: &'a [f32],
    pub(super) t: &'a [f32],
    /// Of each element, if the loss has [`ElementLoss::POS_WEIGHTS`].
    pub(super) pos_weights: Option<&'a [f32]>,
    pub(super) layout: Layout,
    /// The first element of the chunk.
    pub(super) first: usize,
    pub(super) found: &'a mut NotANumber,
}

impl<L: ElementLoss> Kernel for Recount<'_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { loss, x, t, pos_weights, layout, first, found } = self;
        let (exp, length) = (Exp::new(simd, 1.0), block_len::<S>());
        let mut losses = [0.0; MAX_BLOCK];
        for from in (0..x.len()).step_by(length) {
            let at = from..x.len().min(from + length);
            let load = |values: &[f32]| load_up_to(simd, &values[at.clone()], 0.0);
            let q = pos_weights.map_or_else(|| load_up_to(simd, &[], 1.0), load);
            let [block, _] = evaluate(simd, loss, exp, [&load(x), &load(t), &q], |_| {});
            store_block::<S>(&block, &mut losses);
            for i in (0..at.len()).filter(|&i| losses[i].is_nan()) {
                let (row, _) = row_and_class(&layout, first + from + i);
                found.count = found.count.saturating_add(1);
                found.first_row = Some(found.first_row.map_or(row, |first| first.min(row)));
            }
        }
    }
}
