//! A kernel recorded by hand: bindings at offsets, in buffers with guard bytes in front and behind.

use bytemuck::Zeroable;
use logloss::gpu::{Gpu, Inputs, Kernel, Outputs};
use logloss::{Evaluation, Gradient, Request, Result, Summary};
use wgpu::BufferUsages;

use crate::case::Case;

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
    pub bytes: u64,
}

impl Guarded {
    pub fn new(gpu: &Gpu, data: &[u8], place: Place) -> Self {
        let bytes = data.len() as u64;
        // A binding may not be empty.
        let size = (place.offset + bytes + place.behind).max(place.offset + 16);
        let mut content = vec![GUARD; size as usize];
        content[place.offset as usize..][..data.len()].copy_from_slice(data);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("guarded"),
            size,
            usage: USAGE,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&buffer, 0, &content);
        Self { buffer, place, bytes }
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
        let (tensor, behind) = rest.split_at(self.bytes as usize);
        assert!(front.iter().all(|&b| b == GUARD), "bytes in front of the tensor were written");
        assert!(behind.iter().all(|&b| b == GUARD), "bytes behind the tensor were written");
        bytemuck::pod_collect_to_vec(tensor)
    }
}

/// Every tensor of a case, each at a place of its own.
pub struct Tensors {
    pub request: Request,
    pub logits: Guarded,
    pub targets: Guarded,
    pub class_weights: Option<Guarded>,
    pub row_weights: Option<Guarded>,
    pub losses: Guarded,
    pub details: Option<Guarded>,
    pub gradient: Option<Guarded>,
    pub summary: Guarded,
}

impl Tensors {
    pub fn new(gpu: &Gpu, case: &Case, request: Request, place: Place) -> Self {
        let (rows, elements) = (u64::from(case.shape.rows), case.shape.elements());
        let input = |data: &[u8]| Guarded::new(gpu, data, place);
        let output = |bytes| Guarded::unwritten(gpu, bytes, place);
        Self {
            request,
            logits: input(bytemuck::cast_slice(&case.logits)),
            targets: input(bytemuck::cast_slice(&case.targets)),
            class_weights: case.class_weights.as_ref().map(|w| input(bytemuck::cast_slice(w))),
            row_weights: case.row_weights.as_ref().map(|w| input(bytemuck::cast_slice(w))),
            losses: output(4 * rows),
            details: request.details.then(|| output(16 * rows)),
            gradient: (request.gradient == Gradient::Separate).then(|| output(4 * elements)),
            summary: output(64),
        }
    }

    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            logits: self.logits.binding(),
            targets: self.targets.binding(),
            class_weights: self.class_weights.as_ref().map(Guarded::binding),
            pos_weights: None,
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
            gradient: gradient.map_or_else(Vec::new, |g| g.read(gpu)),
        }
    }
}

pub fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("the caller's") })
}

/// Records, submits, reads; a bad target is no error here.
pub fn run(gpu: &Gpu, kernel: &Kernel, case: &Case, request: Request, place: Place) -> Result<Evaluation> {
    let tensors = Tensors::new(gpu, case, request, place);
    let mut encoder = encoder(gpu);
    kernel.encode(&mut encoder, case.shape, &tensors.inputs(), &tensors.outputs())?;
    gpu.queue.submit([encoder.finish()]);
    let got = tensors.read(gpu);
    gpu.check()?;
    Ok(got)
}
