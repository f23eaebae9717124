//! Losses of regions: sums over blocks of positions, folded to sums of regions, then the losses and the gradient.

use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::kernel::Kernel;
use super::params::Params;
use super::plan::{Plan, QUADS_OF_LANE};
use super::recorder::{Recorder, Step};
use super::rows::has_rounds;
use super::scratch::{BLOCK, Scratch, check_buffer, whole};
use super::shader::{self, Elements, Place, Shader};
use super::switch::{Switch, Switches};
use super::tensors::Tensors;
use super::vector::all_or_absent;
use super::window::{Tensor, Window};
use crate::definition::Regions;
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

/// Buffers that a loss of regions needs for itself.
pub(crate) struct RegionScratch {
    /// Sums of blocks, (groups, blocks, classes), and where they are folded to.
    sums: [wgpu::Buffer; 2],
    /// What adds up to the loss, one a group and class.
    contributions: wgpu::Buffer,
    /// Stands for losses that the caller does not want.
    losses: wgpu::Buffer,
    bytes: [u64; 3],
}

impl RegionScratch {
    /// The scratch kept in `slot`, made anew where it is too small.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the sums of all blocks exceed a binding.
    pub fn shared(
        slot: &Mutex<Option<Arc<Self>>>,
        context: &Context,
        layout: &Layout,
        plan: &Plan,
        regions: Regions,
    ) -> Result<Arc<Self>> {
        let counts = Counts::new(layout, plan, regions)?;
        let bytes = [counts.bytes(), counts.folded().bytes(), 4 * u64::from(counts.regions.max(4))];
        // A panic elsewhere cannot leave the option half-written.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(scratch) if scratch.bytes.iter().zip(bytes).all(|(has, needs)| *has >= needs) => Ok(scratch.clone()),
            _ => {
                let scratch = Arc::new(Self::new(context, bytes)?);
                *slot = Some(scratch.clone());
                Ok(scratch)
            }
        }
    }

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

/// How many numbers add up to the loss.
///
/// # Errors
/// [`Error::TooLarge`] if a 32-bit index cannot count them.
pub(crate) fn summands(layout: &Layout, plan: &Plan, regions: Regions) -> Result<u32> {
    Counts::new(layout, plan, regions).map(|counts| counts.regions)
}

/// What the dispatches of one call have in common.
pub(crate) struct Call<'r, 'a> {
    pub kernel: &'r Kernel,
    pub layout: Layout,
    pub regions: Regions,
    pub plan: &'r Plan,
    pub params: Params,
    pub tensors: &'r Tensors<'a>,
    pub survey: &'a wgpu::Buffer,
    pub scratch: &'a Scratch,
    pub own: &'a RegionScratch,
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

/// Records everything between the denominator and the summary; what is returned adds up to the loss.
pub(crate) fn record<'a>(recorder: &mut Recorder<'a>, call: &Call<'_, 'a>) -> Result<Tensor<'a>> {
    let Call { kernel, layout, plan, .. } = call;
    let counts = Counts::new(layout, plan, call.regions)?;
    let (sums, fold, finish) = shaders(kernel, plan);
    let mut blocks = 0;
    for &window in &plan.windows {
        recorder.push(call.sums(sums, window, blocks));
        blocks += blocks_of(layout, plan, window);
    }
    let regions = call.fold(recorder, fold, counts);
    recorder.push(call.finish(finish, counts, regions));
    if let Some(gradient) = gradient_shader(kernel, plan) {
        for &window in &plan.windows {
            let step = call.gradient(gradient, window, regions);
            if has_rounds(kernel.elements(), plan) {
                // The round is a count, as for rows.
                recorder.push(Step { params: Params { count: 0, ..step.params }, ..step.clone() });
                recorder.push(Step { params: Params { count: 1, ..step.params }, ..step.clone() });
                recorder.push(Step { params: Params { count: 2, ..step.params }, ..step });
            } else {
                recorder.push(step);
            }
        }
    }
    let bytes = 4 * u64::from(counts.regions);
    Ok(Tensor { buffer: &call.own.contributions, offset: 0, sample_bytes: 4, bytes })
}

