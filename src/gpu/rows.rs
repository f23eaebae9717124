//! Losses of rows: the dispatches over windows of rows or samples.

use std::sync::Arc;

use super::context::Context;
use super::kernel::Kernel;
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::recorder::{Recorder, Step};
use super::scratch::{Scratch, whole};
use super::shader::{Elements, Place, RowSchedule, Shader, bindings};
use super::slices::{self, Entries, Sliced};
use super::switch::{Switch, Switches};
use super::tensors::Tensors;
use super::vector::{all_or_absent, part_or_absent};
use super::window::{Tensor, Window};
use crate::Layout;
use crate::definition::{TargetKind, Unit};
use crate::summary::Details;

/// What the dispatches of one call have in common.
pub(crate) struct Call<'r, 'a> {
    pub kernel: &'r Kernel,
    pub layout: Layout,
    pub plan: &'r Plan,
    pub params: Params,
    pub tensors: &'r Tensors<'a>,
    /// What adds up to the loss: one a row, or partial sums.
    pub losses: &'r Tensor<'a>,
    pub survey: &'a wgpu::Buffer,
    pub scratch: &'a Scratch,
}

/// Compiles what a plan needs.
pub(crate) fn prepare(kernel: &Kernel, plan: &Plan) {
    let tails = [(!plan.windows.is_empty()).then_some(false), plan.tail.map(|_| true)];
    for tail in tails.into_iter().flatten() {
        let (shader, switches) = variant(kernel, plan, tail, false);
        if plan.slicing.is_some() {
            slices::pipelines(kernel.context(), plan, shader, switches, kernel.elements().place != Place::None);
        } else {
            pipeline(kernel, plan, tail, false);
        }
    }
}

/// Records the dispatches over all rows.
pub(crate) fn record<'a>(recorder: &mut Recorder<'a>, call: &Call<'_, 'a>) {
    let windows = call.plan.windows.iter().map(|&window| (window, false));
    for (window, tail) in windows.chain(call.plan.tail.map(|window| (window, true))) {
        let step = call.step(window, tail);
        if call.plan.slicing.is_some() {
            call.push_slices(recorder, window, tail, &step);
        } else {
            push_rounds(recorder, call.kernel.elements(), call.plan, step);
        }
    }
}

/// Records a dispatch, in three rounds where two lanes may write to one word.
pub(crate) fn push_rounds<'a>(recorder: &mut Recorder<'a>, elements: Elements, plan: &Plan, step: Step<'a>) {
    if !has_rounds(elements, plan) {
        return recorder.push(step);
    }
    for round in 0..3 {
        // The round is a count, which a dispatch over rows has no other use for.
        recorder.push(Step { params: Params { count: round, ..step.params }, ..step.clone() });
    }
}

/// Whether two lanes may write to one word.
pub(crate) fn has_rounds(elements: Elements, plan: &Plan) -> bool {
    plan.schedule == RowSchedule::Planes
        && !plan.aligned
        && matches!(elements.place, Place::Separate | Place::InPlace)
        && !elements.storage.is_f32()
}

fn variant(kernel: &Kernel, plan: &Plan, tail: bool, element_losses: bool) -> (Shader, Switches) {
    let words = tail || (plan.schedule == RowSchedule::Planes && !plan.aligned);
    let elements = Elements { words, ..plan.elements(kernel.elements()) };
    let program = kernel.program();
    let shader = Shader::Rows { fragment: program.fragment, elements, schedule: plan.schedule };
    let switches = program
        .switches
        .with(Switch::Edges, tail || !plan.aligned)
        .with(Switch::Short, plan.short)
        .with(Switch::Aligned, plan.aligned)
        .with(Switch::Rounds, has_rounds(elements, plan))
        .with(Switch::ElementLosses, element_losses);
    (shader, switches)
}

fn pipeline(kernel: &Kernel, plan: &Plan, tail: bool, element_losses: bool) -> Arc<Pipeline> {
    let (shader, switches) = variant(kernel, plan, tail, element_losses);
    // Element losses are written where a gradient would be.
    let maps = kernel.elements().place != Place::None || element_losses;
    let entry_point = match (plan.slicing, maps) {
        // The first of several.
        (Some(_), _) => "sum_slices",
        (None, false) => "forward",
        (None, true) => "forward_gradient",
    };
    kernel.context().pipeline(plan, shader, entry_point, switches)
}

