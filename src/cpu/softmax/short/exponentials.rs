//! Exponentials of logits, whatever rows they are of.

use super::super::finish::MarginLoss;
use super::Work;
use crate::DType;
use crate::cpu::simd::{Simd, block_len, load_block, load_up_to, store_block, store_up_to};
use crate::cpu::tensor::{LineWriter, LinesAhead, Store, ToBf16, ToF16, ToF32};

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// The exponentials of a group's logits, relative to 0. Between their steps it fetches lines, and writes the gradient of the
    /// group before, so that memory is read and written at once.
    #[inline(never)]
    pub(super) fn exponentials(
        &self,
        x: &[f32],
        e: &mut [f32],
        gradient: Option<(&[f32], &mut LineWriter<'_>)>,
        ahead: &mut LinesAhead,
    ) {
        let (simd, length) = (self.simd, block_len::<S>());
        let Some((gradient, writer)) = gradient else {
            return self.blocks::<ToF32, false>(x, e, &[], std::ptr::null_mut(), ahead);
        };
        let (head, rest) = gradient.split_at(writer.to_line().min(gradient.len()));
        writer.push(head);
        let n = rest.len().min(x.len()) / length * length;
        let (lines, rest) = rest.split_at(n);
        let (to, streams) = writer.take_lines(n);
        match (writer.dtype(), streams) {
            (DType::F32, true) => self.blocks::<ToF32, true>(x, e, lines, to, ahead),
            (DType::F32, false) => self.blocks::<ToF32, false>(x, e, lines, to, ahead),
            (DType::F16, true) => self.blocks::<ToF16, true>(x, e, lines, to, ahead),
            (DType::F16, false) => self.blocks::<ToF16, false>(x, e, lines, to, ahead),
            (DType::Bf16, true) => self.blocks::<ToBf16, true>(x, e, lines, to, ahead),
            (DType::Bf16, false) => self.blocks::<ToBf16, false>(x, e, lines, to, ahead),
        }
        write(simd, writer, rest);
    }

    /// The exponentials of `x` in `e`, while `lines` are stored behind `to`; in whole blocks, of which `x` has no fewer.
    ///
    /// What goes on between the steps has no branch: behind one the compiler would do all the steps together.
    #[inline(always)]
    fn blocks<O: Store, const STREAMS: bool>(
        &self,
        x: &[f32],
        e: &mut [f32],
        lines: &[f32],
        to: *mut u8,
        ahead: &mut LinesAhead,
    ) {
        let (simd, exp, length) = (self.simd, self.exp, block_len::<S>());
        let (x, x_rest) = x.split_at(x.len() - x.len() % length);
        let (e, e_rest) = e.split_at_mut(x.len());
        // A copy, which no store can change.
        let mut next = *ahead;
        simd.vectorize(
            #[inline(always)]
            || {
                let (x, e) = (x.chunks_exact(length), e.chunks_exact_mut(length));
                let mut blocks = x.zip(e);
                for (b, (lines, (x, e))) in lines.chunks_exact(length).zip(&mut blocks).enumerate() {
                    let (mut block, lines) = (load_block(simd, x), load_block(simd, lines));
                    exp.of_block(
                        &mut block,
                        #[inline(always)]
                        |i| {
                            next.fetch(1);
                            // SAFETY: the caller's promise.
                            unsafe { O::store_some::<S>(simd, &lines, i, to, b * length, STREAMS) };
                        },
                    );
                    store_block::<S>(&block, e);
                }
                for (x, e) in blocks {
                    let mut block = load_block(simd, x);
                    exp.of_block(
                        &mut block,
                        #[inline(always)]
                        |_| next.fetch(1),
                    );
                    store_block::<S>(&block, e);
                }
                if !x_rest.is_empty() {
                    let mut block = load_up_to(simd, x_rest, 0.0);
                    exp.of_block(&mut block, |_| {});
                    store_up_to::<S>(&block, &mut e_rest[..x_rest.len()]);
                }
            },
        );
        *ahead = next;
    }
}

/// Writes the next values of a run.
pub(super) fn write<S: Simd>(simd: S, writer: &mut LineWriter<'_>, values: &[f32]) {
    simd.vectorize(
        #[inline(always)]
        || {
            let n = writer.push_blocks(simd, values);
            writer.push(&values[n..]);
        },
    );
}
