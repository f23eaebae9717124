//! Optional help with devices: pick an adapter, ask for what the kernels can use, notice when a device fails.
//!
//! A program that has a device already needs none of this: [`Kernel`](super::Kernel) takes any `wgpu::Device`.

use std::sync::{Arc, Mutex, PoisonError};

use super::caps::Caps;
use super::pipeline::Pipelines;
use super::shader::Shader;
use super::staging::Download;
use crate::{Error, Result, Shape, Summary};

/// Which adapter to open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdapterChoice {
    /// The most capable: discrete before integrated before virtual before software.
    #[default]
    Best,
    /// The most capable that is not a software rasteriser.
    Hardware,
    /// By its place in [`adapters`].
    Index(usize),
    /// The first whose name, driver or backend contains this text, ignoring case.
    Named(String),
}

/// Features worth enabling where the adapter has them; all are optional.
#[must_use]
pub fn required_features(adapter: &wgpu::Adapter) -> wgpu::Features {
    use wgpu::Features;
    let mut worthwhile = Features::SUBGROUP | Features::SHADER_F16 | Features::TIMESTAMP_QUERY;
    // It loads lane after lane: the wider, the fewer loads.
    worthwhile.set(Features::SHADER_INT64, adapter.get_info().device_type == wgpu::DeviceType::Cpu);
    adapter.features() & worthwhile
}

/// Limits worth requesting: wgpu's defaults, with the adapter's own sizes of buffers, bindings and workgroups.
///
/// Everything works on default limits too, only in smaller windows.
#[must_use]
pub fn required_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
    let has = adapter.limits();
    wgpu::Limits {
        max_buffer_size: has.max_buffer_size,
        max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
        max_compute_workgroups_per_dimension: has.max_compute_workgroups_per_dimension,
        max_compute_invocations_per_workgroup: has.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: has.max_compute_workgroup_size_x,
        max_compute_workgroup_storage_size: has.max_compute_workgroup_storage_size,
        ..wgpu::Limits::default()
    }
}

/// A wgpu instance as this library likes it: settings from the environment (`WGPU_BACKEND`, ...), and no validation of
/// indirect calls, which would cap buffers at 4 GiB.
#[must_use]
pub fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    wgpu::Instance::new(descriptor)
}

/// Every adapter that can run compute shaders, the most capable first.
#[must_use]
pub fn adapters(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    pollster::block_on(adapters_async(instance))
}

async fn adapters_async(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let mut list = instance.enumerate_adapters(wgpu::Backends::all()).await;
    list.retain(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    list.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    list
}

/// A device with its queue, opened for this library, that remembers its failures instead of panicking.
pub struct Gpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// The adapter it came from.
    pub info: wgpu::AdapterInfo,
    failure: Arc<Mutex<Option<String>>>,
    pub(super) pipelines: Arc<Pipelines>,
}

impl Gpu {
    /// Opens an adapter with [`required_features`] and [`required_limits`].
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if none matches, [`Error::Device`] if the device cannot be created.
    pub fn open(choice: &AdapterChoice) -> Result<Self> {
        pollster::block_on(Self::open_async(choice))
    }

