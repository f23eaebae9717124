//! A loss compiled for a device, and its recording into the caller's encoder.

use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BufferBinding, BufferUsages};

use super::caps::Caps;
use super::params::{HAS_CLASS_WEIGHTS, HAS_ROW_WEIGHTS, Params};
use super::pipeline::{Pipeline, Pipelines, Switches, Variant};
use super::plan::{Plan, Tuning, plan};
use super::program::{Program, RowLoss};
use super::recorder::{Recorder, Step};
use super::scratch::{BLOCK, Scratch};
use super::shader::{self, Elements, Shader};
use super::window::{self, Tensor, Window};
use crate::loss::Reduction;
use crate::summary::{Details, Gradient, Request, Summary};
use crate::{Error, Result, Shape};

/// A loss over rows of logits, compiled for one device.
///
/// Make it once, then [`encode`](Self::encode) it into any number of command encoders. It never submits and never blocks.
pub struct Kernel {
    device: wgpu::Device,
    caps: Caps,
    tuning: Tuning,
    request: Request,
    program: Program,
    reduction: Reduction,
    ignore_index: Vec<i32>,
    pipelines: Arc<Pipelines>,
    scratch: Mutex<Option<Arc<Scratch>>>,
}

/// What a [`Kernel`] reads. Every buffer needs `BufferUsages::STORAGE`; offsets are honoured.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// Logits, float32, (rows, classes) row-major. Written over for [`Gradient::InPlace`].
    pub logits: BufferBinding<'a>,
    /// Class index of each row, int32, (rows).
    pub targets: BufferBinding<'a>,
    /// Weight of each class, float32, (classes).
    pub class_weights: Option<BufferBinding<'a>>,
    /// Weight of each row, float32, (rows).
    pub row_weights: Option<BufferBinding<'a>>,
}

/// What a [`Kernel`] writes. Every buffer needs `BufferUsages::STORAGE`, and none may also be an input.
#[derive(Debug, Clone)]
pub struct Outputs<'a> {
    /// One [`Summary`], 64 bytes.
    pub summary: BufferBinding<'a>,
    /// Loss of each row in nats, float32, (rows).
    pub losses: Option<BufferBinding<'a>>,
    /// [`Details`] of each row, 16 bytes a row; exactly when the request asks for them.
    pub details: Option<BufferBinding<'a>>,
    /// Gradient, float32, in the logits' shape; exactly when the request is [`Gradient::Separate`].
    pub gradient: Option<BufferBinding<'a>>,
}

/// The caller's tensors, checked.
struct Tensors<'a> {
    logits: Tensor<'a>,
    targets: Tensor<'a>,
    class_weights: Option<Tensor<'a>>,
    row_weights: Option<Tensor<'a>>,
    losses: Option<Tensor<'a>>,
    details: Option<Tensor<'a>>,
    gradient: Option<Tensor<'a>>,
    summary: Tensor<'a>,
}

const WHOLE: Window = Window { first_row: 0, rows: 1 };

impl Kernel {
    /// Compiles `loss` for `device`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option of the loss is out of its domain; [`Error::Unsupported`] if the device
    /// lacks a limit that the kernels need.
    pub fn new(device: &wgpu::Device, loss: &impl RowLoss, request: Request) -> Result<Self> {
        Self::with_tuning(device, loss, request, Tuning::default())
    }

    /// As [`new`](Self::new), with variants forced.
    ///
    /// # Errors
    /// As [`new`](Self::new). A forced variant that the device lacks is an error, never a silent fallback.
    pub fn with_tuning(device: &wgpu::Device, loss: &impl RowLoss, request: Request, tuning: Tuning) -> Result<Self> {
        Self::with_pipelines(Arc::new(Pipelines::new(device)), loss, request, tuning)
    }

