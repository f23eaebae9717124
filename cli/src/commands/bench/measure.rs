//! Rounds through everything that is compared, so that a machine that drifts moves all of it.

use indicatif::ProgressBar;
use logloss::Layout;
use logloss_yardsticks::{Clock, Lap};

use super::break_even::{BreakEven, Times};
use super::case::{Case, Pass};
use super::cpu::CpuSubject;
use super::data::Data;
use super::device::Device;
use super::gpu::GpuSubject;
use super::host::{Host, HostCopy, seconds};
use super::results::{BreakEvens, GpuResult, PassResult, Point, Reference, Series, Speed, Speedups, Transfer};
use super::statistics::Spread;
use crate::failure::Outcome;
use crate::interrupt::Interrupt;

/// Logits of the batch that the reference computes.
const REFERENCE_LOGITS: u32 = 1 << 15;

/// What every case is measured with.
pub(super) struct Bench<'a> {
    pub host: &'a Host,
    pub device: Option<&'a Device>,
    pub host_copy: HostCopy,
    pub passes: &'a [Pass],
    pub rounds: usize,
    pub interrupt: &'a Interrupt,
    pub bar: &'a ProgressBar,
    /// GB/s of the copies of every round that counted.
    pub host_copies: Vec<f64>,
    pub device_copies: Vec<f64>,
}

/// A case that is ready to be measured.
pub(super) struct Subject<'g> {
    pub data: Data,
    pub cpu: CpuSubject,
    /// And the most rows that it has room for.
    pub gpu: Option<(GpuSubject<'g>, u32)>,
}

/// What one round took, in seconds.
struct Round {
    host_copy: f64,
    device_copy: Option<f64>,
    upload: Option<f64>,
    passes: Vec<PassRound>,
}

struct PassRound {
    cpu: f64,
    gpu: Option<(Lap, f64)>,
}

impl Bench<'_> {
    /// Measures a case with each of these numbers of rows, ascending.
    ///
    /// # Errors
    /// The device fails, or the user asks to stop.
    pub fn series(&mut self, case: &Case<'_>, rows: &[(u32, bool)], subject: &mut Subject<'_>) -> Outcome<Series> {
        let mut points = Vec::new();
        for &(rows, is_given) in rows {
            self.bar.set_message(format!("{} {}  {rows}x{}", case.loss.name, case.dtype, case.classes));
            points.push(self.point(case, rows, is_given, subject)?);
        }
        let most = rows.last().map_or(1, |&(rows, _)| rows);
        let reference = self.reference(case, most, subject)?;
        let break_even = self.passes.iter().filter_map(|&pass| Some((pass, break_evens(&points, pass)?))).collect();
        let (loss, dtype, classes) = (case.loss.name, case.dtype, case.classes);
        Ok(Series { loss, dtype, classes, points, break_even, reference })
    }

    fn point(&mut self, case: &Case<'_>, rows: u32, is_given: bool, subject: &mut Subject<'_>) -> Outcome<Point> {
        let layout = case.layout(rows)?;
        let mut rounds = Vec::with_capacity(self.rounds);
        for number in 0..=self.rounds {
            self.interrupt.check()?;
            let round = self.round(case, layout, subject)?;
            self.bar.inc(1);
            // The first compiles, touches fresh memory and wakes the processors.
            if number > 0 {
                rounds.push(round);
            }
        }
        self.host_copies.extend(rounds.iter().map(|r| 1e-9 * self.host_copy.traffic() / r.host_copy));
        let device_traffic = self.device.map_or(f64::NAN, |device| device.copy.traffic());
        self.device_copies.extend(rounds.iter().filter_map(|r| Some(1e-9 * device_traffic / r.device_copy?)));
        let host_traffic = self.host_copy.traffic();
        let passes = self.passes.iter().enumerate().map(|(i, &pass)| {
            let bytes = case.bytes(pass, rows);
            let of_pass = |round: &Round| round.passes.get(i).map(|p| p.cpu);
            let cpu = Speed::of(bytes, &rounds, |r| Some((of_pass(r)?, host_traffic / r.host_copy)));
            PassResult { pass, bytes, cpu, gpu: gpu_result(case, rows, pass, &rounds, i, device_traffic) }
        });
        let passes = passes.collect();
        let upload = Transfer::of(case.upload_bytes(rows), rounds.iter().filter_map(|r| r.upload));
        Ok(Point { rows, is_given, upload, passes })
    }

    fn round(&mut self, case: &Case<'_>, layout: Layout, subject: &mut Subject<'_>) -> Outcome<Round> {
        let (host, rows) = (self.host, layout.rows());
        let host_copy = host.pool.install(|| {
            seconds(|| {
                self.host_copy.run(host.threads());
                Ok::<_, logloss::Error>(())
            })
        })?;
        let gpu = self.device.zip(subject.gpu.as_ref().filter(|(_, most)| rows <= *most).map(|(gpu, _)| gpu));
        let (mut device_copy, mut upload) = (None, None);
        if let Some((device, gpu)) = gpu {
            device_copy = Some(device.copy.run(&device.gpu, &device.clock, 1)?.device);
            upload = Some(gpu.upload(&subject.data, layout)?);
        }
        let mut passes = Vec::new();
        for &pass in self.passes {
            let (cpu, _) = subject.cpu.run(host, &subject.data, pass, layout)?;
            let gpu = match gpu {
                Some((device, gpu)) => {
                    let lap = gpu.run(&device.clock, pass, layout)?;
                    Some((lap, gpu.read_back(case, pass, rows)?))
                }
                None => None,
            };
            passes.push(PassRound { cpu, gpu });
        }
        Ok(Round { host_copy, device_copy, upload, passes })
    }

    fn reference(&self, case: &Case<'_>, most: u32, subject: &mut Subject<'_>) -> Outcome<Reference> {
        let rows = (REFERENCE_LOGITS / case.classes).clamp(1, most);
        let layout = case.layout(rows)?;
        let mut times = Vec::new();
        let mut loss = f64::NAN;
        for number in 0..=self.rounds {
            self.interrupt.check()?;
            let (taken, value) = subject.cpu.run_reference(&subject.data, layout)?;
            loss = value;
            if number > 0 {
                times.push(taken);
            }
            self.bar.inc(1);
        }
        let difference = |value: f64| (value - loss).abs() / loss.abs().max(f64::MIN_POSITIVE);
        let pass = self.passes.first().copied().unwrap_or(Pass::Forward);
        let (_, cpu) = subject.cpu.run(self.host, &subject.data, pass, layout)?;
        let gpu = match subject.gpu.as_ref().filter(|(_, most)| rows <= *most) {
            Some((gpu, _)) => {
                gpu.upload(&subject.data, layout)?;
                gpu.run(&Clock::of_host(), pass, layout)?;
                Some(gpu.loss(layout)?)
            }
            None => None,
        };
        let seconds = Spread::of(times);
        Ok(Reference {
            rows,
            seconds,
            seconds_per_logit: seconds.median / case.elements(rows) as f64,
            cpu_difference: difference(cpu),
            gpu_difference: gpu.map(difference),
        })
    }
}

