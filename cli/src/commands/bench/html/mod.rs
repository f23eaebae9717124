//! The results as one page, which needs nothing from elsewhere.

mod bars;
mod curves;
mod scale;

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::break_even::BreakEven;
use super::case::Pass;
use super::results::{GpuResult, PassResult, Results, Series};
use super::statistics::Spread;
use super::table;
use crate::number;
use crate::whole_file::WholeFile;
use bars::Group;
use curves::{Curve, Curves, Kind};

const STYLE: &str = include_str!("page.css");

/// A page to be written.
pub(super) struct Page(WholeFile);

impl Page {
    /// Makes sure of the place before minutes are spent on what is to be written there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        WholeFile::create(path).map(Self)
    }

    /// Writes the page.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(mut self, results: &Results) -> Result<()> {
        let text = page(results).into_string();
        let written = self.0.file().write_all(text.as_bytes());
        written.map_err(|error| self.0.write_error(&error))?;
        self.0.finish()
    }
}

fn page(results: &Results) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "logloss bench, " (results.date) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "What the GPU buys" }
                    dl {
                        @for (name, value) in table::facts(results) {
                            dt { (name) }
                            dd { (value) }
                        }
                    }
                }
                main {
                    @if !results.notes.is_empty() {
                        div class="notes" { @for note in &results.notes { p { (note) "." } } }
                    }
                    @if results.series.iter().any(|series| !series.break_even.is_empty()) {
                        h2 { "The GPU is faster than the CPU from" }
                        (lines(["", "logits on the device", "with upload", "and readback"], &break_even_rows(results)))
                    }
                    @for series in &results.series { (charts(series)) }
                    @if !results.series.is_empty() {
                        h2 { "Share of a plain copy" }
                        div class="charts" { (bars::draw(&groups(results))) }
                        h2 { "All numbers" }
                        @for series in &results.series { (numbers(series, results.host.threads)) }
                        h2 { "The float64 reference" }
                        p { "Forward and gradient of a small batch on one thread, and how far the loss of the other engines is from it." }
                        (lines(["", "median", "a logit", "CPU off by", "GPU off by"], &reference_rows(results)))
                    }
                    (method(results))
                }
            }
        }
    }
}

fn charts(series: &Series) -> Markup {
    let classes = number::grouped(series.classes.into());
    html! {
        h2 { (series.name()) ", " (classes) " classes" }
        div class="charts" {
            @for (i, result) in series.points.first().into_iter().flat_map(|point| &point.passes).enumerate() {
                (times(series, i, result.pass).draw())
                (speedups(series, i, result.pass).draw())
            }
        }
    }
}

/// What a figure of pass number `i` is drawn from.
fn points(series: &Series, i: usize, value: impl Fn(&PassResult) -> Option<Spread>) -> Vec<(u32, Spread)> {
    series.points.iter().filter_map(|point| Some((point.rows, value(point.passes.get(i)?)?))).collect()
}

fn on_gpu(series: &Series, i: usize, value: impl Fn(&GpuResult) -> Spread) -> Vec<(u32, Spread)> {
    points(series, i, |result| result.gpu.as_ref().map(&value))
}

fn times(series: &Series, i: usize, pass: Pass) -> Curves<'static> {
    let curve = |kind, name: &str, points| Curve { kind, name: name.to_owned(), points, crossing: None };
    let all = vec![
        curve(Kind::Cpu, "CPU", points(series, i, |result| Some(result.cpu.seconds))),
        curve(Kind::Kernel, "GPU, kernel alone", on_gpu(series, i, |gpu| gpu.kernel.seconds)),
        curve(Kind::Upload, "GPU, with upload", on_gpu(series, i, |gpu| gpu.with_upload)),
        curve(Kind::RoundTrip, "GPU, with upload and readback", on_gpu(series, i, |gpu| gpu.round_trip)),
    ];
    Curves {
        caption: match pass {
            Pass::Forward => "Time of a forward pass",
            Pass::ForwardGradient => "Time of forward and gradient",
        },
        quantity: "time of a batch",
        words: table::duration,
        classes: series.classes,
        has_even: false,
        curves: all.into_iter().filter(|curve| !curve.points.is_empty()).collect(),
    }
}