impl<'a> Call<'_, 'a> {
    /// The dispatches over the slices of one window, whose whole is `step`.
    fn push_slices(&self, recorder: &mut Recorder<'a>, window: Window, tail: bool, step: &Step<'a>) {
        let Call { kernel, layout, plan, tensors, scratch, .. } = self;
        let element_losses = self.element_losses();
        let (shader, switches) = variant(kernel, plan, tail, element_losses.is_some());
        let logit_bytes = kernel.request().dtype.bytes() as u32;
        let gradient_bytes = if kernel.elements().place == Place::Widened { 4 } else { logit_bytes };
        let entries = |binding, tensor, bytes, as_logits| Entries { binding, tensor, bytes, as_logits };
        let mut all = vec![entries(bindings::LOGITS, &tensors.logits, logit_bytes, true)];
        all.extend(tensors.gradient.as_ref().map(|g| entries(bindings::GRADIENT, g, gradient_bytes, true)));
        if kernel.request().targets(kernel.definition()) == TargetKind::Dense {
            all.push(entries(bindings::TARGETS, &tensors.targets, 4, false));
        }
        all.extend(element_losses.map(|e| entries(bindings::DETAILS, e, 4, false)));
        let maps = kernel.elements().place != Place::None || element_losses.is_some();
        let context = kernel.context();
        Sliced { context, plan, layout, shader, switches, maps, entries: all }.push(recorder, window, step, scratch);
    }

    /// The unreduced losses, if they are one a logit.
    fn element_losses(&self) -> Option<&Tensor<'a>> {
        self.tensors.losses.as_ref().filter(|_| self.kernel.definition().unit == Unit::Element)
    }

    /// The dispatch over one window.
    fn step(&self, window: Window, tail: bool) -> Step<'a> {
        let Call { kernel, layout, plan, params, tensors, losses, scratch, .. } = self;
        let context: &Context = kernel.context();
        let alignment = context.alignment();
        let logits = tensors.logits.part(window, alignment);
        let gradient = tensors.gradient.as_ref().map(|g| g.part(window, alignment));
        let losses = losses.part(window, alignment);
        let targets = tensors.targets.part(window, alignment);
        let details = tensors.details.as_ref().map(|d| d.part(window, alignment));
        let element_losses = self.element_losses();
        let rows = window.count * layout.inner();
        let element_bytes = kernel.request().dtype.bytes() as u32;
        let gradient_bytes = if kernel.elements().place == Place::Widened { 4 } else { element_bytes };
        let params = Params {
            rows,
            first_row: window.first * layout.inner(),
            logits_base: logits.lead / element_bytes,
            gradient_base: gradient.as_ref().map_or(0, |g| g.lead / gradient_bytes),
            rows_base: losses.lead / 4,
            dense_base: targets.lead / 4,
            details_base: details.as_ref().map_or(0, |d| d.lead / size_of::<Details>() as u32),
            ..*params
        };
        let element_part = element_losses.map(|e| e.part(window, alignment).binding);
        let extra = details.map(|d| d.binding).or_else(|| element_part.clone());
        let mut bindings = vec![
            (bindings::LOGITS, logits.binding),
            (bindings::TARGETS, targets.binding),
            (bindings::CLASS_WEIGHTS, all_or_absent(&tensors.class_weights, scratch)),
            (bindings::ROW_WEIGHTS, part_or_absent(&tensors.row_weights, window, alignment, scratch)),
            (bindings::LOSSES, losses.binding),
            (bindings::DETAILS, extra.unwrap_or_else(|| whole(&scratch.absent_output))),
            (bindings::STATUS, whole(&scratch.status)),
        ];
        bindings.extend(gradient.map(|g| (bindings::GRADIENT, g.binding)));
        let maps = kernel.elements().place != Place::None || element_part.is_some();
        let workgroups = plan.workgroups(layout, window, maps);
        Step { pipeline: pipeline(kernel, plan, tail, element_part.is_some()), params, bindings, workgroups }
    }
}
