//! The caller's bindings of a loss, and their check: everything that wgpu would otherwise report through its error handler.

use wgpu::{BufferBinding, BufferUsages};

use super::scratch::whole;
use super::window::{Tensor, Window};
use crate::summary::{Details, Gradient, Request, Summary};
use crate::{Error, Result, Shape};

/// What a [`Kernel`](super::Kernel) reads. Every buffer needs `BufferUsages::STORAGE`; offsets are honoured.
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

impl<'a> Inputs<'a> {
    /// The whole of two buffers, without weights.
    #[must_use]
    pub fn new(logits: &'a wgpu::Buffer, targets: &'a wgpu::Buffer) -> Self {
        Self { logits: whole(logits), targets: whole(targets), class_weights: None, row_weights: None }
    }
}

/// What a [`Kernel`](super::Kernel) writes. Every buffer needs `BufferUsages::STORAGE`, and none may also be an input.
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

impl<'a> Outputs<'a> {
    /// The whole of a buffer for the summary, and nothing else.
    #[must_use]
    pub fn new(summary: &'a wgpu::Buffer) -> Self {
        Self { summary: whole(summary), losses: None, details: None, gradient: None }
    }
}

/// A window of one row, for tensors that are not cut.
pub(crate) const UNCUT: Window = Window { first_row: 0, rows: 1 };

/// The caller's tensors, checked.
pub(crate) struct Tensors<'a> {
    pub logits: Tensor<'a>,
    pub targets: Tensor<'a>,
    pub class_weights: Option<Tensor<'a>>,
    pub row_weights: Option<Tensor<'a>>,
    pub losses: Option<Tensor<'a>>,
    pub details: Option<Tensor<'a>>,
    pub gradient: Option<Tensor<'a>>,
    pub summary: Tensor<'a>,
}

impl<'a> Tensors<'a> {
    pub fn check(
        shape: Shape,
        request: Request,
        inputs: &Inputs<'a>,
        outputs: &Outputs<'a>,
        alignment: u32,
    ) -> Result<Self> {
        expect("details", outputs.details.is_some(), request.details)?;
        expect("gradient", outputs.gradient.is_some(), request.gradient == Gradient::Separate)?;
        let in_place = request.gradient == Gradient::InPlace;
        distinct(
            &[
                ("logits", (!in_place).then_some(&inputs.logits)),
                ("targets", Some(&inputs.targets)),
                ("class_weights", inputs.class_weights.as_ref()),
                ("row_weights", inputs.row_weights.as_ref()),
            ],
            &[
                ("logits", in_place.then_some(&inputs.logits)),
                ("losses", outputs.losses.as_ref()),
                ("details", outputs.details.as_ref()),
                ("gradient", outputs.gradient.as_ref()),
            ],
        )?;
        let check = |name, binding: &BufferBinding<'a>, row_bytes: u64, rows: u32| {
            check(name, binding, row_bytes, rows, alignment)
        };
        let maybe = |name, binding: &Option<BufferBinding<'a>>, row_bytes, rows| {
            binding.as_ref().map(|b| check(name, b, row_bytes, rows)).transpose()
        };
        let Shape { rows, classes } = shape;
        let row_bytes = 4 * u64::from(classes);
        Ok(Self {
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

/// A binding of `rows` rows of `row_bytes` bytes each.
pub(crate) fn check<'a>(
    name: &'static str,
    binding: &BufferBinding<'a>,
    row_bytes: u64,
    rows: u32,
    alignment: u32,
) -> Result<Tensor<'a>> {
    Tensor::check(name, binding, row_bytes, row_bytes * u64::from(rows), BufferUsages::STORAGE, alignment)
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
