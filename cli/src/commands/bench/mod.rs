//! `logloss bench`: what the GPU buys, in rounds that go through kernel, transfers, CPU engine and plain copies in turn.
//!
//! | file | what |
//! | --- | --- |
//! | `case`, `data` | what is measured, and on what |
//! | `device`, `device_copy`, `gpu` | the device with its clock, its yardstick, its side of a case |
//! | `host`, `cpu` | the same of the machine |
//! | `measure`, `statistics`, `break_even` | rounds, and what follows from them |
//! | `results`, then `table`, `json`, `html` | what is said of it |

mod arguments;
mod break_even;
mod case;
mod cpu;
mod data;
mod device;
mod device_copy;
mod gpu;
mod host;
mod html;
mod json;
mod measure;
mod results;
mod statistics;
mod table;

use logloss::cpu::Instructions;
use logloss::{Error, Shape};

use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::loss::{Loss, LossOptions};
use crate::{number, output, progress};
pub use arguments::Arguments;
use case::{Case, Pass, ladder};
use cpu::CpuSubject;
use data::Data;
use device::Device;
use gpu::GpuSubject;
use host::{Host, HostCopy};
use html::Page;
use measure::{Bench, Subject};
use results::{HostFacts, Results};
use statistics::Spread;

/// Bytes of the array that the yardsticks copy: more than caches hold, unless there is little time.
const COPY_BYTES: u64 = 256 << 20;
const QUICK_COPY_BYTES: u64 = 16 << 20;

/// Measures and reports.
///
/// # Errors
/// See the exit codes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let losses = arguments.losses();
    let losses: Vec<_> =
        losses.into_iter().map(|name| Loss::new(name, &LossOptions::default())).collect::<Outcome<_>>()?;
    let page = arguments.html.as_deref().map(Page::create).transpose()?;
    let interrupt = Interrupt::listen()?;
    let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut host = Host::new(arguments.threads)?;
    let wanted = if arguments.quick { QUICK_COPY_BYTES } else { COPY_BYTES };
    let copy_bytes = wanted.min(host.free_memory() / 8).max(1 << 20);
    let mut notes = Vec::new();
    if cfg!(debug_assertions) {
        notes.push(
            "this program was built without optimisation, and the CPU engine is many times slower for it".to_owned(),
        );
    }
    let device = Device::open(arguments.adapter().as_ref(), copy_bytes)?;
    if device.is_none() {
        notes.push("there is no GPU: the CPU engine alone was measured ('logloss devices' lists adapters)".to_owned());
    }
    let host_copy = HostCopy::new(usize::try_from(copy_bytes).unwrap_or(1 << 20));

    let passes = arguments.passes();
    let mut plans = Vec::new();
    for loss in &losses {
        for dtype in arguments.dtypes() {
            for (classes, given) in by_classes(&arguments.shapes()) {
                let case = Case { loss, dtype, classes };
                let fits = |&rows: &u32| match fits(&case, &passes, rows, device.as_ref(), &mut host) {
                    Ok(()) => true,
                    Err(why) => {
                        notes.push(format!("{} {dtype} {rows}x{classes} was left out: {why}", loss.name));
                        false
                    }
                };
                let given: Vec<u32> = given.into_iter().filter(fits).collect();
                let rows: Vec<_> =
                    ladder(&given, arguments.quick).into_iter().map(|r| (r, given.contains(&r))).collect();
                if !rows.is_empty() {
                    plans.push((case, rows));
                }
            }
        }
    }
    // A step a round of every number of rows, and of the reference.
    let steps = plans.iter().map(|(_, rows)| rows.len() + 1).sum::<usize>() * (arguments.rounds() + 1);
    let bar = progress::steps(steps as u64, arguments.quiet);
    let mut bench = Bench {
        host: &host,
        device: device.as_ref(),
        host_copy,
        passes: &passes,
        rounds: arguments.rounds(),
        interrupt: &interrupt,
        bar: &bar,
        host_copies: Vec::new(),
        device_copies: Vec::new(),
    };
    let mut series = Vec::new();
    for (case, rows) in &plans {
        bar.set_message(format!("{} {}  preparing {} classes", case.loss.name, case.dtype, case.classes));
        let mut subject = prepare(case, rows, &bench, &mut notes)?;
        series.push(bench.series(case, rows, &mut subject)?);
    }
    bar.finish_and_clear();
    let Bench { host_copies, device_copies, .. } = bench;
    let results = Results {
        date,
        host: HostFacts {
            cpu: host.cpu.clone(),
            threads: host.threads(),
            instructions: format!("{:?}", Instructions::best()),
        },
        device: device.as_ref().map(Device::facts),
        rounds: arguments.rounds(),
        host_copy: Spread::of(host_copies),
        device_copy: (!device_copies.is_empty()).then(|| Spread::of(device_copies)),
        copy_bytes,
        series,
        notes,
    };
    if let Some(page) = page {
        page.finish(&results)?;
    }
    if arguments.json {
        results.notes.iter().for_each(|note| output::note(format_args!("note: {note}")));
        return output::result(json::text(&results));
    }
    output::result(table::text(&results))
}

