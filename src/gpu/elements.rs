//! Losses of elements: the dispatches over windows of blocks of logits, whatever their rows.

use std::sync::Arc;

use super::kernel::Kernel;
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::{BLOCK_LOGITS, Plan};
use super::recorder::{Recorder, Step};
use super::rows::Call;
use super::scratch::whole;
use super::shader::{Elements, Place, RowSchedule, Shader, bindings};
use super::switch::{Switch, Switches};
use super::vector::all_or_absent;
use super::window::{Part, Tensor, Window};
use crate::{Error, Layout, Result};

/// Blocks of a plan, each with a partial sum.
pub(crate) fn blocks(plan: &Plan) -> u32 {
    plan.windows.iter().chain(&plan.tail).map(|window| window.count).sum()
}

/// Compiles what a plan needs of a batch without weights.
pub(crate) fn prepare(kernel: &Kernel, plan: &Plan) {
    if !plan.windows.is_empty() {
        pipeline(kernel, plan, false, Switches::NONE);
    }
    if plan.tail.is_some() {
        pipeline(kernel, plan, true, Switches::NONE);
    }
}

/// Records the dispatches over all blocks.
///
/// # Errors
/// [`Error::TooLarge`] if the row weights of a window exceed a binding.
pub(crate) fn record<'a>(recorder: &mut Recorder<'a>, call: &Call<'_, 'a>) -> Result<()> {
    for &window in &call.plan.windows {
        recorder.push(call.blocks_step(window, false)?);
    }
    if let Some(window) = call.plan.tail {
        recorder.push(call.blocks_step(window, true)?);
    }
    Ok(())
}

fn pipeline(kernel: &Kernel, plan: &Plan, tail: bool, switches: Switches) -> Arc<Pipeline> {
    let elements = Elements { words: tail, ..kernel.elements() };
    let schedule = match plan.schedule {
        RowSchedule::Blocks { entries } => RowSchedule::Blocks { entries: entries || tail },
        other => other,
    };
    let program = kernel.program();
    let shader = Shader::Rows { fragment: program.fragment, elements, schedule };
    let entry_point = if elements.place == Place::None { "forward" } else { "forward_gradient" };
    kernel.context().pipeline(plan, shader, entry_point, switches.and(program.switches))
}

/// Logits that a window spans, and where they are in the batch.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Element of the first.
    first: u64,
    /// How many there are, with gaps.
    count: u32,
    /// Sample of the first, and its element there.
    sample: u64,
    offset: u64,
}

impl Span {
    fn new(layout: &Layout, window: Window) -> Self {
        let first = u64::from(window.first) * u64::from(BLOCK_LOGITS);
        let count = u64::from(window.count) * u64::from(BLOCK_LOGITS);
        let stride = u64::from(layout.outer_stride());
        // A window fits a binding, which is less than 2^32 bytes.
        let count = u32::try_from(count.min(layout.span() - first)).unwrap_or(u32::MAX);
        Self { first, count, sample: first / stride, offset: first % stride }
    }

    fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Entries of a dense tensor, which has no gaps: at least one, as no binding is empty.
    fn dense(&self, layout: &Layout) -> (u64, u64) {
        let (stride, own) = (u64::from(layout.outer_stride()), u64::from(layout.contiguous().outer_stride()));
        let entry = |element: u64| element / stride * own + (element % stride).min(own);
        let first = entry(self.first).min(layout.elements() - 1);
        (first, entry(self.end()).max(first + 1))
    }

    /// Rows that have a part in it; rows of a plane between two classes may come along.
    fn rows(&self, layout: &Layout) -> (u64, u64) {
        let (stride, inner) = (u64::from(layout.outer_stride()), u64::from(layout.inner()));
        let last = self.end() - 1;
        let (last_sample, last_offset) = (last / stride, last % stride);
        // Where the window crosses from a class to the next one, every row of the sample may have a part.
        let same_class = self.sample == last_sample && self.offset / inner == last_offset / inner;
        let from_last_class = self.offset / inner == stride / inner - 1;
        let to_first_class = last_offset < inner;
        let first = if same_class || from_last_class { self.offset % inner } else { 0 };
        let behind = if same_class || to_first_class { last_offset % inner + 1 } else { inner };
        if self.sample == last_sample && !same_class {
            return (self.sample * inner, (self.sample + 1) * inner);
        }
        (self.sample * inner + first, last_sample * inner + behind)
    }
}

