//! A loss compiled for a device, and its recording into the caller's encoder.

use std::sync::{Arc, Mutex};

use super::caps::Caps;
use super::context::Context;
use super::elements;
use super::params::{HAS_CLASS_WEIGHTS, HAS_POS_WEIGHTS, HAS_ROW_WEIGHTS, Params};
use super::pipeline::Pipelines;
use super::plan::{Footprint, Plan, plan, plan_blocks, plan_regions};
use super::program::{GpuLoss, Program};
use super::recorder::{Recorder, Step};
use super::regions::{self, RegionScratch};
use super::rows::{self, Call};
use super::scratch::{Room, Scratch, whole};
use super::shader::bindings::summary;
use super::shader::{Elements, Family, Shader};
use super::switch::Switch;
use super::tensors::{Inputs, Outputs, Tensors};
use super::tuning::Tuning;
use super::vector::{Cuts, Folding};
use super::window::Tensor;
use crate::definition::{Definition, TargetKind, Unit};
use crate::summary::{Details, Gradient, Request};
use crate::{Error, Layout, Result, Shape};

/// A loss, compiled for one device.
///
/// Make it once, then [`encode`](Self::encode) it into any number of command encoders. It never submits and never blocks.
pub struct Kernel {
    context: Context,
    request: Request,
    program: Program,
    elements: Elements,
    definition: Definition<'static>,
    ignore_index: Vec<i32>,
    scratch: Mutex<Option<Arc<Scratch>>>,
    region_scratch: regions::Slot,
}