/// The row counts of each number of classes, in the order of the shapes.
fn by_classes(shapes: &[Shape]) -> Vec<(u32, Vec<u32>)> {
    let mut all: Vec<(u32, Vec<u32>)> = Vec::new();
    for shape in shapes {
        match all.iter_mut().find(|(classes, _)| *classes == shape.classes) {
            Some((_, rows)) => rows.push(shape.rows),
            None => all.push((shape.classes, vec![shape.rows])),
        }
    }
    all
}

/// Whether so many rows fit the machine's memory and the library's limits; else why not.
fn fits(case: &Case<'_>, passes: &[Pass], rows: u32, device: Option<&Device>, host: &mut Host) -> Result<(), String> {
    case.layout(rows).map_err(|error| error.to_string())?;
    let gradient = if passes.iter().any(|pass| pass.has_gradient()) { case.logits_bytes(rows) } else { 0 };
    let batch = case.upload_bytes(rows).saturating_add(gradient);
    let on_device = device.filter(|device| device.can_hold(case, rows).is_ok());
    // Staging on the way there, and staging and a slice on the way back.
    let transfers = on_device.map_or(0, |_| case.upload_bytes(rows).saturating_add(gradient.saturating_mul(2)));
    let shared = on_device.filter(|device| device.shares_memory()).map_or(0, |_| batch);
    let (needs, has) = (batch.saturating_add(transfers).saturating_add(shared), host.free_memory());
    if needs <= has {
        return Ok(());
    }
    Err(format!("it needs {} of memory, and {} can be had", number::bytes(needs), number::bytes(has)))
}

/// Draws the data and makes room for the most rows; on the device for as many as it takes.
fn prepare<'g>(
    case: &Case<'_>,
    rows: &[(u32, bool)],
    bench: &Bench<'g>,
    notes: &mut Vec<String>,
) -> Outcome<Subject<'g>> {
    let most = rows.last().map_or(1, |&(rows, _)| rows);
    let data = bench.host.pool.install(|| Data::new(case, most));
    let cpu = CpuSubject::new(case, bench.passes, most);
    let mut gpu = None;
    for &(rows, _) in rows.iter().rev() {
        let Some(device) = bench.device else { break };
        let why = match device.can_hold(case, rows) {
            Err(why) => why,
            Ok(()) => match GpuSubject::new(&device.gpu, case, bench.passes, rows) {
                Ok(subject) => {
                    gpu = Some((subject, rows));
                    break;
                }
                Err(error @ (Error::TooLarge { .. } | Error::Device(_))) => error.to_string(),
                Err(error) => return Err(error.into()),
            },
        };
        device.gpu.check().map_err(Failure::from)?;
        let Case { loss, dtype, classes } = case;
        notes.push(format!("{} {dtype} {rows}x{classes} was left out on the GPU: {why}", loss.name));
    }
    Ok(Subject { data, cpu, gpu })
}
