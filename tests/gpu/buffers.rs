//! A kernel recorded by hand: bindings at offsets, in buffers with guard bytes in front and behind.

use bytemuck::Zeroable;
use half::{bf16, f16};
use logloss::gpu::{Gpu, Inputs, Kernel, Outputs};
use logloss::{Batch, DType, Evaluation, Gradient, Layout, Request, Result, Summary, Targets, Unit};
use wgpu::BufferUsages;

use crate::case::Case;
use crate::stored::gradient_dtype;

const GUARD: u8 = 0xa5;
pub const USAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

/// Where a tensor lies in its buffer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Bytes in front.
    pub offset: u64,
    /// Bytes behind.
    pub behind: u64,
}

/// A tensor in a buffer filled with guard bytes.
pub struct Guarded {
    pub buffer: wgpu::Buffer,
    pub place: Place,
    /// What it held at first.
    content: Vec<u8>,
}

impl Guarded {
    pub fn new(gpu: &Gpu, data: &[u8], place: Place) -> Self {
        // A binding may not be empty, nor a copy end within a word.
        let size = (place.offset + data.len() as u64 + place.behind).max(place.offset + 16).next_multiple_of(4);
        let mut content = vec![GUARD; size as usize];
        content[place.offset as usize..][..data.len()].copy_from_slice(data);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("guarded"),
            size,
            usage: USAGE,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&buffer, 0, &content);
        Self { buffer, place, content: data.to_vec() }
    }

    /// A tensor to be written: full of guard bytes, so that what stays unwritten shows.
    pub fn unwritten(gpu: &Gpu, bytes: u64, place: Place) -> Self {
        Self::new(gpu, &vec![GUARD; bytes as usize], place)
    }

    pub fn binding(&self) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding { buffer: &self.buffer, offset: self.place.offset, size: None }
    }

    /// What the tensor holds now, after a look at the bytes around it.
    #[track_caller]
    pub fn read<T: bytemuck::Pod>(&self, gpu: &Gpu) -> Vec<T> {
        let all = gpu.read_back(&[(&self.buffer, self.buffer.size())]).expect("a read back").remove(0);
        let (front, rest) = all.split_at(self.place.offset as usize);
        let (tensor, behind) = rest.split_at(self.content.len());
        assert!(front.iter().all(|&b| b == GUARD), "bytes in front of the tensor were written");
        assert!(behind.iter().all(|&b| b == GUARD), "bytes behind the tensor were written");
        bytemuck::pod_collect_to_vec(tensor)
    }
}

/// Every tensor of a batch, each at a place of its own.
pub struct Tensors {
    layout: Layout,
    request: Request,
    pub logits: Guarded,
    pub targets: Guarded,
    pub class_weights: Option<Guarded>,
    pub pos_weights: Option<Guarded>,
    pub row_weights: Option<Guarded>,
    pub losses: Guarded,
    pub details: Option<Guarded>,
    pub gradient: Option<Guarded>,
    pub summary: Guarded,
}

impl Tensors {
    pub fn new(gpu: &Gpu, case: &Case, request: Request, place: Place) -> Self {
        Self::of_batch(gpu, &case.batch(), Unit::Row, request, place)
    }

