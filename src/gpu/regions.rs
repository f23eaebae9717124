//! Losses of regions: sums over blocks of positions, folded to sums of regions, then the losses and the gradient.

use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::kernel::Kernel;
use super::params::Params;
use super::plan::{Plan, QUADS_OF_LANE};
use super::recorder::{Recorder, Step};
use super::rows::{self, Call, has_rounds};
use super::scratch::{BLOCK, check_buffer, whole};
use super::shader::{Elements, Place, Shader, bindings};
use super::switch::{Switch, Switches};
use super::vector::all_or_absent;
use super::window::{Tensor, Window};
use crate::definition::{Regions, Unit};
use crate::{Error, Layout, Result};

/// Bytes of the sums of a class in a block.
const SUM_BYTES: u64 = 16;

/// How many sums there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// Samples, or one for all of them.
    groups: u32,
    /// Blocks of a group.
    blocks: u32,
    /// Groups times classes.
    regions: u32,
}

impl Counts {
    fn new(layout: &Layout, plan: &Plan, regions: Regions) -> Result<Self> {
        let (groups, blocks) = if regions.samples_together {
            (1, plan.windows.iter().map(|&window| blocks_of(layout, plan, window)).sum())
        } else {
            (layout.outer(), blocks_of(layout, plan, Window { first: 0, count: 1 }))
        };
        let regions = u64::from(groups) * u64::from(layout.classes());
        let regions = u32::try_from(regions).map_err(|_| Error::TooLarge {
            what: "the number of regions",
            size: regions,
            limit: u32::MAX.into(),
            limited_by: "a 32-bit index",
            remedy: "evaluate the batch in parts",
        })?;
        Ok(Self { groups, blocks, regions })
    }

    /// Bytes of the sums of all blocks, of which there is at least one.
    fn bytes(self) -> u64 {
        (SUM_BYTES * u64::from(self.regions.max(1))).saturating_mul(self.blocks.max(1).into())
    }

    /// After folding once.
    fn folded(self) -> Self {
        Self { blocks: self.blocks.div_ceil(BLOCK).max(1), ..self }
    }
}

/// Blocks of a window's samples.
fn blocks_of(layout: &Layout, plan: &Plan, window: Window) -> u32 {
    let section_quads = plan.group_rows * layout.inner().div_ceil(4);
    window.count.div_ceil(plan.group_rows) * section_quads.div_ceil(QUADS_OF_LANE * plan.lanes)
}

/// Buffers that a loss of regions needs for itself, and how much of them.
#[derive(Clone)]
pub(crate) struct RegionScratch {
    buffers: Arc<Buffers>,
    regions: Regions,
    counts: Counts,
}

/// The buffers themselves.
pub(crate) struct Buffers {
    /// Sums of blocks, (groups, blocks, classes), and where they are folded to.
    sums: [wgpu::Buffer; 2],
    /// What adds up to the loss, one a group and class.
    contributions: wgpu::Buffer,
    /// Stands for losses that the caller does not want.
    losses: wgpu::Buffer,
    bytes: [u64; 3],
}

/// Where a kernel keeps them.
pub(crate) type Slot = Mutex<Option<Arc<Buffers>>>;

impl RegionScratch {
    /// The buffers kept in `slot`, made anew where they are too small; none for a loss of another unit.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the sums of all blocks exceed a binding.
    pub fn shared(slot: &Slot, context: &Context, layout: &Layout, plan: &Plan, unit: Unit) -> Result<Option<Self>> {
        let Unit::Region(regions) = unit else { return Ok(None) };
        let counts = Counts::new(layout, plan, regions)?;
        let bytes = [counts.bytes(), counts.folded().bytes(), 4 * u64::from(counts.regions.max(4))];
        // A panic elsewhere cannot leave the option half-written.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = match &*slot {
            Some(buffers) if buffers.bytes.iter().zip(bytes).all(|(has, needs)| *has >= needs) => buffers.clone(),
            _ => {
                let buffers = Arc::new(Buffers::new(context, bytes)?);
                *slot = Some(buffers.clone());
                buffers
            }
        };
        Ok(Some(Self { buffers, regions, counts }))
    }

    /// How many numbers add up to the loss.
    pub fn count(&self) -> u32 {
        self.counts.regions
    }

    /// What adds up to the loss, one a group and class.
    pub fn contributions(&self) -> Tensor<'_> {
        let bytes = 4 * u64::from(self.counts.regions);
        Tensor { buffer: &self.buffers.contributions, offset: 0, sample_bytes: 4, bytes }
    }
}

