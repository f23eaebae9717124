//! A loss compiled for a device, and its recording into the caller's encoder.

use std::sync::{Arc, Mutex};

use super::context::Context;
use super::params::{HAS_CLASS_WEIGHTS, HAS_ROW_WEIGHTS, Params};
use super::pipeline::{Pipeline, Pipelines};
use super::plan::{Plan, Tuning, plan};
use super::program::{GpuLoss, Program};
use super::recorder::{Recorder, Step};
use super::scratch::{Scratch, whole};
use super::shader::{self, Elements, Shader};
use super::switch::Switch;
use super::tensors::{Inputs, Outputs, Tensors, UNCUT};
use super::vector::{Cuts, Folding, part_or_absent};
use super::window::{Tensor, Window};
use crate::reduction::Reduction;
use crate::summary::{Details, Gradient, Request};
use crate::{Result, Shape};

/// What the dispatches of one call have in common.
struct Call<'r, 'a> {
    plan: &'r Plan,
    params: Params,
    tensors: &'r Tensors<'a>,
    losses: &'r Tensor<'a>,
    scratch: &'a Scratch,
}

/// A loss over rows of logits, compiled for one device.
///
/// Make it once, then [`encode`](Self::encode) it into any number of command encoders. It never submits and never blocks.
pub struct Kernel {
    context: Context,
    request: Request,
    program: Program,
    reduction: Reduction,
    ignore_index: Vec<i32>,
    scratch: Mutex<Option<Arc<Scratch>>>,
}

impl Kernel {
    /// Compiles `loss` for `device`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) if an option of the loss is out of its domain;
    /// [`Error::Unsupported`](crate::Error::Unsupported) if the device lacks a limit that the kernels need.
    pub fn new(device: &wgpu::Device, loss: &(impl GpuLoss + ?Sized), request: Request) -> Result<Self> {
        Self::with_tuning(device, loss, request, Tuning::default())
    }

    /// As [`new`](Self::new), with variants forced.
    ///
    /// # Errors
    /// As [`new`](Self::new). A forced variant that the device lacks is an error, never a silent fallback.
    pub fn with_tuning(
        device: &wgpu::Device,
        loss: &(impl GpuLoss + ?Sized),
        request: Request,
        tuning: Tuning,
    ) -> Result<Self> {
        Self::with_pipelines(Arc::new(Pipelines::new(device)), loss, request, tuning)
    }

