//! The results as tables for people.

use super::break_even::BreakEven;
use super::results::{BreakEvens, PassResult, Point, Results, Series, Transfer};
use super::statistics::Spread;
use crate::{number, report};

/// Everything, one table after the other.
pub(super) fn text(results: &Results) -> String {
    let mut parts = vec![machine(results)];
    for series in &results.series {
        for point in series.points.iter().filter(|point| point.is_given) {
            parts.extend(point.passes.iter().map(|pass| of_pass(results, series, point, pass)));
        }
    }
    if results.series.iter().any(|series| !series.break_even.is_empty()) {
        parts.push(break_even(results));
    }
    if !results.series.is_empty() {
        parts.push(reference(results));
    }
    let notes: Vec<_> = results.notes.iter().map(|note| format!("note: {note}")).collect();
    parts.extend((!notes.is_empty()).then(|| notes.join("\n")));
    parts.join("\n\n")
}

/// The machine and the device in names and values.
pub(super) fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let host = &results.host;
    let plural = if host.threads == 1 { "" } else { "s" };
    let mut rows = Vec::new();
    if let Some(device) = &results.device {
        rows.push(("device", format!("{} ({}, {})", device.name, device.kind, device.backend)));
        rows.push(("driver", device.driver.clone()));
        rows.push(("kernel time", format!("by {}", device.clock())));
    }
    rows.push(("CPU", format!("{}, {} thread{plural}, {}", host.cpu, host.threads, host.instructions)));
    if let Some(copy) = results.device_copy {
        rows.push(("device copy", format!("{} GB/s", significant(copy.median))));
    }
    rows.push(("machine copy", format!("{} GB/s", significant(results.host_copy.median))));
    rows.push(("rounds", format!("{}, after one that does not count", results.rounds)));
    rows.push(("date", results.date.clone()));
    rows.push(("version", env!("CARGO_PKG_VERSION").to_owned()));
    rows
}

fn machine(results: &Results) -> String {
    let facts = facts(results);
    let lines: Vec<_> = facts.iter().map(|(name, value)| (*name, value.clone())).collect();
    report::table(&lines)
}

fn of_pass(results: &Results, series: &Series, point: &Point, result: &PassResult) -> String {
    let shape = format!("{}x{}", point.rows, series.classes);
    let title = format!("{}, {shape}, {}: {} must move", series.name(), result.pass, megabytes(result.bytes));
    let rows = lines(point, result, results.host.threads);
    let header = ["", "median", "quartiles", "GB/s", "of copy", "CPU / this"];
    format!("{title}\n{}", report::columns(header, &rows))
}

/// What was measured of a pass, a line each: name, median, quartiles, GB/s, share of the copy, speed-up.
pub(super) fn lines(point: &Point, result: &PassResult, threads: usize) -> Vec<[String; 6]> {
    let line = |name: &str, seconds: Spread, rate: Option<f64>, share: Option<f64>, ratio: Option<f64>| {
        let quartiles = format!("{} .. {}", duration(seconds.lower_quartile), duration(seconds.upper_quartile));
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{}x", significant(ratio)));
        let share = share.map_or_else(String::new, percent);
        let rate = rate.map_or_else(String::new, significant);
        [name.to_owned(), duration(seconds.median), quartiles, rate, share, ratio]
    };
    let mut lines = Vec::new();
    if let Some(gpu) = &result.gpu {
        let (kernel, ratio) = (&gpu.kernel, &gpu.speedup);
        let (rate, share) = (kernel.gb_per_second.median, kernel.share_of_copy.median);
        lines.push(line("GPU kernel", kernel.seconds, Some(rate), Some(share), Some(ratio.kernel.median)));
        lines.push(line("GPU call", gpu.call, None, None, Some(ratio.call.median)));
        lines.push(line("with upload", gpu.with_upload, None, None, Some(ratio.with_upload.median)));
        lines.push(line("and readback", gpu.round_trip, None, None, Some(ratio.round_trip.median)));
        // A few bytes have a latency and no rate.
        let rate = |transfer: Transfer| (transfer.bytes >= 1 << 16).then_some(transfer.gb_per_second.median);
        let transfers = point.upload.map(|upload| ("upload alone", upload));
        for (name, transfer) in transfers.into_iter().chain([("readback alone", gpu.readback)]) {
            lines.push(line(name, transfer.seconds, rate(transfer), None, None));
        }
    }
    let cpu = &result.cpu;
    let (rate, share) = (cpu.gb_per_second.median, cpu.share_of_copy.median);
    let name = format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" });
    lines.push(line(&name, cpu.seconds, Some(rate), Some(share), None));
    lines
}

fn break_even(results: &Results) -> String {
    let title = "The GPU is faster than the CPU from";
    let header = ["", "classes", "pass", "logits there already", "with upload", "and readback"];
    format!("{title}\n{}", report::columns(header, &break_even_lines(results)))
}

/// From how many rows on the GPU is faster, a line a case and pass.
pub(super) fn break_even_lines(results: &Results) -> Vec<[String; 6]> {
    let of_series = |series: &Series| {
        let (name, classes) = (series.name(), number::grouped(series.classes.into()));
        let line = move |(pass, from): &(_, BreakEvens)| {
            let pass = format!("{pass}");
            let [a, b, c] = [from.call, from.with_upload, from.round_trip].map(BreakEven::words);
            [name.clone(), classes.clone(), pass, a, b, c]
        };
        series.break_even.iter().map(line).collect::<Vec<_>>()
    };
    results.series.iter().flat_map(of_series).collect()
}

fn reference(results: &Results) -> String {
    let title = "The float64 reference: forward+gradient of a small batch, on one thread";
    let header = ["", "shape", "median", "a logit", "CPU loss off by", "GPU loss off by"];
    format!("{title}\n{}", report::columns(header, &reference_lines(results)))
}

/// The reference, a line a case.
pub(super) fn reference_lines(results: &Results) -> Vec<[String; 6]> {
    let line = |series: &Series| {
        let reference = &series.reference;
        [
            series.name(),
            format!("{}x{}", reference.rows, series.classes),
            duration(reference.seconds.median),
            duration(reference.seconds_per_logit),
            format!("{:.1e}", reference.cpu_difference),
            reference.gpu_difference.map_or_else(|| "-".to_owned(), |off| format!("{off:.1e}")),
        ]
    };
    results.series.iter().map(line).collect()
}

/// Three significant digits, or all of those before the point.
pub(super) fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// A time in the unit that leaves one to three digits before the point.
pub(super) fn duration(seconds: f64) -> String {
    let (factor, unit) = match seconds {
        s if s >= 1.0 => (1.0, "s"),
        s if s >= 1e-3 => (1e3, "ms"),
        s if s >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", significant(factor * seconds))
}

/// Millions of bytes, as bandwidths count them.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", significant(1e-6 * bytes as f64))
}

pub(super) fn percent(share: f64) -> String {
    format!("{} %", significant(100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let cases =
            [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (1e-6, "1.00 µs"), (3.2e-10, "0.320 ns"), (1234.0, "1234 s")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(megabytes(262_144_000), "262 MB");
        assert_eq!(percent(0.873), "87.3 %");
    }
}
