//! Exponentials of logits, whatever rows they are of.

use super::{Neighbours, Work};
use crate::cpu::simd::{Simd, block_len, store_block, store_up_to};
use crate::cpu::softmax::finish::MarginLoss;
use crate::cpu::softmax::lanes::{Bf16, F16, F32, Logits};
use crate::cpu::tensor::{LinesAhead, Pending, Source};

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// The exponentials of a group's logits, relative to 0. Between their steps it fetches lines, and streams what is pending of the
    /// gradient of the group before, so that memory is read and written at once.
    #[inline(never)]
    pub(super) fn exponentials(
        &self,
        logits: &Neighbours<'_>,
        e: &mut [f32],
        pending: Pending<'_>,
        ahead: &mut LinesAhead,
    ) {
        let e = &mut e[..logits.len()];
        // SAFETY: the logits are as many as the exponentials.
        unsafe {
            match logits.source() {
                Source::F32(x) => self.blocks(F32(x), e, pending, ahead),
                Source::F16(x) => self.blocks(F16(x), e, pending, ahead),
                Source::Bf16(x) => self.blocks(Bf16(x), e, pending, ahead),
            }
        }
    }

    /// The exponentials of `x`, which are as many as `e`, in blocks and what is left.
    ///
    /// What goes on between the steps has no branch: behind one the compiler would do all the steps together.
    ///
    /// # Safety
    /// The logits can be read.
    #[inline(always)]
    unsafe fn blocks<X: Logits>(&self, x: X, e: &mut [f32], pending: Pending<'_>, ahead: &mut LinesAhead) {
        let (simd, exp, length) = (self.simd, self.exp, block_len::<S>());
        simd.vectorize(
            #[inline(always)]
            || {
                // Copies, which no store can change.
                let (exp, mut next) = (exp, *ahead);
                let mut blocks = e.chunks_exact_mut(length).enumerate();
                for (pending, (b, e)) in pending.blocks::<S>().zip(&mut blocks) {
                    // SAFETY: the caller's promise.
                    let mut block = unsafe { x.load(simd, b * length) };
                    exp.of_block(
                        &mut block,
                        #[inline(always)]
                        |i| {
                            next.fetch();
                            pending.stream(simd, i);
                        },
                    );
                    store_block::<S>(&X::in_order::<S>(&block), e);
                }
                for (b, e) in blocks {
                    // SAFETY: the caller's promise.
                    let mut block = unsafe { x.load(simd, b * length) };
                    exp.of_block(
                        &mut block,
                        #[inline(always)]
                        |_| next.fetch(),
                    );
                    store_block::<S>(&X::in_order::<S>(&block), e);
                }
                let whole = e.len() / length * length;
                let rest = &mut e[whole..];
                if !rest.is_empty() {
                    // SAFETY: the caller's promise.
                    let mut block = unsafe { x.load_some(simd, whole, rest.len()) };
                    exp.of_block(&mut block, |_| {});
                    store_up_to::<S>(&X::in_order::<S>(&block), rest);
                }
                *ahead = next;
            },
        );
    }
}
