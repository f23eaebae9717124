//! The separate passes as operations of their own: softmax, log-softmax, gather, sum and mean.
//!
//! A chain of log-softmax, gather and mean is cross-entropy the long way: it reads the logits twice, writes them once and
//! reads those again. [`Kernel`](super::Kernel) reads them once.

use std::sync::{Arc, Mutex};

use wgpu::BufferBinding;

use super::context::Context;
use super::params::Params;
use super::pipeline::Pipelines;
use super::plan::{Footprint, Plan, plan};
use super::program::softmax_options;
use super::recorder::{Recorder, Step};
use super::scratch::{Room, Scratch, whole};
use super::shader::{Elements, LossFragment, Shader, bindings};
use super::slices::{Entries, Sliced};
use super::switch::{Switch, Switches};
use super::tensors::{Extent, check, distinct};
use super::tuning::Tuning;
use super::vector::{Cuts, Folding};
use super::window;
use crate::{DType, Gradient, Layout, Result, Shape, checks};

/// Softmax over the classes of each row, or its logarithm:
///
/// ```text
/// softmax(x)_c     = exp(x_c / T) / sum_k exp(x_k / T)
/// log_softmax(x)_c = x_c / T - logsumexp(x / T)
/// ```
///
/// float32, (rows, classes) row-major, in nats. A row with NaN, +inf or nothing but -inf becomes NaN.
pub struct Softmax {
    context: Context,
    temperature: f32,
    logarithm: bool,
    scratch: Mutex<Option<Arc<Scratch>>>,
}

impl Softmax {
    /// Compiles softmax for `device`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for a temperature that is not finite and positive;
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the device lacks a limit or a forced variant.
    pub fn new(device: &wgpu::Device, temperature: f32, tuning: Tuning) -> Result<Self> {
        Self::compile(device, false, temperature, tuning)
    }

    /// Compiles log-softmax for `device`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn log(device: &wgpu::Device, temperature: f32, tuning: Tuning) -> Result<Self> {
        Self::compile(device, true, temperature, tuning)
    }

    fn compile(device: &wgpu::Device, logarithm: bool, temperature: f32, tuning: Tuning) -> Result<Self> {
        checks::temperature(temperature)?;
        let context = Context::new(Arc::new(Pipelines::new(device)), tuning)?;
        plan(Shape::new(4, 4), Footprint::F32, &context.caps, tuning)?;
        Ok(Self { context, temperature, logarithm, scratch: Mutex::default() })
    }

    /// Records the softmax of `logits` into `output`, which must be another buffer.
    ///
    /// # Errors
    /// A binding that does not fit, as [`Kernel::encode`](super::Kernel::encode) says.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        shape: Shape,
        logits: &BufferBinding<'_>,
        output: &BufferBinding<'_>,
    ) -> Result<()> {
        let Context { caps, tuning, .. } = &self.context;
        let alignment = self.context.alignment();
        let layout = Layout::from(shape);
        let plan = plan(layout, Footprint::F32, caps, *tuning)?;
        let extent = Extent::of_logits(&layout, 4);
        distinct(&[("logits", Some(logits))], &[("output", Some(output))])?;
        let logits = check("logits", logits, extent, alignment)?;
        let output = check("output", output, extent, alignment)?;
        let (kept, slices) = plan.slice_bytes();
        let scratch = Scratch::shared(&self.scratch, &self.context, Room { kept, slices, ..Room::default() })?;
        let mut recorder = Recorder::new("logloss softmax");
        let windows = plan.windows.iter().map(|w| (*w, false));
        for (window, tail) in windows.chain(plan.tail.map(|w| (w, true))) {
            let elements = plan.elements(Elements::new(DType::F32, false, Gradient::Separate));
            let elements = Elements { words: tail, ..elements };
            let shader = Shader::Rows { fragment: LossFragment::Softmax, elements, schedule: plan.schedule };
            let switches = Switches::default()
                .with(Switch::Logarithm, self.logarithm)
                .with(Switch::Edges, tail || !plan.aligned)
                .with(Switch::Short, plan.short);
            let part = logits.part(window, alignment);
            let mut options = [0.0; 8];
            options[..4].copy_from_slice(&softmax_options(self.temperature, 0.0, 0.0));
            let entry_point = if plan.slicing.is_some() { "sum_slices" } else { "forward_gradient" };
            let step = Step {
                pipeline: self.context.pipeline(&plan, shader, entry_point, switches),
                params: Params {
                    rows: window.count,
                    group_rows: plan.group_rows,
                    logits_base: part.lead / 4,
                    gradient_base: part.lead / 4,
                    options,
                    ..Params::default().with_layout(&layout)
                },
                bindings: vec![
                    (bindings::LOGITS, part.binding),
                    (bindings::GRADIENT, output.part(window, alignment).binding),
                ],
                workgroups: plan.workgroups(&layout, window, true),
            };
            if plan.slicing.is_none() {
                recorder.push(step);
                continue;
            }
            let entries = |binding, tensor| Entries { binding, tensor, bytes: 4, as_logits: true };
            let entries = vec![entries(bindings::LOGITS, &logits), entries(bindings::GRADIENT, &output)];
            let (context, plan, layout) = (&self.context, &plan, &layout);
            Sliced { context, plan, layout, shader, switches, maps: true, entries }.push(
                &mut recorder,
                window,
                &step,
                &scratch,
            );
        }
        recorder.record(&self.context, encoder)
    }
}