impl Speed {
    /// Of the time and the copy's bytes a second in each round.
    fn of(bytes: u64, rounds: &[Round], times: impl Fn(&Round) -> Option<(f64, f64)>) -> Self {
        let bytes = bytes as f64;
        let spread = |figure: &dyn Fn(f64, f64) -> f64| {
            Spread::of(rounds.iter().filter_map(|round| times(round).map(|(time, copy)| figure(time, copy))))
        };
        Self {
            seconds: spread(&|time, _| time),
            gb_per_second: spread(&|time, _| 1e-9 * bytes / time),
            share_of_copy: spread(&|time, copy| bytes / time / copy),
        }
    }
}

impl Transfer {
    /// None if there was none.
    fn of(bytes: u64, seconds: impl Iterator<Item = f64>) -> Option<Self> {
        let all: Vec<f64> = seconds.collect();
        let rate = Spread::of(all.iter().map(|s| 1e-9 * bytes as f64 / s));
        (!all.is_empty()).then(|| Self { bytes, seconds: Spread::of(all), gb_per_second: rate })
    }
}

/// What the rounds say of pass number `i` on the device; none if it was not there.
fn gpu_result(
    case: &Case<'_>,
    rows: u32,
    pass: Pass,
    rounds: &[Round],
    i: usize,
    copy_traffic: f64,
) -> Option<GpuResult> {
    /// Seconds of the CPU engine, the kernel, the call, the upload, the readback.
    type Parts = [f64; 5];
    let parts = |round: &Round| -> Option<Parts> {
        let pass = round.passes.get(i)?;
        let (lap, readback) = pass.gpu?;
        Some([pass.cpu, lap.device, lap.call, round.upload?, readback])
    };
    rounds.first().and_then(parts)?;
    let spread = |figure: &dyn Fn(Parts) -> f64| Spread::of(rounds.iter().filter_map(parts).map(figure));
    let bytes = size_of::<logloss::Summary>() as u64 + if pass.has_gradient() { case.logits_bytes(rows) } else { 0 };
    let kernel = |round: &Round| {
        let [_, kernel, ..] = parts(round)?;
        Some((kernel, copy_traffic / round.device_copy?))
    };
    Some(GpuResult {
        kernel: Speed::of(case.bytes(pass, rows), rounds, kernel),
        call: spread(&|[_, _, call, _, _]| call),
        readback: Transfer::of(bytes, rounds.iter().filter_map(parts).map(|[_, _, _, _, readback]| readback))?,
        with_upload: spread(&|[_, _, call, upload, _]| upload + call),
        round_trip: spread(&|[_, _, call, upload, readback]| upload + call + readback),
        speedup: Speedups {
            kernel: spread(&|[cpu, kernel, ..]| cpu / kernel),
            call: spread(&|[cpu, _, call, ..]| cpu / call),
            with_upload: spread(&|[cpu, _, call, upload, _]| cpu / (upload + call)),
            round_trip: spread(&|[cpu, _, call, upload, readback]| cpu / (upload + call + readback)),
        },
    })
}

fn break_evens(points: &[Point], pass: Pass) -> Option<BreakEvens> {
    let of = |gpu: fn(&GpuResult) -> Spread| {
        let times = points.iter().filter_map(|point| {
            let result = point.passes.iter().find(|result| result.pass == pass)?;
            let gpu = gpu(result.gpu.as_ref()?).median;
            Some(Times { rows: point.rows, cpu: result.cpu.seconds.median, gpu })
        });
        BreakEven::of(&times.collect::<Vec<_>>())
    };
    Some(BreakEvens {
        call: of(|gpu| gpu.call)?,
        with_upload: of(|gpu| gpu.with_upload)?,
        round_trip: of(|gpu| gpu.round_trip)?,
    })
}