impl Kernel {
    /// Compiles `loss` for `device`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option of the loss is out of its domain; [`Error::Unsupported`] if the loss does not have
    /// what is requested, or the device lacks a limit that the kernels need.
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
        let definition = loss.definition().without_ignore_index();
        check_request(&definition, request)?;
        let context = Context::new(pipelines, tuning)?;
        let mut program = loss.program();
        program.switches =
            program.switches.with(Switch::Details, request.details).with(Switch::Softcap, program.softcap.is_some());
        let elements = Elements::new(request.dtype, tuning.native_f16(&context.caps)?, request.gradient);
        let ignore_index = loss.definition().ignore_index.to_vec();
        let (scratch, region_scratch) = (Mutex::default(), Mutex::default());
        let kernel = Self { context, request, program, elements, definition, ignore_index, scratch, region_scratch };
        // Reports a forced variant that cannot run, and compiles what every batch needs.
        kernel.prepare(Shape::new(4, 4))?;
        Ok(kernel)
    }

    /// Compiles what a layout needs, so that the first [`encode`](Self::encode) of it does not.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for the layout.
    pub fn prepare(&self, layout: impl Into<Layout>) -> Result<()> {
        let layout = layout.into();
        let plan = self.plan(layout)?;
        match self.family() {
            Family::Elements => elements::prepare(self, &plan),
            Family::Regions => regions::prepare(self, &plan),
            Family::Labelled | Family::Dense | Family::Plain => rows::prepare(self, &plan),
        }
        if self.request.targets(&self.definition) == TargetKind::Classes {
            self.context.pass(&plan, Shader::Survey { reduce: plan.reduce }, "survey_rows");
        }
        for (shader, entry_point) in [
            (Shader::Sum { reduce: plan.reduce }, "sum_blocks"),
            (Shader::Summary, "denominator"),
            (Shader::Summary, "summarize"),
        ] {
            self.context.pass(&plan, shader, entry_point);
        }
        Ok(())
    }

    /// How a layout would be computed.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a slice of a row or a sample exceeds a binding.
    pub fn plan(&self, layout: impl Into<Layout>) -> Result<Plan> {
        let is_dense = self.request.targets(&self.definition) == TargetKind::Dense;
        let is_wide = is_dense || self.definition.unit == Unit::Element || self.request.gradient == Gradient::Widened;
        let footprint = Footprint {
            logit: self.request.dtype.bytes(),
            element: if is_wide { 4 } else { self.request.dtype.bytes() },
            row: if self.request.details { size_of::<Details>() as u64 } else { 4 },
        };
        let Context { caps, tuning, .. } = &self.context;
        match (self.family(), self.definition.unit) {
            (Family::Elements, _) => plan_blocks(&layout.into(), footprint.element, caps, *tuning),
            (_, Unit::Region(r)) => plan_regions(&layout.into(), footprint, r.samples_together, caps, *tuning),
            _ => plan(layout, footprint, caps, *tuning),
        }
    }

    /// Records the loss of a batch, and its gradient if requested, into `encoder`.
    ///
    /// Everything stays on the GPU; nothing is submitted. Read `outputs.summary` back when the loss is wanted, and
    /// [check](crate::Summary::check) it.
    ///
    /// # Errors
    /// [`Error::BindingTooSmall`], [`Error::MissingUsage`], [`Error::MisalignedOffset`] or [`Error::SharedBuffer`] for a binding
    /// that does not fit, [`Error::RequestMismatch`] for an output too many or too few, [`Error::UnusedWeights`] for weights that
    /// the loss does not take, [`Error::TooLarge`] for a sample or the class weights that exceed a binding, and [`Error::Device`]
    /// if the device is lost. Nothing is recorded then.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        layout: impl Into<Layout>,
        inputs: &Inputs<'_>,
        outputs: &Outputs<'_>,
    ) -> Result<()> {
        let layout = layout.into();
        let context = &self.context;
        let plan = self.plan(layout)?;
        let tensors = Tensors::check(&layout, &self.definition, self.request, inputs, outputs, context.alignment())?;
        for weights in tensors.class_weights.iter().chain(&tensors.pos_weights) {
            check_uncut(weights, &context.caps)?;
        }
        let regions = RegionScratch::shared(&self.region_scratch, context, &layout, &plan, self.definition.unit)?;
        // Where an unreduced loss is not one a row, the row losses are nobody's but ours.
        let row_losses = tensors.losses.as_ref().filter(|_| self.definition.unit == Unit::Row);
        let (is_elements, is_regions) = (self.family() == Family::Elements, regions.is_some());
        let summands = match &regions {
            Some(regions) => regions.count(),
            None if is_elements => elements::blocks(&plan),
            None => layout.rows(),
        };
        let (row_cuts, cuts) = (Cuts::new(context, layout.rows())?, Cuts::new(context, summands)?);
        let (kept, slices) = plan.slice_bytes();
        let room = Room {
            blocks: row_cuts.blocks().max(cuts.blocks()),
            rows: if row_losses.is_none() && !is_elements && !is_regions { layout.rows() } else { 0 },
            partials: if is_elements { summands } else { 0 },
            kept,
            slices,
        };
        let scratch = Scratch::shared(&self.scratch, context, room)?;
        // What adds up to the loss.
        let losses = match (row_losses, &regions) {
            (Some(losses), _) => losses.clone(),
            (None, Some(regions)) => regions.contributions(),
            (None, None) if is_elements => scratch.partials(summands),
            (None, None) => scratch.losses(&layout),
        };
        let params = self.params(&layout, &plan, inputs);
        let mut recorder = Recorder::new("logloss");

        let mut folding = Folding { context, recorder: &mut recorder, plan: &plan, params, scratch: &scratch };
        let survey = if self.request.targets(&self.definition) == TargetKind::Classes {
            folding.survey(&row_cuts, &tensors)
        } else {
            &scratch.absent_input
        };
        recorder.push(Step {
            pipeline: context.pass(&plan, Shader::Summary, "denominator"),
            params,
            bindings: vec![(summary::SURVEY, whole(survey)), (summary::STATUS, whole(&scratch.status))],
            workgroups: 1,
        });
        let call = Call {
            kernel: self,
            layout,
            plan: &plan,
            params,
            tensors: &tensors,
            losses: &losses,
            survey,
            scratch: &scratch,
        };
        match (self.family(), &regions) {
            (Family::Elements, _) => elements::record(&mut recorder, &call)?,
            (_, Some(regions)) => regions::record(&mut recorder, &call, regions),
            _ => rows::record(&mut recorder, &call),
        }
        let mut folding = Folding { context, recorder: &mut recorder, plan: &plan, params, scratch: &scratch };
        let sum = folding.sum(&cuts, &losses);
        recorder.push(Step {
            pipeline: context.pass(&plan, Shader::Summary, "summarize"),
            params: Params { denominator: self.last_denominator(&params), ..params },
            bindings: vec![
                (summary::SURVEY, whole(survey)),
                (summary::LOSS_SUM, whole(sum)),
                (summary::STATUS, whole(&scratch.status)),
                (summary::SUMMARY, tensors.summary.all()),
            ],
            workgroups: 1,
        });
        recorder.record(context, encoder)
    }

    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) const fn request(&self) -> Request {
        self.request
    }

    pub(crate) const fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) const fn elements(&self) -> Elements {
        self.elements
    }

    pub(crate) const fn definition(&self) -> &Definition<'static> {
        &self.definition
    }

    const fn family(&self) -> Family {
        self.program.fragment.family()
    }

    /// What is left to divide by once the losses are summed. Of a sum of two losses nothing is, unless there are no losses.
    fn last_denominator(&self, params: &Params) -> f32 {
        if self.program.switches.has(Switch::Pointwise) { params.denominator.min(1.0) } else { params.denominator }
    }

    fn params(&self, layout: &Layout, plan: &Plan, inputs: &Inputs<'_>) -> Params {
        let flag = |given: bool, flag| if given { flag } else { 0 };
        Params {
            group_rows: plan.group_rows,
            flags: flag(inputs.class_weights.is_some(), HAS_CLASS_WEIGHTS)
                | flag(inputs.pos_weights.is_some(), HAS_POS_WEIGHTS)
                | flag(inputs.row_weights.is_some(), HAS_ROW_WEIGHTS),
            softcap: self.program.softcap.unwrap_or(1.0),
            options: self.program.options,
            ..Params::default()
        }
        .with_layout(layout)
        .with_definition(&self.definition, self.request.targets(&self.definition), layout)
        .with_ignore_index(&self.ignore_index)
    }
}

/// Fails where a vector that every dispatch binds as a whole exceeds a binding.
fn check_uncut(tensor: &Tensor<'_>, caps: &Caps) -> Result<()> {
    if tensor.bytes <= caps.max_binding {
        return Ok(());
    }
    Err(Error::TooLarge {
        what: "the weights of all classes in bytes",
        size: tensor.bytes,
        limit: caps.max_binding,
        limited_by: "max_storage_buffer_binding_size",
        remedy: "request the adapter's own limits or use the CPU engine",
    })
}

/// Fails where a loss does not have what is requested: better here than as a wrong number.
fn check_request(definition: &Definition<'_>, request: Request) -> Result<()> {
    let unsupported = |what: &str, needs: &str| {
        Err(Error::Unsupported { variant: format!("{} with {what}", definition.name), needs: needs.into() })
    };
    if request.details && !definition.has_details() {
        return unsupported("details", "a loss of rows against class indices");
    }
    if request.dense_targets && definition.targets == TargetKind::Classes {
        return unsupported("dense targets", "class indices, one a row");
    }
    Ok(())
}