impl Buffers {
    fn new(context: &Context, bytes: [u64; 3]) -> Result<Self> {
        let Context { device, caps, .. } = context;
        let buffer = |label, size: u64| {
            check_buffer(caps, size)?;
            if size > caps.max_binding {
                return Err(Error::TooLarge {
                    what: "the sums over blocks of regions in bytes",
                    size,
                    limit: caps.max_binding,
                    limited_by: "max_storage_buffer_binding_size",
                    remedy: "request the adapter's own limits or evaluate the batch in parts",
                });
            }
            Ok(device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }))
        };
        Ok(Self {
            sums: [buffer("logloss region sums", bytes[0])?, buffer("logloss folded region sums", bytes[1])?],
            contributions: buffer("logloss region contributions", bytes[2])?,
            losses: buffer("logloss region losses", bytes[2])?,
            bytes,
        })
    }
}

/// Compiles what a plan needs.
pub(crate) fn prepare(kernel: &Kernel, plan: &Plan) {
    let context = kernel.context();
    let (sums, fold, finish) = shaders(kernel, plan);
    context.pipeline(plan, sums, "region_sums", switches(kernel, plan, false));
    context.pass(plan, fold, "fold_regions");
    context.pass(plan, finish, "finish_regions");
    if let Some(gradient) = gradient_shader(kernel, plan) {
        context.pipeline(plan, gradient, "region_gradient", switches(kernel, plan, true));
    }
}

fn shaders(kernel: &Kernel, plan: &Plan) -> (Shader, Shader, Shader) {
    let reduce = plan.reduce;
    let elements = Elements { place: Place::None, words: !plan.aligned, ..kernel.elements() };
    (
        Shader::RegionSums { elements, reduce },
        Shader::RegionFold { reduce },
        Shader::RegionFinish { fragment: kernel.program().fragment, reduce },
    )
}

fn gradient_shader(kernel: &Kernel, plan: &Plan) -> Option<Shader> {
    let elements = Elements { words: !plan.aligned, ..kernel.elements() };
    (elements.place != Place::None).then_some(Shader::RegionGradient { elements })
}

fn switches(kernel: &Kernel, plan: &Plan, gradient: bool) -> Switches {
    kernel
        .program()
        .switches
        .with(Switch::Aligned, plan.aligned)
        .with(Switch::Rounds, gradient && has_rounds(kernel.elements(), plan))
        .with(Switch::DenseTargets, kernel.request().dense_targets)
}

/// Records everything between the denominator and the summary.
pub(crate) fn record<'a>(recorder: &mut Recorder<'a>, call: &Call<'_, 'a>, own: &'a RegionScratch) {
    let Call { kernel, layout, plan, .. } = call;
    let counts = own.counts;
    let (sums, fold, finish) = shaders(kernel, plan);
    let call = RegionCall { call, own };
    let mut blocks = 0;
    for &window in &plan.windows {
        recorder.push(call.sums(sums, window, blocks));
        blocks += blocks_of(layout, plan, window);
    }
    let regions = call.fold(recorder, fold, counts);
    recorder.push(call.finish(finish, counts, regions));
    if let Some(gradient) = gradient_shader(kernel, plan) {
        for &window in &plan.windows {
            rows::push_rounds(recorder, kernel.elements(), plan, call.gradient(gradient, window, regions));
        }
    }
}

/// A call with the buffers of regions.
struct RegionCall<'r, 'a> {
    call: &'r Call<'r, 'a>,
    own: &'a RegionScratch,
}

