//! The loop over a group's logits, block by block and row by row, in which the gradient of another group is written.

use super::pending::{Pending, Place};
use super::{Group, Work};
use crate::cpu::aligned::Aligned;
use crate::cpu::simd::exp::Exp;
use crate::cpu::simd::memory::store_vector;
use crate::cpu::simd::{BLOCK, Block, MAX_BLOCK, MAX_LANES, Select, Simd, SimdBase, block_len, splat, to_lanes, total};
use crate::cpu::softmax::finish::MarginLoss;
use crate::cpu::softmax::lanes::{Bf16, F16, F32, Logits, of_types};
use crate::cpu::softmax::partition::{Compensated, RECENT};
use crate::cpu::softmax::short::lane_by_lane;
use crate::cpu::softmax::stretch::{Product, Read};
use crate::cpu::tensor::{Format, LineWriter, Part, Source, Store, ToBf16, ToF16, ToF32, ToNativeBf16};

impl<S: Simd, M: MarginLoss> Work<'_, '_, S, M> {
    /// Reads the logits of a group and writes the gradient of the one before.
    pub(super) fn read_rows(
        &mut self,
        group: Group,
        part: &Part<'_>,
        writer: Option<&mut LineWriter<'_>>,
        e: &mut Aligned,
    ) {
        let Self { simd, exp, smooths, classes, stride, ref pending, ref ledger, .. } = *self;
        let gap = part.layout().outer_stride() as usize;
        let source = part.source(part.row_start(group.first), (group.n - 1) * gap + classes);
        let format = writer.as_ref().map(|writer| (writer.format::<S>(), writer.streams()));
        let lines = writer.map_or(Lines::NONE, |writer| Lines::of(simd, pending, e, writer));
        let mut task = Task {
            exp,
            n: group.n,
            classes,
            gap,
            holes: &ledger.class,
            smooths,
            e: e.as_mut_ptr(),
            stride,
            pending,
            lines,
        };
        let logits;
        [self.sums, logits] = task.run(simd, source, format);
        self.known.logits = to_lanes::<S>(logits);
    }

    /// Writes the gradient that is left.
    pub(super) fn write_left(&mut self, part: &Part<'_>, writer: &mut LineWriter<'_>, e: &Aligned) {
        let Self { simd, exp, classes, stride, ref pending, .. } = *self;
        let format = (writer.format::<S>(), writer.streams());
        let lines = Lines::of(simd, pending, e, writer);
        // Nothing is read, and nothing stored among the exponentials.
        let e = e.as_ptr().cast_mut();
        let mut task = Task { exp, n: 0, classes, gap: 0, holes: &[], smooths: false, e, stride, pending, lines };
        task.run(simd, part.source(0, 0), Some(format));
    }
}

/// Blocks of the gradient that are written as whole lines, in order.
#[derive(Clone, Copy)]
struct Lines {
    next: Place,
    to: *mut u8,
    /// How many numbers are written, and to be written.
    done: usize,
    all: usize,
}

impl Lines {
    const NONE: Self = Self { next: Place::START, to: std::ptr::null_mut(), done: 0, all: 0 };

    /// Those of the rows that are pending; what is not whole blocks is written at once.
    fn of<S: Simd>(simd: S, pending: &Pending, e: &Aligned, writer: &mut LineWriter<'_>) -> Self {
        if pending.len() == 0 {
            return Self::NONE;
        }
        let (e, head) = (e.as_ptr(), writer.to_line());
        let all = (pending.len() - head) / block_len::<S>() * block_len::<S>();
        // SAFETY: the exponentials have the room that the kernel has given them.
        unsafe {
            pending.push(simd, e, 0..head, writer);
            let (to, _) = writer.take_lines(all);
            pending.push(simd, e, head + all..pending.len(), writer);
            Self { next: pending.place(head), to, done: 0, all }
        }
    }
}

/// What is read and written.
struct Task<'a, S: Simd> {
    exp: Exp<S>,
    /// Rows that are read, their classes, and from the logits of one to those of the next.
    n: usize,
    classes: usize,
    gap: usize,
    /// The class of each that is left out, if it is one.
    holes: &'a [u32],
    /// Whether logits are added up too.
    smooths: bool,
    /// Where exponentials are and go: of a row they are stored behind what is still to be written of the rows that were there.
    e: *mut f32,
    stride: usize,
    pending: &'a Pending,
    lines: Lines,
}