/// One entry of each row: `out[r] = values[r, targets[r]]`.
///
/// float32 values (rows, classes) row-major, int32 targets (rows), float32 output (rows). A target that is no class of the
/// row gives NaN.
pub struct Gather {
    context: Context,
    scratch: Scratch,
}

impl Gather {
    /// Compiles the gather for `device`.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the device lacks a limit.
    pub fn new(device: &wgpu::Device) -> Result<Self> {
        let context = Context::new(Arc::new(Pipelines::new(device)), Tuning::default())?;
        let scratch = Scratch::new(&context, Room::default())?;
        Ok(Self { context, scratch })
    }

    /// Records the gather.
    ///
    /// # Errors
    /// A binding that does not fit, as [`Kernel::encode`](super::Kernel::encode) says.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        shape: Shape,
        values: &BufferBinding<'_>,
        targets: &BufferBinding<'_>,
        output: &BufferBinding<'_>,
    ) -> Result<()> {
        let context = &self.context;
        let alignment = context.alignment();
        let row_bytes = 4 * u64::from(shape.classes);
        let plan = vector_plan(context)?;
        distinct(&[("values", Some(values)), ("targets", Some(targets))], &[("output", Some(output))])?;
        let layout = Layout::from(shape);
        let rows = Extent::of_rows(&layout, 4);
        let values = check("values", values, Extent::of_logits(&layout, 4), alignment)?;
        let targets = check("targets", targets, rows, alignment)?;
        let output = check("output", output, rows, alignment)?;
        let mut recorder = Recorder::new("logloss gather");
        for window in window::cut(shape.rows, &[1], row_bytes.max(4), context.max_binding(), alignment)? {
            let (values, output) = (values.part(window, alignment), output.part(window, alignment));
            recorder.push(Step {
                pipeline: context.pass(&plan, Shader::Gather, "gather"),
                params: Params {
                    rows: window.count,
                    classes: shape.classes,
                    logits_base: values.lead / 4,
                    rows_base: output.lead / 4,
                    ..Params::default()
                },
                bindings: vec![
                    (bindings::INPUT, values.binding),
                    (bindings::OUTPUT, output.binding),
                    (bindings::TARGETS, targets.part(window, alignment).binding),
                    (bindings::CLASS_WEIGHTS, whole(&self.scratch.absent_input)),
                    (bindings::ROW_WEIGHTS, whole(&self.scratch.absent_input)),
                ],
                workgroups: window.count.div_ceil(plan.lanes),
            });
        }
        recorder.record(context, encoder)
    }
}

/// Sum or mean of a float32 vector of any length, in a fixed tree: the same bits on every run.
pub struct Sum {
    context: Context,
    mean: bool,
    scratch: Mutex<Option<Arc<Scratch>>>,
}

impl Sum {
    /// Compiles the sum for `device`.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the device lacks a limit.
    pub fn new(device: &wgpu::Device) -> Result<Self> {
        Self::compile(device, false)
    }

    /// Compiles the mean for `device`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn mean(device: &wgpu::Device) -> Result<Self> {
        Self::compile(device, true)
    }

    fn compile(device: &wgpu::Device, mean: bool) -> Result<Self> {
        let context = Context::new(Arc::new(Pipelines::new(device)), Tuning::default())?;
        Ok(Self { context, mean, scratch: Mutex::default() })
    }

    /// Records the reduction of the first `count` elements of `vector` into the first element of `output`. The mean of
    /// nothing is NaN.
    ///
    /// # Errors
    /// A binding that does not fit, as [`Kernel::encode`](super::Kernel::encode) says.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        count: u32,
        vector: &BufferBinding<'_>,
        output: &BufferBinding<'_>,
    ) -> Result<()> {
        let context = &self.context;
        let alignment = context.alignment();
        let plan = vector_plan(context)?;
        distinct(&[("vector", Some(vector))], &[("output", Some(output))])?;
        let vector = check("vector", vector, Extent { sample: 4, all: 4 * u64::from(count) }, alignment)?;
        let output = check("output", output, Extent::uncut(4), alignment)?;
        let cuts = Cuts::new(context, count)?;
        let scratch = Scratch::shared(&self.scratch, context, Room { blocks: cuts.blocks(), ..Room::default() })?;
        let params = Params { denominator: if self.mean { count as f32 } else { 1.0 }, ..Params::default() };
        let mut recorder = Recorder::new("logloss sum");
        let sum =
            Folding { context, recorder: &mut recorder, plan: &plan, params, scratch: &scratch }.sum(&cuts, &vector);
        recorder.push(Step {
            pipeline: context.pass(&plan, Shader::Mean, "finish"),
            params,
            bindings: vec![(bindings::INPUT, whole(sum)), (bindings::OUTPUT, output.all())],
            workgroups: 1,
        });
        recorder.record(context, encoder)
    }
}

/// Lanes of a pass over a vector: those of a long row.
fn vector_plan(context: &Context) -> Result<Plan> {
    plan(Shape::new(0, 8192), Footprint::F32, &context.caps, context.tuning)
}