    /// As [`with_tuning`](Self::with_tuning), sharing what is compiled already.
    pub(crate) fn with_pipelines(
        pipelines: Arc<Pipelines>,
        loss: &(impl GpuLoss + ?Sized),
        request: Request,
        tuning: Tuning,
    ) -> Result<Self> {
        loss.validate()?;
        let mut program = loss.program();
        program.switches = program.switches.with(Switch::Details, request.details);
        let kernel = Self {
            context: Context::new(pipelines, tuning)?,
            request,
            program,
            reduction: loss.definition().reduction,
            ignore_index: loss.definition().ignore_index.to_vec(),
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
        if !plan.windows.is_empty() {
            self.row_pipeline(&plan, false);
        }
        if plan.tail.is_some() {
            self.row_pipeline(&plan, true);
        }
        for (shader, entry_point) in [
            (Shader::Survey { reduce: plan.reduce }, "survey_rows"),
            (Shader::Sum { reduce: plan.reduce }, "sum_blocks"),
            (Shader::Summary, "denominator"),
            (Shader::Summary, "summarize"),
        ] {
            self.context.pass(&plan, shader, entry_point);
        }
        Ok(())
    }

    /// How a shape would be computed.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) when a group of rows exceeds a binding.
    pub fn plan(&self, shape: Shape) -> Result<Plan> {
        let vector_bytes = if self.request.details { size_of::<Details>() as u64 } else { 4 };
        plan(shape, vector_bytes, &self.context.caps, self.context.tuning)
    }

    /// Records the loss of a batch, and its gradient if requested, into `encoder`.
    ///
    /// Everything stays on the GPU; nothing is submitted. Read `outputs.summary` back when the loss is wanted, and
    /// [check](crate::Summary::check) it.
    ///
    /// # Errors
    /// [`Error::BindingTooSmall`](crate::Error::BindingTooSmall), [`Error::MissingUsage`](crate::Error::MissingUsage),
    /// [`Error::MisalignedOffset`](crate::Error::MisalignedOffset) or [`Error::SharedBuffer`](crate::Error::SharedBuffer)
    /// for a binding that does not fit, [`Error::RequestMismatch`](crate::Error::RequestMismatch) for an output too many or
    /// too few, and [`Error::TooLarge`](crate::Error::TooLarge) for a row that exceeds a binding, and
    /// [`Error::Device`](crate::Error::Device) if the device is lost. Nothing is recorded then.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        shape: Shape,
        inputs: &Inputs<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        let context = &self.context;
        let plan = self.plan(shape)?;
        let tensors = Tensors::check(shape, self.request, inputs, outputs, context.alignment())?;
        let cuts = Cuts::new(context, shape.rows)?;
        let spare_losses = if tensors.losses.is_none() { shape.rows } else { 0 };
        let scratch = Scratch::shared(&self.scratch, context, cuts.blocks(), spare_losses)?;
        let losses = tensors.losses.clone().unwrap_or_else(|| scratch.losses());
        let params = self.params(shape, &plan, inputs);
        let mut recorder = Recorder::new("logloss");

        let mut folding = Folding { context, recorder: &mut recorder, plan: &plan, params, scratch: &scratch };
        let survey = folding.survey(&cuts, &tensors);
        recorder.push(Step {
            pipeline: context.pass(&plan, Shader::Summary, "denominator"),
            params,
            bindings: vec![(1, whole(survey)), (3, whole(&scratch.status))],
            workgroups: 1,
        });
        let call = Call { plan: &plan, params, tensors: &tensors, losses: &losses, scratch: &scratch };
        for window in &plan.windows {
            recorder.push(self.rows(&call, *window, false));
        }
        if let Some(window) = plan.tail {
            recorder.push(self.rows(&call, window, true));
        }
        let mut folding = Folding { context, recorder: &mut recorder, plan: &plan, params, scratch: &scratch };
        let sum = folding.sum(&cuts, &losses);
        recorder.push(Step {
            pipeline: context.pass(&plan, Shader::Summary, "summarize"),
            params,
            bindings: vec![
                (1, whole(survey)),
                (2, whole(sum)),
                (3, whole(&scratch.status)),
                (4, tensors.summary.part(UNCUT, context.alignment()).binding),
            ],
            workgroups: 1,
        });
        recorder.record(context, encoder)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
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

    fn row_pipeline(&self, plan: &Plan, tail: bool) -> Arc<Pipeline> {
        let in_place = self.request.gradient == Gradient::InPlace;
        let shader = Shader::Rows { row: self.program.row, elements: Elements { in_place, tail }, reduce: plan.reduce };
        let entry_point = if self.request.gradient == Gradient::No { "forward" } else { "forward_gradient" };
        let switches = self.program.switches.with(Switch::Edges, tail || plan.group_rows > 1);
        self.context.pipeline(plan, shader, entry_point, switches)
    }

    /// The dispatch over one window of rows.
    fn rows<'a>(&self, call: &Call<'_, 'a>, window: Window, tail: bool) -> Step<'a> {
        let Call { plan, params, tensors, losses, scratch } = *call;
        let alignment = self.context.alignment();
        let logits = tensors.logits.part(window, alignment);
        let losses = losses.part(window, alignment);
        let details = tensors.details.as_ref().map(|t| t.part(window, alignment));
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
            (shader::CLASS_WEIGHTS, part_or_absent(&tensors.class_weights, UNCUT, alignment, scratch)),
            (shader::ROW_WEIGHTS, part_or_absent(&tensors.row_weights, window, alignment, scratch)),
            (shader::LOSSES, losses.binding),
            (shader::DETAILS, details.map_or_else(|| whole(&scratch.absent_output), |d| d.binding)),
            (shader::STATUS, whole(&scratch.status)),
        ];
        if let Some(gradient) = &tensors.gradient {
            bindings.push((shader::GRADIENT, gradient.part(window, alignment).binding));
        }
        let workgroups = window.rows.div_ceil(plan.group_rows);
        Step { pipeline: self.row_pipeline(plan, tail), params, bindings, workgroups }
    }
}