    /// As [`with_tuning`](Self::with_tuning), sharing what is compiled already.
    pub(crate) fn with_pipelines(
        pipelines: Arc<Pipelines>,
        loss: &impl RowLoss,
        request: Request,
        tuning: Tuning,
    ) -> Result<Self> {
        loss.validate()?;
        let device = pipelines.device();
        let caps = Caps::of(device);
        if caps.max_storage_buffers < 8 {
            return Err(Error::Unsupported {
                variant: "a loss kernel".into(),
                needs: format!("8 storage buffers in a stage (it has {})", caps.max_storage_buffers),
            });
        }
        let mut program = loss.program();
        program.switches.details = request.details;
        let kernel = Self {
            device: device.clone(),
            caps,
            tuning,
            request,
            program,
            reduction: loss.reduction(),
            ignore_index: loss.ignore_index().to_vec(),
            pipelines,
            scratch: Mutex::default(),
        };
        // Reports a forced variant that cannot run, and compiles what every batch needs.
        kernel.prepare(Shape::new(4, 4))?;
        Ok(kernel)
    }

    /// Compiles what a shape needs, so that the first [`encode`](Self::encode) of it does not.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for the shape.
    pub fn prepare(&self, shape: Shape) -> Result<()> {
        let plan = self.plan(shape)?;
        for tail in [false, true] {
            if if tail { plan.tail.is_some() } else { !plan.windows.is_empty() } {
                self.row_pipeline(&plan, tail);
            }
        }
        for (shader, entry_point) in [
            (Shader::Survey { reduce: plan.reduce }, "survey_rows"),
            (Shader::Sum { reduce: plan.reduce }, "sum_blocks"),
            (Shader::Summary, "denominator"),
            (Shader::Summary, "summarize"),
        ] {
            self.pass(&plan, shader, entry_point);
        }
        Ok(())
    }

    /// How a shape would be computed.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a group of rows exceeds a binding.
    pub fn plan(&self, shape: Shape) -> Result<Plan> {
        let vector_bytes = if self.request.details { size_of::<Details>() as u64 } else { 4 };
        plan(shape, vector_bytes, &self.caps, self.tuning)
    }

    /// Records the loss of a batch, and its gradient if requested, into `encoder`.
    ///
    /// Everything stays on the GPU; nothing is submitted. Read `outputs.summary` back when the loss is wanted, and check it.
    ///
    /// # Errors
    /// [`Error::BindingTooSmall`], [`Error::MissingUsage`], [`Error::MisalignedOffset`] or [`Error::SharedBuffer`] for a
    /// binding that does not fit, [`Error::RequestMismatch`] for an output too many or too few, and [`Error::TooLarge`] for
    /// a row that exceeds a binding, [`Error::Device`] if the device is lost. Nothing is recorded then.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        shape: Shape,
        inputs: &Inputs<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        let plan = self.plan(shape)?;
        let tensors = self.check(shape, inputs, outputs)?;
        // Whole blocks where they fit, so that the sum's tree, and with it every bit, is the same for every limit.
        let vectors = window::cut(shape.rows, &[BLOCK, 1], 4, self.max_binding(), self.alignment())?;
        let blocks = for_blocks(&vectors, |_, _, _| {});
        let scratch = self.scratch(blocks, if tensors.losses.is_none() { shape.rows } else { 0 })?;
        let spare = Tensor { buffer: &scratch.losses, offset: 0, row_bytes: 4 };
        let losses = tensors.losses.clone().unwrap_or(spare);
        let params = self.params(shape, &plan, inputs);

