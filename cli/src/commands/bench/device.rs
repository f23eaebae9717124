//! The device of a run: opened, its clock tried, and a copy to measure it against.

use logloss::gpu::{AdapterChoice, Gpu};
use logloss::wgpu::DeviceType;
use logloss::{Error, wgpu};
use logloss_yardsticks::Clock;

use super::case::Case;
use super::device_copy::DeviceCopy;
use super::results::DeviceFacts;
use crate::commands::devices;
use crate::failure::Outcome;

/// The device that is measured.
pub(super) struct Device {
    pub gpu: Gpu,
    pub clock: Clock,
    pub copy: DeviceCopy,
}

impl Device {
    /// Opens an adapter; none if there is none and none was asked for.
    ///
    /// # Errors
    /// There is no such adapter, or its device cannot be opened.
    pub fn open(choice: Option<&AdapterChoice>, copy_bytes: u64) -> Outcome<Option<Self>> {
        let gpu = match Gpu::open(choice.unwrap_or(&AdapterChoice::Best)) {
            Err(Error::NoAdapter { .. }) if choice.is_none() => return Ok(None),
            opened => opened?,
        };
        let copy = DeviceCopy::new(&gpu, copy_bytes)?;
        gpu.check()?;
        let clock = trusted_clock(&gpu, &copy)?;
        Ok(Some(Self { gpu, clock, copy }))
    }

    pub fn facts(&self) -> DeviceFacts {
        let info = &self.gpu.info;
        DeviceFacts {
            name: info.name.clone(),
            kind: devices::type_name(info),
            backend: info.backend.to_string(),
            driver: devices::driver(info),
            has_clock: self.clock.is_of_device(),
        }
    }

    /// Whether its memory is the machine's.
    pub fn shares_memory(&self) -> bool {
        matches!(self.gpu.info.device_type, DeviceType::Cpu | DeviceType::IntegratedGpu)
    }

    /// Whether the buffers of a case are within the device's limits. Its memory is another matter, which only a try can tell.
    pub fn can_hold(&self, case: &Case<'_>, rows: u32) -> Result<(), String> {
        let wgpu::Limits { max_buffer_size, .. } = self.gpu.device.limits();
        match case.logits_bytes(rows).max(case.targets_bytes(rows)) {
            bytes if bytes.checked_next_multiple_of(16).is_some_and(|bytes| bytes <= max_buffer_size) => Ok(()),
            bytes => Err(format!(
                "a buffer of {} exceeds the device's {}",
                crate::number::bytes(bytes),
                crate::number::bytes(max_buffer_size)
            )),
        }
    }
}

/// The device's clock, if what it says of a long copy agrees with the host's: one that stops before the commands are done, or has
/// no meaning at all, would make a kernel look fast.
fn trusted_clock(gpu: &Gpu, copy: &DeviceCopy) -> logloss::Result<Clock> {
    let clock = Clock::new(gpu);
    if !clock.is_of_device() {
        return Ok(clock);
    }
    // A gigabyte takes much longer than to submit it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of times")]
    let times = (1e9 / copy.traffic()).ceil().clamp(1.0, 64.0) as u32;
    copy.run(gpu, &clock, 1)?;
    let lap = copy.run(gpu, &clock, times)?;
    let agrees = lap.device > 0.25 * lap.call && lap.device <= 1.05 * lap.call;
    Ok(if agrees { clock } else { Clock::of_host() })
}