impl<'a> RegionCall<'_, 'a> {
    fn context(&self) -> &Context {
        self.call.kernel.context()
    }

    /// What the two readings of a window have in common.
    fn window_step(&self, shader: Shader, entry_point: &'static str, window: Window, gradient: bool) -> Step<'a> {
        let Call { kernel, layout, plan, params, tensors, .. } = self.call;
        let alignment = self.context().alignment();
        let logits = tensors.logits.part(window, alignment);
        let targets = tensors.targets.part(window, alignment);
        Step {
            pipeline: self.context().pipeline(plan, shader, entry_point, switches(kernel, plan, gradient)),
            params: Params {
                rows: window.count * layout.inner(),
                first_row: window.first * layout.inner(),
                logits_base: logits.lead / kernel.request().dtype.bytes() as u32,
                rows_base: targets.lead / 4,
                dense_base: targets.lead / 4,
                ..*params
            },
            bindings: vec![(bindings::LOGITS, logits.binding), (bindings::TARGETS, targets.binding)],
            workgroups: 0,
        }
    }

    fn sums(&self, shader: Shader, window: Window, first_block: u32) -> Step<'a> {
        let mut step = self.window_step(shader, "region_sums", window, false);
        step.workgroups = blocks_of(&self.call.layout, self.call.plan, window);
        (step.params.count, step.params.partial_base) = (step.workgroups, first_block);
        step.bindings.push((bindings::LOSSES, whole(&self.own.buffers.sums[0])));
        step.bindings.push((bindings::STATUS, whole(&self.call.scratch.status)));
        step
    }

    /// Folds the blocks of each group until one is left, going back and forth between two buffers.
    fn fold(&self, recorder: &mut Recorder<'a>, shader: Shader, mut counts: Counts) -> &'a wgpu::Buffer {
        let [mut from, mut to] = self.own.buffers.sums.each_ref();
        // None at all are folded too: their sum is 0, and not what an earlier batch left in the buffer.
        while counts.blocks != 1 {
            recorder.push(Step {
                pipeline: self.context().pass(self.call.plan, shader, "fold_regions"),
                params: Params { rows: counts.groups, count: counts.blocks, ..self.call.params },
                bindings: vec![(bindings::INPUT, whole(from)), (bindings::OUTPUT, whole(to))],
                workgroups: counts.regions * counts.folded().blocks,
            });
            (from, to, counts) = (to, from, counts.folded());
        }
        from
    }

    fn finish(&self, shader: Shader, counts: Counts, regions: &'a wgpu::Buffer) -> Step<'a> {
        let losses = self.call.tensors.losses.as_ref().filter(|losses| losses.bytes > 0);
        Step {
            pipeline: self.context().pass(self.call.plan, shader, "finish_regions"),
            params: Params { count: counts.groups, ..self.call.params },
            bindings: vec![
                (bindings::REGIONS, whole(regions)),
                (bindings::CONTRIBUTIONS, whole(&self.own.buffers.contributions)),
                (bindings::SURVEY, whole(self.call.survey)),
                (bindings::CLASS_WEIGHTS, all_or_absent(&self.call.tensors.class_weights, self.call.scratch)),
                (bindings::LOSSES, losses.map_or_else(|| whole(&self.own.buffers.losses), Tensor::all)),
                (bindings::STATUS, whole(&self.call.scratch.status)),
            ],
            workgroups: counts.groups,
        }
    }

    fn gradient(&self, shader: Shader, window: Window, slopes: &'a wgpu::Buffer) -> Step<'a> {
        let Call { kernel, layout, plan, tensors, .. } = self.call;
        let mut step = self.window_step(shader, "region_gradient", window, true);
        let quads = window.count * layout.inner().div_ceil(4);
        step.workgroups = quads.div_ceil(plan.lanes);
        step.params.partial_base = if self.own.regions.samples_together { 0 } else { window.first };
        step.bindings.push((bindings::LOSSES, whole(slopes)));
        if let Some(gradient) = &tensors.gradient {
            let bytes = if kernel.elements().place == Place::Widened { 4 } else { kernel.request().dtype.bytes() };
            let part = gradient.part(window, self.context().alignment());
            step.params.gradient_base = part.lead / bytes as u32;
            step.bindings.push((bindings::GRADIENT, part.binding));
        }
        step
    }
}