        let mut recorder = Recorder::new("logloss");
        let survey = self.survey(&mut recorder, &plan, &vectors, params, &tensors, &scratch);
        recorder.push(Step {
            pipeline: self.pass(&plan, Shader::Summary, "denominator"),
            params,
            bindings: vec![(1, whole(survey)), (3, whole(&scratch.status))],
            workgroups: 1,
        });
        for window in &plan.windows {
            self.rows(&mut recorder, &plan, *window, false, params, &tensors, &losses, &scratch);
        }
        if let Some(window) = plan.tail {
            self.rows(&mut recorder, &plan, window, true, params, &tensors, &losses, &scratch);
        }
        let sum = self.sum(&mut recorder, &plan, &vectors, params, &losses, &scratch);
        recorder.push(Step {
            pipeline: self.pass(&plan, Shader::Summary, "summarize"),
            params,
            bindings: vec![
                (1, whole(survey)),
                (2, whole(sum)),
                (3, whole(&scratch.status)),
                (4, tensors.summary.part(WHOLE, self.alignment()).binding),
            ],
            workgroups: 1,
        });
        recorder.record(&self.device, encoder, &self.caps, self.max_workgroups())
    }

    pub(crate) fn caps(&self) -> &Caps {
        &self.caps
    }

    fn alignment(&self) -> u32 {
        // A chunk of logits is 16 bytes.
        self.caps.storage_alignment.max(16)
    }

    fn max_binding(&self) -> u64 {
        self.tuning.max_binding.map_or(self.caps.max_binding, |b| b.min(self.caps.max_binding))
    }

    fn max_workgroups(&self) -> u32 {
        self.tuning.max_workgroups.map_or(self.caps.max_workgroups, |w| w.min(self.caps.max_workgroups)).max(1)
    }

    fn params(&self, shape: Shape, plan: &Plan, inputs: &Inputs<'_>) -> Params {
        let mut flags = 0;
        if inputs.class_weights.is_some() {
            flags |= HAS_CLASS_WEIGHTS;
        }
        if inputs.row_weights.is_some() {
            flags |= HAS_ROW_WEIGHTS;
        }
        Params {
            rows: shape.rows,
            classes: shape.classes,
            group_rows: plan.group_rows,
            flags,
            options: self.program.options,
            ..Params::default()
        }
        .with_reduction(self.reduction)
        .with_ignore_index(&self.ignore_index)
    }

    fn pass(&self, plan: &Plan, shader: Shader, entry_point: &'static str) -> Arc<Pipeline> {
        self.pipelines.get(Variant {
            shader,
            entry_point,
            lanes: plan.lanes,
            min_subgroup_size: self.caps.min_subgroup_size,
            switches: Switches::default(),
        })
    }

    fn row_pipeline(&self, plan: &Plan, tail: bool) -> Arc<Pipeline> {
        let in_place = self.request.gradient == Gradient::InPlace;
        self.pipelines.get(Variant {
            shader: Shader::Rows { row: self.program.row, elements: Elements { in_place, tail }, reduce: plan.reduce },
            entry_point: if self.request.gradient == Gradient::No { "forward" } else { "forward_gradient" },
            lanes: plan.lanes,
            min_subgroup_size: self.caps.min_subgroup_size,
            switches: self.program.switches,
        })
    }

    /// Surveys the targets; the result is in the first entry of the returned buffer.
    fn survey<'a>(
        &self,
        recorder: &mut Recorder<'a>,
        plan: &Plan,
        vectors: &[Window],
        params: Params,
        tensors: &Tensors<'a>,
        scratch: &'a Scratch,
    ) -> &'a wgpu::Buffer {
        let shader = Shader::Survey { reduce: plan.reduce };
        let [into, spare] = &scratch.surveys;
        let blocks = for_blocks(vectors, |window, partial_base, workgroups| {
            let targets = tensors.targets.part(window, self.alignment());
            let row_weights = tensors.row_weights.as_ref().map(|t| t.part(window, self.alignment()).binding);
            recorder.push(Step {
                pipeline: self.pass(plan, shader, "survey_rows"),
                params: Params {
                    rows: window.rows,
                    first_row: window.first_row,
                    rows_base: targets.lead / 4,
                    partial_base,
                    ..params
                },
                bindings: vec![
                    (shader::OUTPUT, whole(into)),
                    (shader::TARGETS, targets.binding),
                    (shader::CLASS_WEIGHTS, self.class_weights(tensors, scratch)),
                    (shader::ROW_WEIGHTS, row_weights.unwrap_or_else(|| whole(&scratch.absent_input))),
                ],
                workgroups,
            });
        });
        self.fold(recorder, self.pass(plan, shader, "survey_partials"), params, blocks, into, spare)
    }

    /// Sums the row losses; the result is in the first entry of the returned buffer.
    fn sum<'a>(
        &self,
        recorder: &mut Recorder<'a>,
        plan: &Plan,
        vectors: &[Window],
        params: Params,
        losses: &Tensor<'a>,
        scratch: &'a Scratch,
    ) -> &'a wgpu::Buffer {
        let pipeline = self.pass(plan, Shader::Sum { reduce: plan.reduce }, "sum_blocks");
        let [into, spare] = &scratch.sums;
        let blocks = for_blocks(vectors, |window, partial_base, workgroups| {
            let part = losses.part(window, self.alignment());
            recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params { count: window.rows, first_element: part.lead / 4, partial_base, ..params },
                bindings: vec![(shader::INPUT, part.binding), (shader::OUTPUT, whole(into))],
                workgroups,
            });
        });
        self.fold(recorder, pipeline, params, blocks, into, spare)
    }

    /// Folds `count` partials in `from` until one is left, going back and forth between two buffers.
    fn fold<'a>(
        &self,
        recorder: &mut Recorder<'a>,
        pipeline: Arc<Pipeline>,
        params: Params,
        mut count: u32,
        mut from: &'a wgpu::Buffer,
        mut to: &'a wgpu::Buffer,
    ) -> &'a wgpu::Buffer {
        // None at all are folded too: their sum is the identity, and not what an earlier batch left in the buffer.
        while count != 1 {
            let blocks = count.div_ceil(BLOCK).max(1);
            recorder.push(Step {
                pipeline: pipeline.clone(),
                params: Params { count, first_element: 0, partial_base: 0, ..params },
                bindings: vec![(shader::INPUT, whole(from)), (shader::OUTPUT, whole(to))],
                workgroups: blocks,
            });
            (from, to, count) = (to, from, blocks);
        }
        from
    }

    #[expect(clippy::too_many_arguments, reason = "one dispatch, everything it binds")]
    fn rows<'a>(
        &self,
        recorder: &mut Recorder<'a>,
        plan: &Plan,
        window: Window,
        tail: bool,
        params: Params,
        tensors: &Tensors<'a>,
        losses: &Tensor<'a>,
        scratch: &'a Scratch,
    ) {
        let alignment = self.alignment();
        let logits = tensors.logits.part(window, alignment);
        let losses = losses.part(window, alignment);
        let details = tensors.details.as_ref().map(|t| t.part(window, alignment));
        let row_weights = tensors.row_weights.as_ref().map(|t| t.part(window, alignment).binding);
        let params = Params {
            rows: window.rows,
            first_row: window.first_row,
            logits_base: logits.lead / 4,
            rows_base: losses.lead / 4,
            details_base: details.as_ref().map_or(0, |d| d.lead / size_of::<Details>() as u32),
            ..params
        };
        let mut bindings = vec![
            (shader::LOGITS, logits.binding),
            (shader::TARGETS, tensors.targets.part(window, alignment).binding),
            (shader::CLASS_WEIGHTS, self.class_weights(tensors, scratch)),
            (shader::ROW_WEIGHTS, row_weights.unwrap_or_else(|| whole(&scratch.absent_input))),
            (shader::LOSSES, losses.binding),
            (shader::DETAILS, details.map_or_else(|| whole(&scratch.absent_output), |d| d.binding)),
            (shader::STATUS, whole(&scratch.status)),
        ];
        if let Some(gradient) = &tensors.gradient {
            bindings.push((shader::GRADIENT, gradient.part(window, alignment).binding));
        }
        recorder.push(Step {
            pipeline: self.row_pipeline(plan, tail),
            params,
            bindings,
            workgroups: window.rows.div_ceil(plan.group_rows),
        });
    }

    fn class_weights<'a>(&self, tensors: &Tensors<'a>, scratch: &'a Scratch) -> BufferBinding<'a> {
        tensors
            .class_weights
            .as_ref()
            .map_or_else(|| whole(&scratch.absent_input), |weights| weights.part(WHOLE, self.alignment()).binding)
    }

    /// Scratch for `blocks` partials and `losses` row losses.
    fn scratch(&self, blocks: u32, losses: u32) -> Result<Arc<Scratch>> {
        // A panic elsewhere cannot leave the option half-written.
        let mut slot = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(scratch) if scratch.fits(blocks, losses) => Ok(scratch.clone()),
            _ => {
                let scratch = Arc::new(Scratch::new(&self.device, &self.caps, blocks, losses)?);
                *slot = Some(scratch.clone());
                Ok(scratch)
            }
        }
    }

    fn check<'a>(&self, shape: Shape, inputs: &Inputs<'a>, outputs: &Outputs<'a>) -> Result<Tensors<'a>> {
        let alignment = self.alignment();
        let check = |name, binding: &BufferBinding<'a>, row_bytes: u64, rows: u32| {
            let bytes = row_bytes * u64::from(rows);
            Tensor::check(name, binding, row_bytes, bytes, BufferUsages::STORAGE, alignment)
        };
        let maybe = |name, binding: &Option<BufferBinding<'a>>, row_bytes, rows| {
            binding.as_ref().map(|b| check(name, b, row_bytes, rows)).transpose()
        };
        let Shape { rows, classes } = shape;
        let row_bytes = 4 * u64::from(classes);
        expect("details", outputs.details.is_some(), self.request.details)?;
        expect("gradient", outputs.gradient.is_some(), self.request.gradient == Gradient::Separate)?;
        distinct(self.request.gradient == Gradient::InPlace, inputs, outputs)?;
        Ok(Tensors {
            logits: check("logits", &inputs.logits, row_bytes, rows)?,
            targets: check("targets", &inputs.targets, 4, rows)?,
            class_weights: maybe("class_weights", &inputs.class_weights, row_bytes, 1)?,
            row_weights: maybe("row_weights", &inputs.row_weights, 4, rows)?,
            losses: maybe("losses", &outputs.losses, 4, rows)?,
            details: maybe("details", &outputs.details, size_of::<Details>() as u64, rows)?,
            gradient: maybe("gradient", &outputs.gradient, row_bytes, rows)?,
            summary: check("summary", &outputs.summary, size_of::<Summary>() as u64, 1)?,
        })
    }
}