impl<'a> Call<'_, 'a> {
    fn context(&self) -> &Context {
        self.kernel.context()
    }

    /// What the two readings of a window have in common.
    fn window_step(&self, shader: Shader, entry_point: &'static str, window: Window, gradient: bool) -> Step<'a> {
        let Call { kernel, layout, plan, params, tensors, .. } = self;
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
            bindings: vec![(shader::LOGITS, logits.binding), (shader::TARGETS, targets.binding)],
            workgroups: 0,
        }
    }

    fn sums(&self, shader: Shader, window: Window, first_block: u32) -> Step<'a> {
        let mut step = self.window_step(shader, "region_sums", window, false);
        step.workgroups = blocks_of(&self.layout, self.plan, window);
        (step.params.count, step.params.partial_base) = (step.workgroups, first_block);
        step.bindings.push((shader::LOSSES, whole(&self.own.sums[0])));
        step.bindings.push((shader::STATUS, whole(&self.scratch.status)));
        step
    }

    /// Folds the blocks of each group until one is left, going back and forth between two buffers.
    fn fold(&self, recorder: &mut Recorder<'a>, shader: Shader, mut counts: Counts) -> &'a wgpu::Buffer {
        let [mut from, mut to] = self.own.sums.each_ref();
        // None at all are folded too: their sum is 0, and not what an earlier batch left in the buffer.
        while counts.blocks != 1 {
            recorder.push(Step {
                pipeline: self.context().pass(self.plan, shader, "fold_regions"),
                params: Params { rows: counts.groups, count: counts.blocks, ..self.params },
                bindings: vec![(shader::INPUT, whole(from)), (shader::OUTPUT, whole(to))],
                workgroups: counts.regions * counts.folded().blocks,
            });
            (from, to, counts) = (to, from, counts.folded());
        }
        from
    }

    fn finish(&self, shader: Shader, counts: Counts, regions: &'a wgpu::Buffer) -> Step<'a> {
        let losses = self.tensors.losses.as_ref().filter(|losses| losses.bytes > 0);
        Step {
            pipeline: self.context().pass(self.plan, shader, "finish_regions"),
            params: Params { count: counts.groups, ..self.params },
            bindings: vec![
                (shader::REGIONS, whole(regions)),
                (shader::CONTRIBUTIONS, whole(&self.own.contributions)),
                (shader::SURVEY, whole(self.survey)),
                (shader::CLASS_WEIGHTS, all_or_absent(&self.tensors.class_weights, self.scratch)),
                (shader::LOSSES, losses.map_or_else(|| whole(&self.own.losses), Tensor::all)),
                (shader::STATUS, whole(&self.scratch.status)),
            ],
            workgroups: counts.groups,
        }
    }

    fn gradient(&self, shader: Shader, window: Window, slopes: &'a wgpu::Buffer) -> Step<'a> {
        let Call { kernel, layout, plan, tensors, .. } = self;
        let mut step = self.window_step(shader, "region_gradient", window, true);
        let quads = window.count * layout.inner().div_ceil(4);
        step.workgroups = quads.div_ceil(plan.lanes);
        step.params.partial_base = if self.regions.samples_together { 0 } else { window.first };
        step.bindings.push((shader::LOSSES, whole(slopes)));
        if let Some(gradient) = &tensors.gradient {
            let bytes = if kernel.elements().place == Place::Widened { 4 } else { kernel.request().dtype.bytes() };
            let part = gradient.part(window, self.context().alignment());
            step.params.gradient_base = part.lead / bytes as u32;
            step.bindings.push((shader::GRADIENT, part.binding));
        }
        step
    }
}