impl<S: Simd> Task<'_, S> {
    /// Gives the sum of each row's exponentials but for its target's, a row a lane; and that of its logits, or 0.
    fn run(&mut self, simd: S, source: Source, output: Option<(Format, bool)>) -> [S::f32s; 2] {
        macro_rules! sums {
            ($x:expr) => {
                rows!($x, ToF32, false, false)
            };
        }
        macro_rules! gradient {
            ($x:expr, $output:ty, $streams:literal) => {
                rows!($x, $output, true, $streams)
            };
        }
        macro_rules! rows {
            ($x:expr, $output:ty, $keeps:literal, $streams:literal) => {
                // SAFETY: the source has the rows, and the lines are those of the run.
                unsafe { self.rows::<_, $output, $keeps, $streams>(simd, $x) }
            };
        }
        match (source, output) {
            (source, Some(output)) => of_types!(source, output, gradient),
            (Source::F32(x), None) => sums!(F32(x)),
            (Source::F16(x), None) => sums!(F16(x)),
            (Source::Bf16(x), None) => sums!(Bf16(x)),
        }
    }

    /// # Safety
    /// `x` has the rows; where the lines go nobody else accesses, and it begins with a line if they are to be `STREAMS`.
    #[inline(never)]
    unsafe fn rows<X: Logits, O: Store, const KEEPS: bool, const STREAMS: bool>(
        &mut self,
        simd: S,
        x: X,
    ) -> [S::f32s; 2] {
        simd.vectorize(
            #[inline(always)]
            || {
                let block = block_len::<S>();
                let (classes, whole) = (self.classes, self.classes / block * block);
                let mut row = Row::<S, O, STREAMS> {
                    simd,
                    exp: self.exp,
                    pending: self.pending,
                    e: self.e,
                    lines: self.lines,
                    memory: [0.0; MAX_BLOCK],
                    logits: self.smooths.then(|| splat(simd, 0.0)),
                    output: std::marker::PhantomData,
                };
                let (mut sums, mut logits) = ([splat(simd, 0.0); MAX_LANES], [splat(simd, 0.0); MAX_LANES]);
                for (i, (sum, logits)) in sums.iter_mut().zip(&mut logits).enumerate().take(self.n) {
                    let hole = self.holes[i] as usize;
                    // SAFETY: the caller's promise.
                    let kept = if KEEPS { unsafe { self.e.add(i * self.stride) } } else { self.e };
                    let read = Read { x: X::of(x.pointer().wrapping_add(i * self.gap)), hole, kept };
                    let (mut total, mut of_logits) = (Compensated::zero(simd), Compensated::zero(simd));
                    let mut c = 0;
                    while c < whole {
                        let end = whole.min(c + RECENT * block);
                        // SAFETY: the caller's promise.
                        total.add_positive(unsafe {
                            if row.has_lines(end - c) {
                                row.blocks::<X, KEEPS, true>(read, c, end)
                            } else {
                                row.write_left();
                                row.blocks::<X, KEEPS, false>(read, c, end)
                            }
                        });
                        row.take_logits(&mut of_logits);
                        c = end;
                    }
                    if c < classes {
                        let is_last = i + 1 == self.n;
                        // SAFETY: the caller's promise; what is behind a row but the last is another, or a gap.
                        total.add_positive(unsafe {
                            if row.has_lines(block) {
                                row.rest::<X, KEEPS, true>(read, c, classes - c, is_last)
                            } else {
                                row.write_left();
                                row.rest::<X, KEEPS, false>(read, c, classes - c, is_last)
                            }
                        });
                    }
                    row.take_logits(&mut of_logits);
                    (*sum, *logits) = (total.total(), of_logits.total());
                }
                // SAFETY: the caller's promise.
                unsafe { row.write_left() };
                [lane_by_lane(sums), lane_by_lane(logits)]
            },
        )
    }
}

/// A row on its way, and what is written meanwhile.
struct Row<'a, S: Simd, O, const STREAMS: bool> {
    simd: S,
    exp: Exp<S>,
    pending: &'a Pending,
    e: *const f32,
    lines: Lines,
    memory: [f32; MAX_BLOCK],
    /// The sum of the last few logits, if they are added up.
    logits: Option<S::f32s>,
    output: std::marker::PhantomData<O>,
}

