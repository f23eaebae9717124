//! The caller's bindings of a loss, and their check: everything that wgpu would otherwise report through its error handler.

use wgpu::{BufferBinding, BufferUsages};

use super::scratch::whole;
use super::window::Tensor;
use crate::definition::{Definition, TargetKind, Unit};
use crate::summary::{Details, Gradient, Request, Summary};
use crate::{Error, Layout, Result};

/// What a [`Kernel`](super::Kernel) reads. Every buffer needs `BufferUsages::STORAGE`; offsets are honoured.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// Logits, in the layout and the element type of the call. Written over for [`Gradient::InPlace`].
    pub logits: BufferBinding<'a>,
    /// Class index of each row, int32, (rows); or one float32 a logit, in the logits' order without gaps.
    pub targets: BufferBinding<'a>,
    /// Weight of each class, float32, (classes).
    pub class_weights: Option<BufferBinding<'a>>,
    /// Weight of each class where it is present, float32, (classes).
    pub pos_weights: Option<BufferBinding<'a>>,
    /// Weight of each row, float32, (rows).
    pub row_weights: Option<BufferBinding<'a>>,
}

impl<'a> Inputs<'a> {
    /// The whole of two buffers, without weights.
    #[must_use]
    pub fn new(logits: &'a wgpu::Buffer, targets: &'a wgpu::Buffer) -> Self {
        Self {
            logits: whole(logits),
            targets: whole(targets),
            class_weights: None,
            pos_weights: None,
            row_weights: None,
        }
    }
}

/// What a [`Kernel`](super::Kernel) writes. Every buffer needs `BufferUsages::STORAGE`, and none may also be an input.
#[derive(Debug, Clone)]
pub struct Outputs<'a> {
    /// One [`Summary`], 64 bytes.
    pub summary: BufferBinding<'a>,
    /// Unreduced losses in nats, float32, one a [`Unit`] of the loss.
    pub losses: Option<BufferBinding<'a>>,
    /// [`Details`] of each row, 16 bytes a row; exactly when the request asks for them.
    pub details: Option<BufferBinding<'a>>,
    /// Gradient, in the logits' layout; exactly when the request is [`Gradient::Separate`], in the logits' element type, or
    /// [`Gradient::Widened`], in float32.
    pub gradient: Option<BufferBinding<'a>>,
}

impl<'a> Outputs<'a> {
    /// The whole of a buffer for the summary, and nothing else.
    #[must_use]
    pub fn new(summary: &'a wgpu::Buffer) -> Self {
        Self { summary: whole(summary), losses: None, details: None, gradient: None }
    }
}

/// The caller's tensors, checked.
pub(crate) struct Tensors<'a> {
    pub logits: Tensor<'a>,
    pub targets: Tensor<'a>,
    pub class_weights: Option<Tensor<'a>>,
    pub pos_weights: Option<Tensor<'a>>,
    pub row_weights: Option<Tensor<'a>>,
    pub losses: Option<Tensor<'a>>,
    pub details: Option<Tensor<'a>>,
    pub gradient: Option<Tensor<'a>>,
    pub summary: Tensor<'a>,
}

/// Bytes of a tensor: from one sample to the next, and in all.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub sample: u64,
    pub all: u64,
}

impl Extent {
    /// `bytes` a logit, in the logits' layout.
    pub fn of_logits(layout: &Layout, bytes: u64) -> Self {
        Self { sample: bytes * u64::from(layout.outer_stride()), all: bytes * layout.span() }
    }

    /// `bytes` a row.
    pub fn of_rows(layout: &Layout, bytes: u64) -> Self {
        Self { sample: bytes * u64::from(layout.inner()), all: bytes * u64::from(layout.rows()) }
    }

    /// A tensor that is not cut.
    pub const fn uncut(bytes: u64) -> Self {
        Self { sample: bytes, all: bytes }
    }
}

