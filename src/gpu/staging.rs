//! Ways to the device and back, kept from batch to batch: each has an end that the host maps and one that the kernels use.

use wgpu::{BufferUsages, MapMode};

use super::answer::Answer;
use crate::{Error, Result};

/// A buffer that grows.
#[derive(Default)]
pub(super) struct Growing(Option<wgpu::Buffer>);

impl Growing {
    /// The buffer, made anew where it is shorter than `bytes`, and whether it was.
    pub fn reserve(
        &mut self,
        device: &wgpu::Device,
        label: &'static str,
        bytes: u64,
        usage: BufferUsages,
    ) -> (&wgpu::Buffer, bool) {
        let bytes = bytes.max(16).next_multiple_of(16);
        let grows = self.bytes() < bytes;
        if grows {
            // The old one goes first: there are never both.
            self.0 = None;
        }
        let buffer = self.0.get_or_insert_with(|| {
            let mapped_at_creation = usage.contains(BufferUsages::MAP_WRITE);
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation })
        });
        (buffer, grows)
    }

    /// Its size; 0 of none.
    pub fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, wgpu::Buffer::size)
    }
}

/// A mapping that was asked for.
struct Mapping(Answer<std::result::Result<(), wgpu::BufferAsyncError>>);

impl Mapping {
    /// Maps the first `bytes` bytes of a buffer once `encoder` is submitted and the device is done with it.
    fn after(encoder: &wgpu::CommandEncoder, buffer: &wgpu::Buffer, mode: MapMode, bytes: u64) -> Self {
        let (give, answer) = Answer::new();
        encoder.map_buffer_on_submit(buffer, mode, ..bytes, give);
        Self(answer)
    }

    /// Waits until the submission has finished.
    async fn done(self) -> Result<()> {
        match self.0.given().await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(Error::Device("a buffer could not be mapped".into())),
            None => Err(Error::Device("a submission never finished".into())),
        }
    }
}

/// A tensor's way to the device.
#[derive(Default)]
pub(super) struct Upload {
    host: Growing,
    device: Growing,
    /// What was written and not sent, in bytes.
    written: u64,
    /// Of the host's end; none where it is mapped, or not there yet.
    mapping: Option<Mapping>,
}

impl Upload {
    /// Writes `data` into memory that the device copies from, and returns the buffer that it is to go to.
    ///
    /// # Errors
    /// [`Error::Device`] if the device has failed, or what was sent before has not arrived.
    pub async fn write(&mut self, device: &wgpu::Device, label: &'static str, data: &[u8]) -> Result<wgpu::Buffer> {
        // Copies are made of whole words: an odd number of 16-bit elements ends in half of one.
        let bytes = (data.len() as u64).next_multiple_of(4);
        let (host, is_new) = self.host.reserve(device, label, bytes, BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC);
        // A new buffer is born mapped.
        if let Some(mapping) = self.mapping.take().filter(|_| !is_new) {
            mapping.done().await?;
        }
        if !data.is_empty() {
            let mut view = host.get_mapped_range_mut(..bytes).map_err(|e| Error::Device(e.to_string()))?;
            view.slice(..data.len()).copy_from_slice(data);
            view.slice(data.len()..).fill(0);
        }
        self.written = bytes;
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        Ok(self.device.reserve(device, label, bytes, usage).0.clone())
    }

    /// Records the way of what was written. `encoder` must be submitted.
    pub fn send(&mut self, encoder: &mut wgpu::CommandEncoder) {
        let bytes = std::mem::take(&mut self.written);
        if let (Some(host), Some(device), 1..) = (&self.host.0, &self.device.0, bytes) {
            host.unmap();
            encoder.copy_buffer_to_buffer(host, 0, device, 0, bytes);
            self.mapping = Some(Mapping::after(encoder, host, MapMode::Write, host.size()));
        }
    }

    /// Bytes of both ends.
    pub fn bytes(&self) -> u64 {
        self.host.bytes() + self.device.bytes()
    }
}

/// A tensor's way back to the host.
#[derive(Default)]
pub(super) struct Download {
    host: Growing,
    bytes: u64,
    mapping: Option<Mapping>,
}

impl Download {
    /// Records the way of the first `bytes` bytes of a buffer. `encoder` must be submitted.
    pub fn fetch(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        bytes: u64,
    ) {
        self.bytes = bytes;
        // Copies are made of whole words.
        let words = bytes.next_multiple_of(4);
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let (host, _) = self.host.reserve(device, "logloss read back", words, usage);
        if words > 0 {
            encoder.copy_buffer_to_buffer(from, 0, host, 0, words);
            self.mapping = Some(Mapping::after(encoder, host, MapMode::Read, words));
        }
    }

    /// What came back, once the submission has finished. Nothing does twice.
    ///
    /// # Errors
    /// [`Error::Device`] if the device has failed.
    pub async fn take<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let (Some(host), Some(mapping)) = (&self.host.0, self.mapping.take()) else { return Ok(read(&[])) };
        mapping.done().await?;
        let view = host.get_mapped_range(..self.bytes.next_multiple_of(4)).map_err(|e| Error::Device(e.to_string()))?;
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(view.len());
        let value = read(&view[..bytes]);
        drop(view);
        host.unmap();
        Ok(value)
    }

    /// Bytes of the host's end.
    pub fn bytes(&self) -> u64 {
        self.host.bytes()
    }
}