/// Calls `step` with each window of a vector, the index of its first block and its number of blocks. Returns the number of
/// blocks.
fn for_blocks(vectors: &[Window], mut step: impl FnMut(Window, u32, u32)) -> u32 {
    let mut blocks = 0;
    for window in vectors {
        let here = window.rows.div_ceil(BLOCK);
        step(*window, blocks, here);
        blocks += here;
    }
    blocks
}

fn whole(buffer: &wgpu::Buffer) -> BufferBinding<'_> {
    buffer.as_entire_buffer_binding()
}

fn expect(name: &'static str, given: bool, compiled: bool) -> Result<()> {
    if given == compiled {
        return Ok(());
    }
    let got = if given { "given" } else { "not given" };
    let compiled = if compiled { "with it" } else { "without it" };
    Err(Error::RequestMismatch { name, got, compiled })
}

/// No buffer may be both read and written in one dispatch, not even in disjoint ranges.
fn distinct(in_place: bool, inputs: &Inputs<'_>, outputs: &Outputs<'_>) -> Result<()> {
    let read = [
        ("logits", (!in_place).then_some(&inputs.logits)),
        ("targets", Some(&inputs.targets)),
        ("class_weights", inputs.class_weights.as_ref()),
        ("row_weights", inputs.row_weights.as_ref()),
    ];
    let written = [
        ("logits", in_place.then_some(&inputs.logits)),
        ("losses", outputs.losses.as_ref()),
        ("details", outputs.details.as_ref()),
        ("gradient", outputs.gradient.as_ref()),
    ];
    for (input, from) in read {
        for (output, to) in written {
            if let (Some(from), Some(to)) = (from, to)
                && from.buffer == to.buffer
            {
                return Err(Error::SharedBuffer { input, output });
            }
        }
    }
    Ok(())
}