    /// As [`open`](Self::open), without blocking: for browsers.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(choice: &AdapterChoice) -> Result<Self> {
        let adapter = find(choice, adapters_async(&instance()).await)?;
        Self::with_limits_async(&adapter, required_features(&adapter), required_limits(&adapter)).await
    }

    /// Opens a device on `adapter`.
    ///
    /// # Errors
    /// [`Error::Device`] if the device cannot be created.
    pub fn from_adapter(adapter: &wgpu::Adapter) -> Result<Self> {
        Self::with_limits(adapter, required_features(adapter), required_limits(adapter))
    }

    /// Opens a device on `adapter` with features and limits of the caller's choice.
    ///
    /// # Errors
    /// [`Error::Device`] if the device cannot be created.
    pub fn with_limits(
        adapter: &wgpu::Adapter,
        required_features: wgpu::Features,
        required_limits: wgpu::Limits,
    ) -> Result<Self> {
        pollster::block_on(Self::with_limits_async(adapter, required_features, required_limits))
    }

    /// As [`with_limits`](Self::with_limits), without blocking: for browsers.
    ///
    /// # Errors
    /// As [`with_limits`](Self::with_limits).
    pub async fn with_limits_async(
        adapter: &wgpu::Adapter,
        required_features: wgpu::Features,
        required_limits: wgpu::Limits,
    ) -> Result<Self> {
        let descriptor =
            wgpu::DeviceDescriptor { label: Some("logloss"), required_features, required_limits, ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|e| Error::Device(e.to_string()))?;
        let failure = Arc::new(Mutex::new(None));
        let slot = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| remember(&slot, describe(&error))));
        let slot = failure.clone();
        device.set_device_lost_callback(move |reason, message| {
            remember(&slot, format!("device lost ({reason:?}): {message}"));
        });
        let pipelines = Arc::new(Pipelines::new(&device));
        Ok(Self { device, queue, info: adapter.get_info(), failure, pipelines })
    }

    /// Compiles every variant that the device can run, with workgroups of `lanes` invocations and with bounds checks if
    /// `checked`, and returns how many there are: a check of the driver's compiler.
    ///
    /// # Errors
    /// [`Error::Device`] with the first failure.
    pub fn compile_all(&self, lanes: u32, checked: bool, wanted: impl Fn(Shader) -> bool) -> Result<usize> {
        let count = self.pipelines.compile_all(&Caps::of(&self.device), lanes, checked, wanted);
        self.check()?;
        Ok(count)
    }

    /// Fails if the device has failed since it was opened.
    ///
    /// # Errors
    /// [`Error::Device`] with the first failure.
    pub fn check(&self) -> Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(message) => Err(Error::Device(message.clone())),
            None => Ok(()),
        }
    }

    /// The whole of a buffer, read back. Submits, and blocks until the queue has finished.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails meanwhile.
    pub fn read<T: bytemuck::Pod>(&self, buffer: &wgpu::Buffer) -> Result<Vec<T>> {
        Ok(bytemuck::pod_collect_to_vec(&self.read_back(&[(buffer, buffer.size())])?.concat()))
    }

    /// As [`read`](Self::read), without blocking: for browsers, and for programs that poll the device themselves.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async<T: bytemuck::Pod>(&self, buffer: &wgpu::Buffer) -> Result<Vec<T>> {
        Ok(bytemuck::pod_collect_to_vec(&self.arrived(self.fetch(&[(buffer, buffer.size())])).await?.concat()))
    }

    /// A [`Summary`] read back and checked. Submits, and blocks until the queue has finished.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails meanwhile, and what [`Summary::check`] says.
    pub fn read_summary(&self, buffer: &wgpu::Buffer, shape: Shape) -> Result<Summary> {
        let bytes = self.read_back(&[(buffer, size_of::<Summary>() as u64)])?.concat();
        checked_summary(Summary::from_bytes(&bytes), shape)
    }

    /// As [`read_summary`](Self::read_summary), without blocking: for browsers, and for programs that poll the device themselves.
    ///
    /// # Errors
    /// As [`read_summary`](Self::read_summary).
    pub async fn read_summary_async(&self, buffer: &wgpu::Buffer, shape: Shape) -> Result<Summary> {
        let bytes = self.arrived(self.fetch(&[(buffer, size_of::<Summary>() as u64)])).await?.concat();
        checked_summary(Summary::from_bytes(&bytes), shape)
    }

    /// The first bytes of several buffers, read to the host. Submits, and blocks until the queue has finished.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails meanwhile.
    pub fn read_back(&self, ranges: &[(&wgpu::Buffer, u64)]) -> Result<Vec<Vec<u8>>> {
        let fetched = self.fetch(ranges);
        self.wait(None)?;
        pollster::block_on(self.arrived(fetched))
    }

    /// Submits the way of the first bytes of several buffers to the host.
    fn fetch(&self, ranges: &[(&wgpu::Buffer, u64)]) -> Vec<Download> {
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logloss read back") });
        let fetched = ranges.iter().map(|&(buffer, bytes)| {
            let mut download = Download::default();
            download.fetch(&self.device, &mut encoder, buffer, bytes);
            download
        });
        let fetched = fetched.collect();
        self.queue.submit([encoder.finish()]);
        fetched
    }

    /// Waits for what was [fetched](Self::fetch). Somebody must poll the device.
    async fn arrived(&self, fetched: Vec<Download>) -> Result<Vec<Vec<u8>>> {
        let mut bytes = Vec::with_capacity(fetched.len());
        for mut download in fetched {
            bytes.push(download.take(<[u8]>::to_vec).await?);
        }
        // A lost device is nearly silent: a result counts only if no failure was reported.
        self.check()?;
        Ok(bytes)
    }

    /// Blocks until a submission, or without one the newest, has finished.
    pub(super) fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index, timeout: None };
        self.device.poll(wait).map(drop).map_err(|e| Error::Device(e.to_string()))
    }
}

/// The summary that was read back, without a bad target.
pub(super) fn checked_summary(summary: Option<Summary>, shape: Shape) -> Result<Summary> {
    let summary = summary.ok_or_else(|| Error::Device("a read back came back short".into()))?;
    summary.check(shape)?;
    Ok(summary)
}

fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => format!("{error}; use a smaller batch or the CPU engine"),
        _ => error.to_string(),
    }
}

fn remember(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}

fn find(choice: &AdapterChoice, list: Vec<wgpu::Adapter>) -> Result<wgpu::Adapter> {
    let names: Vec<_> = list.iter().map(|a| a.get_info().name).collect();
    let found = match choice {
        AdapterChoice::Best => list.into_iter().next(),
        AdapterChoice::Hardware => list.into_iter().find(|a| a.get_info().device_type != wgpu::DeviceType::Cpu),
        AdapterChoice::Index(i) => list.into_iter().nth(*i),
        AdapterChoice::Named(text) => {
            let text = text.to_lowercase();
            list.into_iter().find(|a| {
                let info = a.get_info();
                format!("{} {} {:?}", info.name, info.driver, info.backend).to_lowercase().contains(&text)
            })
        }
    };
    found.ok_or_else(|| Error::NoAdapter {
        detail: match choice {
            AdapterChoice::Best => "none at all".into(),
            AdapterChoice::Hardware => format!("no hardware adapter among {names:?}"),
            AdapterChoice::Index(i) => format!("no number {i} among {names:?}"),
            AdapterChoice::Named(text) => format!("none named {text:?} among {names:?}"),
        },
    })
}
