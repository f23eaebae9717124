//! What was measured, as the table, the JSON object and the page show it.

use logloss::DType;

use super::break_even::BreakEven;
use super::case::Pass;
use super::statistics::Spread;
use crate::loss::LossName;

/// A whole run.
#[derive(Debug)]
pub(super) struct Results {
    /// When it began, in UTC, as RFC 3339 writes it.
    pub date: String,
    pub host: HostFacts,
    /// None where there is no adapter.
    pub device: Option<DeviceFacts>,
    /// Rounds that count, after one that does not.
    pub rounds: usize,
    /// GB/s of the plain copy on the machine, read and write, over all rounds.
    pub host_copy: Spread,
    /// The same on the device.
    pub device_copy: Option<Spread>,
    /// Bytes of the array that is copied on the machine.
    pub copy_bytes: u64,
    pub series: Vec<Series>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// The machine.
#[derive(Debug)]
pub(super) struct HostFacts {
    pub cpu: String,
    pub threads: usize,
    /// The vector instructions of the CPU engine.
    pub instructions: String,
}

/// The device.
#[derive(Debug, Clone)]
pub(super) struct DeviceFacts {
    pub name: String,
    pub kind: &'static str,
    pub backend: String,
    pub driver: String,
    /// Whether kernels are timed by the device's own clock.
    pub has_clock: bool,
}

impl DeviceFacts {
    /// What the time of a kernel is.
    pub const fn clock(&self) -> &'static str {
        if self.has_clock { "timestamp queries" } else { "submission until idle" }
    }
}

/// A loss of logits of one element type and class count, from few rows to many.
#[derive(Debug)]
pub(super) struct Series {
    pub loss: LossName,
    pub dtype: DType,
    pub classes: u32,
    /// Ascending.
    pub points: Vec<Point>,
    /// By pass.
    pub break_even: Vec<(Pass, BreakEvens)>,
    pub reference: Reference,
}

impl Series {
    /// The loss and the element type.
    pub fn name(&self) -> String {
        format!("{}, {}", self.loss, self.dtype)
    }
}

/// From how many rows on the GPU is faster than the CPU engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BreakEvens {
    /// Where the logits are on the device already.
    pub call: BreakEven,
    /// Where they come from the host.
    pub with_upload: BreakEven,
    /// Where the results go back there, too.
    pub round_trip: BreakEven,
}

/// The float64 reference on a small batch, and how far the engines are from it.
#[derive(Debug)]
pub(super) struct Reference {
    pub rows: u32,
    /// Of loss and gradient, on one thread.
    pub seconds: Spread,
    pub seconds_per_logit: f64,
    /// Of the loss, relative.
    pub cpu_difference: f64,
    pub gpu_difference: Option<f64>,
}

/// One number of rows.
#[derive(Debug)]
pub(super) struct Point {
    pub rows: u32,
    /// Whether it was asked for, and is not there for the sake of the break-even alone.
    pub is_given: bool,
    pub upload: Option<Transfer>,
    pub passes: Vec<PassResult>,
}

/// One pass.
#[derive(Debug)]
pub(super) struct PassResult {
    pub pass: Pass,
    /// Bytes that the result cannot be had without.
    pub bytes: u64,
    pub cpu: Speed,
    pub gpu: Option<GpuResult>,
}

/// A time, and what it means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speed {
    pub seconds: Spread,
    /// Of the bytes that must move.
    pub gb_per_second: Spread,
    /// Of the plain copy in the same round.
    pub share_of_copy: Spread,
}

/// Bytes between host and device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    pub bytes: u64,
    pub seconds: Spread,
    pub gb_per_second: Spread,
}

/// A pass on the device.
#[derive(Debug)]
pub(super) struct GpuResult {
    pub kernel: Speed,
    pub call: Spread,
    pub readback: Transfer,
    /// Seconds of upload and call.
    pub with_upload: Spread,
    /// Seconds of upload, call and readback.
    pub round_trip: Spread,
    /// How many times as long the CPU engine takes.
    pub speedup: Speedups,
}

/// The time of the CPU engine over that of the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speedups {
    pub kernel: Spread,
    pub call: Spread,
    pub with_upload: Spread,
    pub round_trip: Spread,
}