    /// With one loss a `unit`.
    pub fn of_batch(gpu: &Gpu, batch: &Batch<'_>, unit: Unit, request: Request, place: Place) -> Self {
        let layout = batch.layout;
        let input = |data: &[u8]| Guarded::new(gpu, data, place);
        let weights = |weights: Option<&[f32]>| weights.map(|weights| input(bytemuck::cast_slice(weights)));
        let output = |bytes| Guarded::unwritten(gpu, bytes, place);
        let separate = matches!(request.gradient, Gradient::Separate | Gradient::Widened);
        Self {
            layout,
            request,
            logits: input(batch.logits.as_bytes()),
            targets: match batch.targets {
                Targets::Classes(targets) => input(bytemuck::cast_slice(targets)),
                Targets::Dense(targets) => input(bytemuck::cast_slice(targets)),
            },
            class_weights: weights(batch.class_weights),
            pos_weights: weights(batch.pos_weights),
            row_weights: weights(batch.row_weights),
            losses: output(4 * unit.count(&layout)),
            details: request.details.then(|| output(16 * u64::from(layout.rows()))),
            gradient: separate.then(|| output(gradient_dtype(request).bytes() * layout.span())),
            summary: output(64),
        }
    }

    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            logits: self.logits.binding(),
            targets: self.targets.binding(),
            class_weights: self.class_weights.as_ref().map(Guarded::binding),
            pos_weights: self.pos_weights.as_ref().map(Guarded::binding),
            row_weights: self.row_weights.as_ref().map(Guarded::binding),
        }
    }

    pub fn outputs(&self) -> Outputs<'_> {
        Outputs {
            summary: self.summary.binding(),
            losses: Some(self.losses.binding()),
            details: self.details.as_ref().map(Guarded::binding),
            gradient: self.gradient.as_ref().map(Guarded::binding),
        }
    }

    /// Records, submits, reads; a bad target is no error here. Without `losses`, the kernel is not asked for them.
    #[track_caller]
    pub fn run(&self, gpu: &Gpu, kernel: &Kernel, losses: bool) -> Result<Evaluation> {
        let mut outputs = self.outputs();
        outputs.losses = outputs.losses.filter(|_| losses);
        let mut encoder = encoder(gpu);
        kernel.encode(&mut encoder, self.layout, &self.inputs(), &outputs)?;
        gpu.queue.submit([encoder.finish()]);
        let got = self.read(gpu);
        gpu.check()?;
        Ok(got)
    }

    /// Everything that was written. Gaps in a gradient are 0, after a look at whether they still hold what they did.
    #[track_caller]
    pub fn read(&self, gpu: &Gpu) -> Evaluation {
        let gradient = match self.request.gradient {
            Gradient::No => None,
            Gradient::Separate | Gradient::Widened => self.gradient.as_ref(),
            Gradient::InPlace => Some(&self.logits),
        };
        Evaluation {
            summary: self.summary.read(gpu).first().copied().unwrap_or(Summary::zeroed()),
            losses: self.losses.read(gpu),
            details: self.details.as_ref().map_or_else(Vec::new, |d| d.read(gpu)),
            gradient: gradient.map_or_else(Vec::new, |gradient| match gradient_dtype(self.request) {
                DType::F32 => self.without_gaps(gpu, gradient, |x: f32| x),
                DType::F16 => self.without_gaps(gpu, gradient, f16::to_f32),
                DType::Bf16 => self.without_gaps(gpu, gradient, bf16::to_f32),
            }),
        }
    }

    #[track_caller]
    fn without_gaps<T: bytemuck::Pod>(&self, gpu: &Gpu, gradient: &Guarded, widened: impl Fn(T) -> f32) -> Vec<f32> {
        let (now, before) = (gradient.read::<T>(gpu), bytemuck::pod_collect_to_vec::<u8, T>(&gradient.content));
        let (stride, own) =
            (self.layout.outer_stride() as usize, (self.layout.classes() * self.layout.inner()) as usize);
        now.into_iter()
            .zip(before)
            .enumerate()
            .map(|(i, (now, before))| {
                if i % stride < own {
                    return widened(now);
                }
                let (now, before) = (bytemuck::bytes_of(&now), bytemuck::bytes_of(&before));
                assert_eq!(now, before, "{:?} {:?}: element {i}, in a gap, was written", self.layout, self.request);
                0.0
            })
            .collect()
    }
}

pub fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("the caller's") })
}

/// A case, every tensor at the same place of a buffer of its own.
pub fn run(gpu: &Gpu, kernel: &Kernel, case: &Case, request: Request, place: Place) -> Result<Evaluation> {
    Tensors::new(gpu, case, request, place).run(gpu, kernel, true)
}
