//! Folding vectors of one entry a row in a fixed tree: the survey of the targets, and the sum of the losses.

use wgpu::BufferBinding;

use super::context::Context;
use super::params::Params;
use super::plan::Plan;
use super::recorder::{Recorder, Step};
use super::scratch::{BLOCK, Scratch, whole};
use super::shader::{Shader, bindings};
use super::tensors::Tensors;
use super::window::{self, Tensor, Window};
use crate::Result;

/// A vector pass of one operation: where it records, and what it shares.
pub(crate) struct Folding<'r, 'a> {
    pub context: &'r Context,
    pub recorder: &'r mut Recorder<'a>,
    pub plan: &'r Plan,
    pub params: Params,
    pub scratch: &'a Scratch,
}

impl<'a> Folding<'_, 'a> {
    /// Surveys the targets; the result is in the first entry of the returned buffer.
    pub fn survey(&mut self, cuts: &Cuts, tensors: &Tensors<'a>) -> &'a wgpu::Buffer {
        let (row_targets, row_weights) = (tensors.targets.by_rows(), tensors.row_weights.as_ref().map(Tensor::by_rows));
        let alignment = self.context.alignment();
        let shader = Shader::Survey { reduce: self.plan.reduce };
        let pipeline = self.context.pass(self.plan, shader, "survey_rows");
        let [into, spare] = &self.scratch.surveys;
        let mut blocks = 0;
        for &window in &cuts.windows {
            let targets = row_targets.part(window, alignment);
            self.recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params {
                    rows: window.count,
                    first_row: window.first,
                    rows_base: targets.lead / 4,
                    partial_base: blocks,
                    ..self.params
                },
                bindings: vec![
                    (bindings::OUTPUT, whole(into)),
                    (bindings::TARGETS, targets.binding),
                    (bindings::CLASS_WEIGHTS, all_or_absent(&tensors.class_weights, self.scratch)),
                    (bindings::ROW_WEIGHTS, part_or_absent(&row_weights, window, alignment, self.scratch)),
                ],
                workgroups: blocks_of(window),
            });
            blocks += blocks_of(window);
        }
        self.fold(shader, "survey_partials", blocks, into, spare)
    }

    /// Sums a vector; the result is in the first entry of the returned buffer.
    pub fn sum(&mut self, cuts: &Cuts, vector: &Tensor<'a>) -> &'a wgpu::Buffer {
        let shader = Shader::Sum { reduce: self.plan.reduce };
        let pipeline = self.context.pass(self.plan, shader, "sum_blocks");
        let [into, spare] = &self.scratch.sums;
        let vector = vector.by_rows();
        let mut blocks = 0;
        for &window in &cuts.windows {
            let part = vector.part(window, self.context.alignment());
            self.recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params {
                    count: window.count,
                    first_element: part.lead / 4,
                    partial_base: blocks,
                    ..self.params
                },
                bindings: vec![(bindings::INPUT, part.binding), (bindings::OUTPUT, whole(into))],
                workgroups: blocks_of(window),
            });
            blocks += blocks_of(window);
        }
        self.fold(shader, "sum_blocks", blocks, into, spare)
    }

    /// Folds `count` partials in `from` until one is left, going back and forth between two buffers.
    fn fold(
        &mut self,
        shader: Shader,
        entry_point: &'static str,
        mut count: u32,
        mut from: &'a wgpu::Buffer,
        mut to: &'a wgpu::Buffer,
    ) -> &'a wgpu::Buffer {
        // None at all are folded too: their total is the identity, and not what an earlier batch left in the buffer.
        while count != 1 {
            let blocks = count.div_ceil(BLOCK).max(1);
            self.recorder.push(Step {
                pipeline: self.context.pass(self.plan, shader, entry_point),
                params: Params { count, first_element: 0, partial_base: 0, ..self.params },
                bindings: vec![(bindings::INPUT, whole(from)), (bindings::OUTPUT, whole(to))],
                workgroups: blocks,
            });
            (from, to, count) = (to, from, blocks);
        }
        from
    }
}

/// A vector of 4-byte entries, cut into windows that fit a binding: into whole blocks where they fit, so that the tree of a
/// sum, and with it every bit, is the same for every limit.
pub(crate) struct Cuts {
    windows: Vec<Window>,
}

impl Cuts {
    pub fn new(context: &Context, count: u32) -> Result<Self> {
        Ok(Self { windows: window::cut(count, &[BLOCK, 1], 4, context.max_binding(), context.alignment())? })
    }

    /// Partials that the first level of folding writes.
    pub fn blocks(&self) -> u32 {
        self.windows.iter().map(|w| blocks_of(*w)).sum()
    }
}

fn blocks_of(window: Window) -> u32 {
    window.count.div_ceil(BLOCK)
}

/// The part of an optional tensor, or a stand-in that is never read.
pub(crate) fn part_or_absent<'a>(
    tensor: &Option<Tensor<'a>>,
    window: Window,
    alignment: u32,
    scratch: &'a Scratch,
) -> BufferBinding<'a> {
    tensor.as_ref().map_or_else(|| whole(&scratch.absent_input), |tensor| tensor.part(window, alignment).binding)
}

/// An optional tensor that is not cut, or a stand-in that is never read.
pub(crate) fn all_or_absent<'a>(tensor: &Option<Tensor<'a>>, scratch: &'a Scratch) -> BufferBinding<'a> {
    tensor.as_ref().map_or_else(|| whole(&scratch.absent_input), Tensor::all)
}
