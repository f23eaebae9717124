//! Folding vectors of one entry a row in a fixed tree: the survey of the targets, and the sum of the losses.

use std::sync::Arc;

use wgpu::BufferBinding;

use super::context::Context;
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::recorder::{Recorder, Step};
use super::scratch::{BLOCK, Scratch, whole};
use super::shader::{self, Shader};
use super::tensors::{Tensors, UNCUT};
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
    pub fn survey(&mut self, rows: u32, tensors: &Tensors<'a>) -> Result<&'a wgpu::Buffer> {
        let alignment = self.context.alignment();
        let shader = Shader::Survey { reduce: self.plan.reduce };
        let pipeline = self.context.pass(self.plan, shader, "survey_rows");
        let [into, spare] = &self.scratch.surveys;
        let mut blocks = 0;
        for window in self.windows(rows)? {
            let (targets, rows_base) = self.part(&tensors.targets, window);
            let row_weights = match &tensors.row_weights {
                Some(weights) => self.part(weights, window).0,
                None => whole(&self.scratch.absent_input),
            };
            self.recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params {
                    rows: window.rows,
                    first_row: window.first_row,
                    rows_base,
                    partial_base: blocks,
                    ..self.params
                },
                bindings: vec![
                    (shader::OUTPUT, whole(into)),
                    (shader::TARGETS, targets),
                    (shader::CLASS_WEIGHTS, part_or_absent(&tensors.class_weights, UNCUT, alignment, self.scratch)),
                    (shader::ROW_WEIGHTS, row_weights),
                ],
                workgroups: blocks_of(window),
            });
            blocks += blocks_of(window);
        }
        let pipeline = self.context.pass(self.plan, shader, "survey_partials");
        Ok(self.fold(&pipeline, blocks, into, spare))
    }

    /// Sums a vector; the result is in the first entry of the returned buffer.
    pub fn sum(&mut self, count: u32, vector: &Tensor<'a>) -> Result<&'a wgpu::Buffer> {
        let pipeline = self.context.pass(self.plan, Shader::Sum { reduce: self.plan.reduce }, "sum_blocks");
        let [into, spare] = &self.scratch.sums;
        let mut blocks = 0;
        for window in self.windows(count)? {
            let (part, first_element) = self.part(vector, window);
            self.recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params { count: window.rows, first_element, partial_base: blocks, ..self.params },
                bindings: vec![(shader::INPUT, part), (shader::OUTPUT, whole(into))],
                workgroups: blocks_of(window),
            });
            blocks += blocks_of(window);
        }
        Ok(self.fold(&pipeline, blocks, into, spare))
    }

    /// Folds `count` partials in `from` until one is left, going back and forth between two buffers.
    fn fold(
        &mut self,
        pipeline: &Arc<Pipeline>,
        mut count: u32,
        mut from: &'a wgpu::Buffer,
        mut to: &'a wgpu::Buffer,
    ) -> &'a wgpu::Buffer {
        while count > 1 {
            let blocks = count.div_ceil(BLOCK);
            self.recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params { count, first_element: 0, partial_base: 0, ..self.params },
                bindings: vec![(shader::INPUT, whole(from)), (shader::OUTPUT, whole(to))],
                workgroups: blocks,
            });
            (from, to, count) = (to, from, blocks);
        }
        from
    }

    /// Windows over a vector of 4-byte entries; an empty one for an empty vector, so that its total is written too.
    fn windows(&self, count: u32) -> Result<Vec<Window>> {
        if count == 0 {
            return Ok(vec![Window { first_row: 0, rows: 0 }]);
        }
        window::cut(count, 1, 4, self.context.max_binding(), self.context.alignment())
    }

    /// A window's part of a vector and its lead in elements. A buffer of no bytes cannot be bound: nothing is read then.
    fn part(&self, vector: &Tensor<'a>, window: Window) -> (BufferBinding<'a>, u32) {
        if window.rows == 0 {
            return (whole(&self.scratch.absent_input), 0);
        }
        let part = vector.part(window, self.context.alignment());
        (part.binding, part.lead / 4)
    }
}

fn blocks_of(window: Window) -> u32 {
    window.rows.div_ceil(BLOCK).max(1)
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