impl<'a> Call<'_, 'a> {
    /// The dispatch over one window of blocks.
    fn blocks_step(&self, window: Window, tail: bool) -> Result<Step<'a>> {
        let Call { kernel, layout, plan, params, tensors, scratch, .. } = self;
        let alignment = kernel.context().alignment();
        let span = Span::new(layout, window);
        let logits_part = |tensor: &Tensor<'a>, bytes: u64| {
            tensor.range(span.first * bytes, u64::from(span.count) * bytes, alignment)
        };
        let element_bytes = kernel.request().dtype.bytes();
        let gradient_bytes = if kernel.elements().place == Place::Widened { 4 } else { element_bytes };
        let logits = logits_part(&tensors.logits, element_bytes);
        let gradient = tensors.gradient.as_ref().map(|gradient| logits_part(gradient, gradient_bytes));

        let (dense_first, dense_end) = span.dense(layout);
        let dense_part = |tensor: &Tensor<'a>| tensor.range(4 * dense_first, 4 * (dense_end - dense_first), alignment);
        let targets = dense_part(&tensors.targets);
        let losses = tensors.losses.as_ref().map(&dense_part);
        // Without gaps, dense tensors count as the logits do; with them, from the window's first sample.
        let dense_origin = if layout.is_contiguous() { span.first } else { span.sample * u64::from(layout.classes()) };

        let (first_row, row_end) = span.rows(layout);
        let row_weights = tensors.row_weights.as_ref();
        let row_weights = row_weights.map(|w| w.range(4 * first_row, 4 * (row_end - first_row), alignment));
        if row_weights.is_some() {
            self.check_row_weights(4 * (row_end - first_row))?;
        }
        let row_origin = span.sample * u64::from(layout.inner());

        let has_gaps = !layout.is_contiguous();
        let has_weights = tensors.class_weights.is_some() || row_weights.is_some();
        let has_pos_weights = tensors.pos_weights.is_some();
        let switches = Switches::NONE
            .with(Switch::Gaps, has_gaps)
            // Neighbours in memory that are neighbouring rows need no more than a division to be named.
            .with(Switch::Positions, has_gaps || has_weights || has_pos_weights || layout.inner() > 1)
            .with(Switch::Weights, has_weights)
            .with(Switch::PosWeights, has_pos_weights)
            .with(Switch::ElementLosses, losses.is_some());

        let params = Params {
            rows: layout.rows(),
            count: span.count,
            first_element: low_word(span.offset),
            first_row: low_word(row_origin),
            logits_base: base(&logits, element_bytes, 0, 0),
            gradient_base: gradient.as_ref().map_or(0, |g| base(g, gradient_bytes, 0, 0)),
            dense_base: base(&targets, 4, dense_origin, dense_first),
            rows_base: row_weights.as_ref().map_or(0, |w| base(w, 4, row_origin, first_row)),
            partial_base: window.first,
            ..*params
        };
        let mut bindings = vec![
            (bindings::LOGITS, logits.binding),
            (bindings::TARGETS, targets.binding),
            (bindings::CLASS_WEIGHTS, all_or_absent(&tensors.class_weights, scratch)),
            (bindings::ROW_WEIGHTS, row_weights.map_or_else(|| whole(&scratch.absent_input), |w| w.binding)),
            (bindings::LOSSES, losses.map_or_else(|| whole(&scratch.absent_output), |losses| losses.binding)),
            (bindings::POS_WEIGHTS, all_or_absent(&tensors.pos_weights, scratch)),
            (bindings::STATUS, whole(&scratch.status)),
        ];
        bindings.extend(gradient.map(|g| (bindings::GRADIENT, g.binding)));
        Ok(Step { pipeline: pipeline(kernel, plan, tail, switches), params, bindings, workgroups: window.count })
    }

    /// Blocks are cut for tensors of one entry a logit. The rows of a window are no more, unless it crosses from a class to the
    /// next one in a plane that is larger than the window.
    fn check_row_weights(&self, bytes: u64) -> Result<()> {
        let context = self.kernel.context();
        let limit = context.max_binding().saturating_sub(context.alignment().into());
        if bytes <= limit {
            return Ok(());
        }
        Err(Error::TooLarge {
            what: "the row weights of a sample in bytes",
            size: bytes,
            limit,
            limited_by: "max_storage_buffer_binding_size",
            remedy: "request the adapter's own limits or use the CPU engine",
        })
    }
}

/// Where entry `origin` of a tensor is in the part that starts with entry `first`. In front of the part it wraps around, as what
/// is added to it does.
fn base(part: &Part<'_>, entry_bytes: u64, origin: u64, first: u64) -> u32 {
    low_word((u64::from(part.lead) / entry_bytes + origin).wrapping_sub(first))
}

/// Modulo 2^32, as indices count in a shader.
#[expect(clippy::cast_possible_truncation, reason = "what is dropped is dropped from the sum as well")]
const fn low_word(x: u64) -> u32 {
    x as u32
}
