//! Exponentials of logits, whatever rows they are of.

use super::{Neighbours, Work};
use crate::cpu::simd::{Simd, SimdBase, block_len, load, store_block, store_up_to};
use crate::cpu::softmax::finish::MarginLoss;
use crate::cpu::softmax::lanes::{Bf16, F16, F32, Logits, of_types};
use crate::cpu::tensor::{Format, LineWriter, LinesAhead, Source, Store, ToBf16, ToF16, ToF32, ToNativeBf16};

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// The exponentials of a group's logits, relative to 0. Between their steps it fetches lines, and writes the gradient of the
    /// group before, so that memory is read and written at once.
    #[inline(never)]
    pub(super) fn exponentials(
        &self,
        logits: &Neighbours<'_>,
        e: &mut [f32],
        gradient: Option<(&[f32], &mut LineWriter<'_>)>,
        ahead: &mut LinesAhead,
    ) {
        let length = block_len::<S>();
        let mut task = Task { e: &mut e[..logits.len()], lines: &[], to: std::ptr::null_mut(), ahead };
        macro_rules! blocks {
            ($x:expr, $output:ty, $streams:literal) => {
                // SAFETY: the logits are as many as the exponentials, and the elements those of the run, which begin with a line if
                // they are streamed.
                unsafe { self.blocks::<_, $output, $streams>($x, task) }
            };
        }
        let Some((gradient, writer)) = gradient else {
            return match logits.source() {
                Source::F32(x) => blocks!(F32(x), ToF32, false),
                Source::F16(x) => blocks!(F16(x), ToF32, false),
                Source::Bf16(x) => blocks!(Bf16(x), ToF32, false),
            };
        };
        let (head, rest) = gradient.split_at(writer.to_line().min(gradient.len()));
        writer.push(head);
        let n = rest.len().min(logits.len()) / length * length;
        let (lines, rest) = rest.split_at(n);
        let (to, streams) = writer.take_lines(n);
        (task.lines, task.to) = (lines, to);
        match (logits.source(), (writer.format::<S>(), streams)) {
            // Collected from rows with gaps.
            (Source::F32(x), (Format::F16, true)) => blocks!(F32(x), ToF16, true),
            (Source::F32(x), (Format::F16, false)) => blocks!(F32(x), ToF16, false),
            (Source::F32(x), (Format::Bf16, true)) => blocks!(F32(x), ToBf16, true),
            (Source::F32(x), (Format::Bf16, false)) => blocks!(F32(x), ToBf16, false),
            (Source::F32(x), (Format::NativeBf16, true)) => blocks!(F32(x), ToNativeBf16, true),
            (Source::F32(x), (Format::NativeBf16, false)) => blocks!(F32(x), ToNativeBf16, false),
            (source, output) => of_types!(source, output, blocks),
        }
        writer.push_all(self.simd, rest);
    }

    /// Does a task in blocks, and the rest of the exponentials.
    ///
    /// What goes on between the steps has no branch: behind one the compiler would do all the steps together.
    ///
    /// # Safety
    /// The logits `x` are as many as the exponentials; the lines can be stored, and `to` is the start of one if it `STREAMS`.
    #[inline(always)]
    unsafe fn blocks<X: Logits, O: Store, const STREAMS: bool>(&self, x: X, task: Task<'_>) {
        let (simd, exp, length) = (self.simd, self.exp, block_len::<S>());
        let Task { e, lines, to, ahead } = task;
        simd.vectorize(
            #[inline(always)]
            || {
                // Copies, which no store can change.
                let (exp, mut next) = (exp, *ahead);
                let mut blocks = e.chunks_exact_mut(length).enumerate();
                for (lines, (b, e)) in lines.chunks_exact(length).zip(&mut blocks) {
                    // SAFETY: the caller's promise.
                    let mut block = unsafe { x.load(simd, b * length) };
                    exp.of_block(
                        &mut block,
                        #[inline(always)]
                        |i| {
                            next.fetch();
                            // SAFETY: the caller's promise.
                            unsafe {
                                O::store_some::<S>(
                                    simd,
                                    #[inline(always)]
                                    |i| load(simd, lines, i * S::f32s::LEN),
                                    i,
                                    to,
                                    b * length,
                                    STREAMS,
                                );
                            }
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

/// What is done in a loop over blocks.
struct Task<'a> {
    /// Where the exponentials go.
    e: &'a mut [f32],
    /// What is stored meanwhile, whole blocks and no more than there are of exponentials, and where.
    lines: &'a [f32],
    to: *mut u8,
    ahead: &'a mut LinesAhead,
}