fn speedups(series: &Series, i: usize, pass: Pass) -> Curves<'static> {
    let from = series.break_even.iter().find(|(of, _)| *of == pass).map(|(_, from)| from);
    let curve = |kind, name: &str, points, from: Option<BreakEven>| {
        let words = from.map_or_else(String::new, |from| format!(": {}", from.words()));
        let crossing = from.and_then(|from| match from {
            BreakEven::At(rows) => Some(rows),
            BreakEven::FromTheFirst(_) | BreakEven::Never(_) => None,
        });
        Curve { kind, name: format!("{name}{words}"), points, crossing }
    };
    let all = vec![
        curve(Kind::Kernel, "logits on the device", on_gpu(series, i, |gpu| gpu.speedup.call), from.map(|f| f.call)),
        curve(
            Kind::Upload,
            "with upload",
            on_gpu(series, i, |gpu| gpu.speedup.with_upload),
            from.map(|f| f.with_upload),
        ),
        curve(
            Kind::RoundTrip,
            "with upload and readback",
            on_gpu(series, i, |gpu| gpu.speedup.round_trip),
            from.map(|f| f.round_trip),
        ),
    ];
    Curves {
        caption: match pass {
            Pass::Forward => "Speed-up of a forward pass, and break-even",
            Pass::ForwardGradient => "Speed-up of forward and gradient, and break-even",
        },
        quantity: "time of the CPU over that of the GPU",
        words: |ratio| format!("{}×", table::significant(ratio)),
        classes: series.classes,
        has_even: true,
        curves: all.into_iter().filter(|curve| !curve.points.is_empty()).collect(),
    }
}

fn groups(results: &Results) -> Vec<Group> {
    let mut groups = Vec::new();
    for series in &results.series {
        for point in series.points.iter().filter(|point| point.is_given) {
            for result in &point.passes {
                let shape =
                    format!("{}×{}", number::grouped(point.rows.into()), number::grouped(series.classes.into()));
                let kernel = result.gpu.as_ref().map(|gpu| (Kind::Kernel, gpu.kernel));
                groups.push(Group {
                    title: format!("{}, {shape}, {}", series.name(), result.pass),
                    bars: kernel.into_iter().chain([(Kind::Cpu, result.cpu)]).collect(),
                });
            }
        }
    }
    groups
}

fn break_even_rows(results: &Results) -> Vec<[String; 4]> {
    let rows = table::break_even_lines(results).into_iter();
    rows.map(|[name, classes, pass, a, b, c]| [format!("{name}, {classes} classes, {pass}"), a, b, c]).collect()
}

fn reference_rows(results: &Results) -> Vec<[String; 5]> {
    let rows = table::reference_lines(results).into_iter();
    rows.map(|[name, shape, a, b, c, d]| [format!("{name}, {shape}"), a, b, c, d]).collect()
}

fn lines<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Markup {
    html! {
        table {
            thead { tr { @for name in header { th { (name) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        }
    }
}

fn numbers(series: &Series, threads: usize) -> Markup {
    html! {
        table {
            thead {
                tr { th {} th { "median" small { "quartiles" } } th { "GB/s" } th { "of copy" } th { "CPU / this" } }
            }
            @for point in &series.points {
                @for result in &point.passes {
                    tbody {
                        tr {
                            th colspan="5" {
                                (series.name()) ", " (number::grouped(point.rows.into())) "×" (number::grouped(series.classes.into()))
                                ", " (result.pass) ": " (table::megabytes(result.bytes)) " must move"
                            }
                        }
                        @for [name, median, quartiles, rate, share, ratio] in table::lines(point, result, threads) {
                            tr { td { (name) } td { (median) small { (quartiles) } } td { (rate) } td { (share) } td { (ratio) } }
                        }
                    }
                }
            }
        }
    }
}

fn method(results: &Results) -> Markup {
    html! {
        h2 { "How it was measured" }
        p {
            "Rounds went through everything that is compared, in turn: a plain copy on the machine and on the device, the upload, and "
            "for every pass the CPU engine, the GPU and the readback. One round went before and does not count. What is shown are "
            "medians over " (results.rounds) " rounds, of ratios as of times, and the quartiles: a ratio is taken within a round."
        }
        @if let Some(device) = &results.device {
            p {
                @if device.has_clock {
                    "The kernel's time is the device's own, from time stamps around its commands; over a long copy it was found to "
                    "agree with the host's clock. "
                } @else {
                    "The kernel's time is the host's, from submission until the device is idle: the device has no clock that can be "
                    "trusted. "
                }
                "A call is recording, submitting and waiting, where the logits are on the device already; with upload they come from a slice "
                "of the host; and with readback the loss and the gradient return there. Where many calls are submitted before "
                "one is waited for, the kernel's time is what counts."
            }
        }
        p {
            "Bytes that must move are each logit and each target read once and each entry of the gradient written once. The copy "
            "reads and writes " (number::bytes(results.copy_bytes)) ", and counts both. A pass that only reads may exceed it, for memory reads faster than it "
            "writes; so may a batch that fits a cache. The CPU engine ran on " (results.host.threads) " threads."
        }
        p {
            "The break-even lies between two numbers of rows that were measured; between these, the logarithm of the speed-up "
            "is taken to be linear in that of the rows."
        }
    }
}
