//! The dispatches over the slices of long rows.

use std::sync::Arc;

use super::context::Context;
use super::params::Params;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::recorder::{Recorder, Step};
use super::scratch::{Scratch, whole};
use super::shader::{Shader, bindings};
use super::slicing::Part;
use super::switch::Switches;
use super::window::{Tensor, Window};
use crate::Layout;

/// A tensor with one entry a logit: its binding, and bytes of an entry.
pub(crate) struct Entries<'r, 'a> {
    pub binding: u32,
    pub tensor: &'r Tensor<'a>,
    pub bytes: u32,
    /// It lies as the logits do, with gaps between rows; or without.
    pub as_logits: bool,
}

/// The dispatches over a window.
pub(crate) struct Sliced<'r, 'a> {
    pub context: &'r Context,
    pub plan: &'r Plan,
    pub layout: &'r Layout,
    pub shader: Shader,
    pub switches: Switches,
    /// The gradient, or something else that the last dispatch writes, is wanted.
    pub maps: bool,
    /// What takes the place of the window's binding where a part is bound.
    pub entries: Vec<Entries<'r, 'a>>,
}

/// The pipelines of a sliced shader, in the order of the dispatches.
pub(crate) fn pipelines(
    context: &Context,
    plan: &Plan,
    shader: Shader,
    switches: Switches,
    maps: bool,
) -> Vec<(&'static str, Arc<Pipeline>)> {
    let wanted = shader.entry_points().iter().filter(|&&entry| maps || entry != "map_slices");
    wanted.map(|&entry| (entry, context.pipeline(plan, shader, entry, switches))).collect()
}

impl<'a> Sliced<'_, 'a> {
    /// Records them. `step` has the bindings and the parameters of the whole window.
    pub fn push(&self, recorder: &mut Recorder<'a>, window: Window, step: &Step<'a>, scratch: &'a Scratch) {
        let Some(slicing) = self.plan.slicing else { return };
        let parts = slicing.parts(self.layout, window);
        for (entry_point, pipeline) in pipelines(self.context, self.plan, self.shader, self.switches, self.maps) {
            let used = self.shader.bindings(entry_point);
            let over_rows = entry_point == "finish_rows";
            for part in parts.iter().take(if over_rows { 1 } else { parts.len() }) {
                let mut step = self.part(step, window, part);
                step.params.slice_chunks = slicing.classes / 4;
                step.bindings
                    .extend([(bindings::KEPT, whole(&scratch.kept)), (bindings::PARTIALS, whole(&scratch.slices))]);
                step.bindings.retain(|(binding, _)| used.iter().any(|(used, _)| used == binding));
                step.pipeline = pipeline.clone();
                step.workgroups = match entry_point {
                    "find_targets" => step.params.rows.div_ceil(self.plan.lanes),
                    "finish_rows" => step.params.rows,
                    _ => part.count,
                };
                recorder.push(step);
            }
        }
    }

    /// `step` over a part of the window.
    fn part(&self, step: &Step<'a>, window: Window, part: &Part) -> Step<'a> {
        let mut step = step.clone();
        step.params = Params { first_slice: part.first_slice, count: part.count, ..step.params };
        let Some(within) = part.within else { return step };
        step.params.first_chunk = within.first_chunk;
        step.params.some_class = within.first_class;
        for Entries { binding, tensor, bytes, as_logits } in &self.entries {
            let (first, count) = if *as_logits {
                (4 * u64::from(within.first_chunk), 4 * u64::from(within.chunks))
            } else {
                (within.first_entry, u64::from(within.entries))
            };
            let begin = u64::from(window.first) * tensor.sample_bytes + first * u64::from(*bytes);
            let part = tensor.range(begin, count * u64::from(*bytes), self.context.alignment());
            let lead = part.lead / bytes;
            match *binding {
                bindings::LOGITS => step.params.logits_base = lead,
                bindings::GRADIENT => step.params.gradient_base = lead,
                // Counted from the start of the window, of which less is bound: it wraps, and wraps again.
                #[expect(clippy::cast_possible_truncation, reason = "the shader's arithmetic is modulo 2^32")]
                _ => step.params.dense_base = lead.wrapping_sub(within.first_entry as u32),
            }
            step.bindings.iter_mut().filter(|(b, _)| b == binding).for_each(|(_, b)| *b = part.binding.clone());
        }
        step
    }
}