impl<'a> Tensors<'a> {
    pub fn check(
        layout: &Layout,
        definition: &Definition<'_>,
        request: Request,
        inputs: &Inputs<'a>,
        outputs: &Outputs<'a>,
        alignment: u32,
    ) -> Result<Self> {
        let separate = matches!(request.gradient, Gradient::Separate | Gradient::Widened);
        expect("details", outputs.details.is_some(), request.details)?;
        expect("gradient", outputs.gradient.is_some(), separate)?;
        definition.check_weights(
            inputs.class_weights.is_some(),
            inputs.pos_weights.is_some(),
            inputs.row_weights.is_some(),
        )?;
        let in_place = request.gradient == Gradient::InPlace;
        distinct(
            &[
                ("logits", (!in_place).then_some(&inputs.logits)),
                ("targets", Some(&inputs.targets)),
                ("class_weights", inputs.class_weights.as_ref()),
                ("pos_weights", inputs.pos_weights.as_ref()),
                ("row_weights", inputs.row_weights.as_ref()),
            ],
            &[
                ("logits", in_place.then_some(&inputs.logits)),
                ("losses", outputs.losses.as_ref()),
                ("details", outputs.details.as_ref()),
                ("gradient", outputs.gradient.as_ref()),
            ],
        )?;
        let check = |name, binding: &BufferBinding<'a>, extent| check(name, binding, extent, alignment);
        let maybe = |name, binding: &Option<BufferBinding<'a>>, extent| {
            binding.as_ref().map(|b| check(name, b, extent)).transpose()
        };
        let logits = request.dtype.bytes();
        let gradient = if request.gradient == Gradient::Widened { 4 } else { logits };
        let rows = |bytes| Extent::of_rows(layout, bytes);
        let dense = Extent::of_logits(&layout.contiguous(), 4);
        let classes = Extent::uncut(4 * u64::from(layout.classes()));
        let targets = if request.targets(definition) == TargetKind::Classes { rows(4) } else { dense };
        let losses = match definition.unit {
            Unit::Row => rows(4),
            Unit::Element => dense,
            Unit::Region(_) => Extent::uncut(4 * definition.unit.count(layout)),
        };
        Ok(Self {
            logits: check("logits", &inputs.logits, Extent::of_logits(layout, logits))?,
            targets: check("targets", &inputs.targets, targets)?,
            class_weights: maybe("class_weights", &inputs.class_weights, classes)?,
            pos_weights: maybe("pos_weights", &inputs.pos_weights, classes)?,
            row_weights: maybe("row_weights", &inputs.row_weights, rows(4))?,
            losses: maybe("losses", &outputs.losses, losses)?,
            details: maybe("details", &outputs.details, rows(size_of::<Details>() as u64))?,
            gradient: maybe("gradient", &outputs.gradient, Extent::of_logits(layout, gradient))?,
            summary: check("summary", &outputs.summary, Extent::uncut(size_of::<Summary>() as u64))?,
        })
    }
}

/// A binding of a tensor.
pub(crate) fn check<'a>(
    name: &'static str,
    binding: &BufferBinding<'a>,
    extent: Extent,
    alignment: u32,
) -> Result<Tensor<'a>> {
    Tensor::check(name, binding, extent.sample, extent.all, BufferUsages::STORAGE, alignment)
}

fn expect(name: &'static str, given: bool, compiled: bool) -> Result<()> {
    if given == compiled {
        return Ok(());
    }
    let got = if given { "given" } else { "not given" };
    let compiled = if compiled { "with it" } else { "without it" };
    Err(Error::RequestMismatch { name, got, compiled })
}

type Named<'b, 'a> = (&'static str, Option<&'b BufferBinding<'a>>);

/// No buffer may be both read and written in one dispatch, not even in disjoint ranges.
pub(crate) fn distinct(read: &[Named<'_, '_>], written: &[Named<'_, '_>]) -> Result<()> {
    for &(input, from) in read {
        for &(output, to) in written {
            if let (Some(from), Some(to)) = (from, to)
                && from.buffer == to.buffer
            {
                return Err(Error::SharedBuffer { input, output });
            }
        }
    }
    Ok(())
}