impl<S: Simd, O: Store, const STREAMS: bool> Row<'_, S, O, STREAMS> {
    /// Whether as many numbers are left to write.
    #[inline(always)]
    fn has_lines(&self, n: usize) -> bool {
        self.lines.done + n <= self.lines.all
    }

    /// Adds the sum of the last few logits to that of the row.
    #[inline(always)]
    fn take_logits(&mut self, sum: &mut Compensated<S>) {
        if let Some(logits) = &mut self.logits {
            sum.add(*logits);
            *logits = splat(self.simd, 0.0);
        }
    }

    /// The next block to write.
    #[inline(always)]
    unsafe fn next(&mut self) -> (Product<S>, usize) {
        // SAFETY: the caller's promise.
        let product = unsafe { self.pending.next(self.simd, self.e, &mut self.lines.next, &mut self.memory) };
        let at = self.lines.done;
        self.lines.done += block_len::<S>();
        (product, at)
    }

    /// Writes all blocks that are left: before anything is stored where they come from.
    #[inline(always)]
    unsafe fn write_left(&mut self) {
        while self.lines.done < self.lines.all {
            // SAFETY: the caller's promise.
            unsafe {
                let (product, at) = self.next();
                for i in 0..BLOCK {
                    product.store_some::<O, STREAMS>(self.simd, i, self.lines.to, at);
                }
            }
        }
    }

    /// The sum of the exponentials of whole blocks.
    ///
    /// # Safety
    /// As [`Task::rows`].
    #[inline(always)]
    unsafe fn blocks<X: Logits, const KEEPS: bool, const WRITES: bool>(
        &mut self,
        read: Read<X>,
        first: usize,
        end: usize,
    ) -> S::f32s {
        let simd = self.simd;
        let has_hole = (first..end).contains(&read.hole);
        let mut sum = splat(simd, 0.0);
        for at in (first..end).step_by(block_len::<S>()) {
            // SAFETY: the caller's promise.
            unsafe {
                let mut logits = read.x.load(simd, at);
                if let Some(sum) = &mut self.logits {
                    *sum += total::<S>(&logits);
                }
                if has_hole {
                    logits = read.without_hole(simd, logits, at);
                }
                sum += self.block::<X, KEEPS, WRITES>(read, logits, at);
            }
        }
        sum
    }

    /// The sum of the exponentials of the last `n` logits, less than a block; 0 is stored behind them.
    ///
    /// # Safety
    /// As [`Task::rows`].
    #[inline(always)]
    unsafe fn rest<X: Logits, const KEEPS: bool, const WRITES: bool>(
        &mut self,
        read: Read<X>,
        first: usize,
        n: usize,
        is_last: bool,
    ) -> S::f32s {
        let simd = self.simd;
        let (end, none) = (S::u32s::splat(simd, n as u32), splat(simd, f32::NEG_INFINITY));
        // SAFETY: the caller's promise.
        unsafe {
            let mut logits = if is_last { read.x.load_some(simd, first, n) } else { read.x.load(simd, first) };
            let are_own = X::numbers::<S>(simd).map(
                #[inline(always)]
                |number| number.simd_lt(end),
            );
            if let Some(sum) = &mut self.logits {
                for (x, is_own) in logits.iter().zip(are_own) {
                    *sum += is_own.select(*x, splat(simd, 0.0));
                }
            }
            logits = read.without_hole::<S>(simd, logits, first);
            for (x, is_own) in logits.iter_mut().zip(are_own) {
                *x = is_own.select(*x, none);
            }
            self.block::<X, KEEPS, WRITES>(read, logits, first)
        }
    }

    /// The sum of the exponentials of a block.
    ///
    /// # Safety
    /// As [`Task::rows`].
    #[inline(always)]
    unsafe fn block<X: Logits, const KEEPS: bool, const WRITES: bool>(
        &mut self,
        read: Read<X>,
        mut logits: Block<S>,
        first: usize,
    ) -> S::f32s {
        let simd = self.simd;
        // SAFETY: the caller's promise.
        unsafe {
            let (product, at) = if WRITES { self.next() } else { (Product::none(simd), 0) };
            let to = self.lines.to;
            let sum = self.exp.sum_of_block::<KEEPS>(
                &mut logits,
                // What is there has no branch.
                #[inline(always)]
                |i| {
                    read.fetch::<S>(first, i);
                    if WRITES {
                        product.store_some::<O, STREAMS>(simd, i, to, at);
                    }
                },
            );
            if KEEPS {
                for (i, vector) in X::in_order::<S>(&logits).iter().enumerate() {
                    store_vector::<S>(*vector, read.kept.add(first + i * S::f32s::LEN));
                }
            }
            sum
        }
    }
}
