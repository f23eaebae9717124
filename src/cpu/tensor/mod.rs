//! Where logits are read and gradients written: any element type, any layout, in parts that tasks own.

mod convert;
mod lines;
mod logits;
mod part;
mod read;
mod store;
mod trail;
mod write;

pub(super) use lines::LineWriter;
pub use logits::LogitsMut;
pub(super) use part::Part;
pub(super) use read::LinesAhead;
pub(super) use store::{Format, Store, ToBf16, ToF16, ToF32, ToNativeBf16};
pub(super) use trail::{Pending, Trail};

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use rayon::prelude::*;

use crate::{Layout, Logits};

/// Elements in memory, without a lifetime, so that tasks can share the tensor and write to parts of it.
#[derive(Clone, Copy)]
enum Pointer {
    F32(*mut f32),
    F16(*mut f16),
    Bf16(*mut bf16),
}

/// Logits of a row.
#[derive(Clone, Copy)]
pub(super) enum Source {
    F32(*const f32),
    F16(*const f16),
    Bf16(*const bf16),
}

impl Pointer {
    fn of(logits: Logits<'_>) -> Self {
        match logits {
            Logits::F32(values) => Self::F32(values.as_ptr().cast_mut()),
            Logits::F16(values) => Self::F16(values.as_ptr().cast_mut()),
            Logits::Bf16(values) => Self::Bf16(values.as_ptr().cast_mut()),
        }
    }

    fn of_mut(logits: &mut LogitsMut<'_>) -> Self {
        match logits {
            LogitsMut::F32(values) => Self::F32(values.as_mut_ptr()),
            LogitsMut::F16(values) => Self::F16(values.as_mut_ptr()),
            LogitsMut::Bf16(values) => Self::Bf16(values.as_mut_ptr()),
        }
    }
}

/// The logits of a batch, and where their gradient goes.
pub(in crate::cpu) struct Tensor<'a> {
    input: Pointer,
    output: Option<Pointer>,
    layout: Layout,
    /// Whether the gradient is stored past the caches: not over the logits, whose lines are there already.
    streams: bool,
    borrows: PhantomData<&'a mut ()>,
}

// SAFETY: the pointers are read and written through parts alone, whose elements are disjoint where one of them is written.
unsafe impl Sync for Tensor<'_> {}

// SAFETY: it stands for slices, one of them mutable, which any thread may have.
unsafe impl Send for Tensor<'_> {}

impl<'a> Tensor<'a> {
    /// The lengths are those of the layout.
    pub(super) fn separate(layout: Layout, logits: Logits<'a>, gradient: Option<&'a mut LogitsMut<'_>>) -> Self {
        assert!(logits.len() as u64 >= layout.span());
        assert!(gradient.as_ref().is_none_or(|gradient| gradient.len() as u64 >= layout.span()));
        let output = gradient.map(|gradient| Pointer::of_mut(gradient));
        Self { input: Pointer::of(logits), output, layout, streams: true, borrows: PhantomData }
    }

    /// The gradient is written over the logits.
    pub(super) fn in_place(layout: Layout, logits: &'a mut LogitsMut<'_>) -> Self {
        assert!(logits.len() as u64 >= layout.span());
        let pointer = Pointer::of_mut(logits);
        Self { input: pointer, output: Some(pointer), layout, streams: false, borrows: PhantomData }
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) const fn is_in_place(&self) -> bool {
        self.output.is_some() && !self.streams
    }

    pub(super) const fn has_gradient(&self) -> bool {
        self.output.is_some()
    }

    /// Runs `task` on parts of `length` rows each, in parallel, and collects in their order what it returns. Each part has the
    /// `scratch` of its thread, and one of the `outputs`.
    pub(super) fn for_rows<O: Send, T: Send, R: Send>(
        &self,
        length: usize,
        outputs: Vec<O>,
        scratch: impl Fn() -> T + Send + Sync,
        task: impl Fn(&mut Part<'_>, O, &mut T) -> R + Send + Sync,
    ) -> Vec<R> {
        let rows = self.layout.rows() as usize;
        self.for_parts(|i| Part::of_rows(self, i * length..rows.min((i + 1) * length)), outputs, scratch, task)
    }

    /// As [`for_rows`](Self::for_rows), of elements in the order without gaps.
    pub(super) fn for_elements<O: Send, T: Send, R: Send>(
        &self,
        length: usize,
        outputs: Vec<O>,
        scratch: impl Fn() -> T + Send + Sync,
        task: impl Fn(&mut Part<'_>, O, &mut T) -> R + Send + Sync,
    ) -> Vec<R> {
        let elements = self.layout.elements() as usize;
        self.for_parts(|i| Part::of_elements(self, i * length..elements.min((i + 1) * length)), outputs, scratch, task)
    }

    fn for_parts<'t, O: Send, T: Send, R: Send>(
        &'t self,
        part: impl Fn(usize) -> Part<'t> + Send + Sync,
        outputs: Vec<O>,
        scratch: impl Fn() -> T + Send + Sync,
        task: impl Fn(&mut Part<'_>, O, &mut T) -> R + Send + Sync,
    ) -> Vec<R> {
        in_parallel_with(outputs, scratch, |i, output, scratch| {
            let mut part = part(i);
            let result = task(&mut part, output, scratch);
            part.finish();
            result
        })
    }
}

/// Logits that take one thread about as long as another takes to wake up.
pub(super) const FEW_LOGITS: usize = 1 << 16;

/// Evaluates a batch in the pool from the first step to the last, whose threads hand tasks to each other sooner than to one outside;
/// one of few logits on the caller's thread.
pub(super) fn in_pool<R: Send>(logits: u64, run: impl FnOnce() -> R + Send) -> R {
    if logits > FEW_LOGITS as u64 { rayon::scope(|_| run()) } else { run() }
}

/// Runs `task(i, items[i], scratch)` for every item and collects the results in order. One by itself, and any outside a pool, where
/// those of few logits are, are run by the caller's thread: others would take some 10 to 70 µs to wake up.
pub(super) fn in_parallel_with<O: Send, T: Send, R: Send>(
    items: Vec<O>,
    scratch: impl Fn() -> T + Send + Sync,
    task: impl Fn(usize, O, &mut T) -> R + Send + Sync,
) -> Vec<R> {
    // A task takes memory that another has left, so that there is no more of it than tasks run at once.
    let left = Mutex::new(Vec::new());
    let memory = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |(i, item)| {
        let taken = memory().pop();
        let mut taken = taken.unwrap_or_else(&scratch);
        let result = task(i, item, &mut taken);
        memory().push(taken);
        result
    };
    if items.len() <= 1 || rayon::current_thread_index().is_none() {
        return items.into_iter().enumerate().map(run).collect();
    }
    items.into_par_iter().enumerate().map(run).collect()
}
