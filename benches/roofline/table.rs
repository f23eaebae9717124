//! The tables, as text while they grow and as JSON at the end.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::arguments::Dimensions;
use crate::rounds::{Opponent, Rounds};
use crate::subject::{Bench, Pass, Subject};

/// Everything that was printed.
pub struct Table {
    device: Value,
    rows: Vec<Value>,
    decades: Vec<Value>,
}

impl Table {
    pub fn new(bench: &Bench<'_>) -> Self {
        let info = &bench.gpu.info;
        let clock = if bench.clock.is_of_device() { "timestamp queries" } else { "submission until idle" };
        let backend = format!("{:?}", info.backend);
        println!("{} ({backend}, {} {}), {clock}", info.name, info.driver, info.driver_info);
        println!(
            "{:>16} {:>8}  {:<36} {:>10} {:>8} {:>8} {:>8} {:>8} {:>9}",
            "shape", "type", "pass", "median ms", "MB", "GB/s", "of load", "of copy", "of ours"
        );
        let device = json!({
            "name": info.name, "backend": backend, "driver": info.driver, "driver_info": info.driver_info, "clock": clock,
        });
        Self { device, rows: Vec::new(), decades: Vec::new() }
    }

    /// A batch: GB/s of the bytes that must move, and the shares of the yardsticks' GB/s in the same rounds.
    pub fn add(
        &mut self,
        dimensions: &Dimensions,
        subject: &Subject<'_>,
        rounds: &Rounds,
        opponent: Option<&Opponent<'_>>,
    ) {
        let (shape, dtype) = (dimensions.to_string(), subject.dtype.name());
        let bytes = |pass: Pass| pass.bytes(&subject.layout, subject.dtype);
        for pass in Pass::ALL {
            let seconds = rounds.median(pass, pass, |time, _| time);
            let share =
                |of: Pass| rounds.median(pass, of, |time, yardstick| bytes(pass) / time / (bytes(of) / yardstick));
            let (rate, of_load, of_copy) = (1e-9 * bytes(pass) / seconds, share(Pass::Load), share(Pass::Copy));
            println!(
                "{shape:>16} {dtype:>8}  {:<36} {:>10.3} {:>8.1} {rate:>8.2} {:>7.1}% {:>7.1}%",
                pass.name(),
                1e3 * seconds,
                1e-6 * bytes(pass),
                100.0 * of_load,
                100.0 * of_copy,
            );
            self.rows.push(json!({
                "shape": shape, "dtype": dtype, "pass": pass.name(), "seconds": seconds, "bytes": bytes(pass),
                "gb_per_second": rate, "share_of_load": of_load, "share_of_copy": of_copy,
            }));
        }
        let Some(opponent) = opponent else { return };
        for (i, entry) in opponent.entries.iter().enumerate() {
            let pass = if entry.gradient { Pass::Gradient } else { Pass::Forward };
            let seconds = rounds.median_of_opponent(i, pass, |theirs, _| theirs);
            let ratio = rounds.median_of_opponent(i, pass, |theirs, ours| theirs / ours);
            let who = format!("PyTorch {}, {}", entry.variant, pass.name());
            println!(
                "{shape:>16} {dtype:>8}  {who:<36} {:>10.3} {:>8.1} {:>8.2} {:>8} {:>8} {ratio:>9.2}",
                1e3 * seconds,
                1e-6 * bytes(pass),
                1e-9 * bytes(pass) / seconds,
                "",
                "",
            );
            self.rows.push(json!({
                "shape": shape, "dtype": dtype, "who": opponent.name(), "variant": entry.variant, "pass": pass.name(),
                "seconds": seconds, "times_ours": ratio,
            }));
        }
    }

    /// A batch of the decades: linear cost is a constant time a logit.
    pub fn add_decade(&mut self, dimensions: &Dimensions, subject: &Subject<'_>, rounds: &Rounds) {
        if self.decades.is_empty() {
            println!("\n{:>16} {:>14} {:>14} {:>14}  ns a logit", "shape", "load only", "forward", "with gradient");
        }
        let logits = subject.layout.elements() as f64;
        let [load, forward, gradient] =
            [Pass::Load, Pass::Forward, Pass::Gradient].map(|pass| rounds.median(pass, pass, |time, _| time) / logits);
        println!(
            "{:>16} {:>14.4} {:>14.4} {:>14.4}",
            dimensions.to_string(),
            1e9 * load,
            1e9 * forward,
            1e9 * gradient
        );
        self.decades.push(json!({
            "shape": dimensions.to_string(), "seconds_per_logit":
            { "load": load, "forward": forward, "gradient": gradient },
        }));
    }

    /// A batch that was not measured.
    pub fn leave_out(&mut self, dimensions: &Dimensions, dtype: logloss::DType, reason: &anyhow::Error) {
        let (shape, dtype, reason) = (dimensions.to_string(), dtype.name(), format!("{reason:#}"));
        println!("{shape:>16} {dtype:>8}  left out: {reason}");
        self.rows.push(json!({ "shape": shape, "dtype": dtype, "left_out": reason }));
    }

    /// # Errors
    /// The file cannot be written.
    pub fn write(self, path: &Path) -> Result<()> {
        let all = json!({ "device": self.device, "rows": self.rows, "decades": self.decades });
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n").with_context(|| path.display().to_string())
    }
}
