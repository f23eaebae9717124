//! `logloss demo`: one batch of real data and one of made-up data, through every engine, side by side.

mod data;

use std::time::Instant;

use logloss::Reduction;
use logloss::totals::{PairwiseSum, Totals, reduced_loss};
use serde_json::{Value, json};

use crate::engine::{Engine, EngineName, Goal, Reduce, Session};
use crate::failure::{Failure, Outcome};
use crate::loss::{Loss, LossName, LossOptions};
use crate::{number, output, report};
use data::Rows;

/// Runs that are timed; the best counts. One more goes before, untimed.
const RUNS: usize = 5;

/// Options of `logloss demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The gradient is that of the mean cross-entropy by the logits. Times are the best of five, the \
                  reference's a single one, after a run that is not timed, and include the way to the device and back."
)]
pub struct Arguments {
    /// Print one JSON object and nothing else to standard output
    #[arg(long)]
    json: bool,
}

/// Evaluates both batches on every engine, and prints what they came to.
///
/// # Errors
/// The device fails, or standard output is closed.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let gpu = match Engine::open(EngineName::Gpu, None) {
        Ok(engine) => Some(engine),
        Err(Failure::Device(message)) => {
            output::note(format_args!("note: {message}"));
            None
        }
        Err(other) => return Err(other),
    };
    let engines: Vec<_> = gpu.into_iter().chain([Engine::Cpu, Engine::Reference]).collect();
    let digits = Comparison::of(&data::digits()?, &engines)?;
    let synthetic = Comparison::of(&data::synthetic(), &engines)?;
    let hard = hard_rows(&engines)?;
    output::result(if arguments.json {
        report::pretty(&json!({
            "digits": digits.json(),
            "synthetic": synthetic.json(),
            "hard_rows": hard.iter().map(HardRow::json).collect::<Vec<_>>(),
        }))
    } else {
        text(&digits, &synthetic, &hard)
    })
}

fn text(digits: &Comparison, synthetic: &Comparison, hard: &[HardRow]) -> String {
    format!(
        "Handwritten digits: a logistic regression's logits of {} test images, {} classes\n\n{}\n\n\
         max |d grad|: how far any element of the gradient is from the float64 reference. The other\n\
         engines compute in float32, which rounds a number of 1 to within 6.0e-8.\n\n\
         Made-up logits: {} rows of {} classes, {}\n\n{}\n\n\
         Rows on which float32's textbook formula, log(sum(exp(x - max))) + max - x_target, fails\n\n{}\n\n\
         Here the target's logit stays out of the sum, so that nothing subtracts two nearly equal\n\
         numbers: an offset of a million or a loss of a billionth keeps every digit.\n\
         Next: logloss eval --help",
        number::grouped(digits.rows),
        digits.classes,
        digits.table(),
        number::grouped(synthetic.rows),
        number::grouped(synthetic.classes),
        number::bytes(4 * synthetic.rows * synthetic.classes),
        synthetic.table(),
        hard_table(hard),
    )
}

/// What every engine makes of one batch.
struct Comparison {
    rows: u64,
    classes: u64,
    measured: Vec<Measured>,
}

/// What one engine makes of it.
struct Measured {
    engine: &'static str,
    adapter: Option<String>,
    loss: f64,
    top1: f64,
    /// From the reference, over all elements.
    max_gradient_difference: f64,
    /// Of loss and gradient.
    seconds: f64,
}

impl Comparison {
    fn of(rows: &Rows, engines: &[Engine]) -> Outcome<Self> {
        let batch = rows.batch()?;
        let goal = Goal { reduce: Reduce::Over(rows.targets.len() as f64), gradient: true, dense_targets: false };
        let mut exact = Engine::Reference.session(&cross_entropy()?, goal)?;
        let exact = exact.evaluate(&batch)?.evaluation.gradient;
        let mut measured = Vec::new();
        for engine in engines {
            let mut session = engine.session(&cross_entropy()?, goal)?;
            let warm_up = session.evaluate(&batch)?;
            let mut totals = Totals::default();
            totals.push_chunk(&rows.labels(), &warm_up.evaluation)?;
            let runs = if matches!(engine, Engine::Reference) { 1 } else { RUNS };
            let differences = warm_up.evaluation.gradient.iter().zip(&exact).map(|(a, b)| f64::from(a - b).abs());
            measured.push(Measured {
                engine: engine.name(),
                adapter: engine.adapter(),
                loss: match &warm_up.exact_losses {
                    Some(losses) => reduced_loss(Reduction::Mean, sum(losses), totals.weight_sum()),
                    None => totals.loss(Reduction::Mean),
                },
                top1: totals.top1_accuracy().unwrap_or(f64::NAN),
                max_gradient_difference: differences.fold(0.0, f64::max),
                seconds: best_seconds(&mut session, rows, runs)?,
            });
        }
        let (rows, classes) = (batch.shape().rows.into(), batch.shape().classes.into());
        Ok(Self { rows, classes, measured })
    }

    fn table(&self) -> String {
        let rows: Vec<_> = self
            .measured
            .iter()
            .map(|m| {
                [
                    engine_label(m.engine, m.adapter.as_deref()),
                    format!("{:.9}", m.loss),
                    format!("{:.2} %", 100.0 * m.top1),
                    if m.engine == "reference" { "-".into() } else { format!("{:.1e}", m.max_gradient_difference) },
                    format!("{:.2} ms", 1e3 * m.seconds),
                    number::bytes(self.bytes_per_second(m.seconds)) + "/s",
                ]
            })
            .collect();
        report::columns(["engine", "mean loss", "top-1", "max |d grad|", "time", "of logits"], &rows)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people to read")]
    fn bytes_per_second(&self, seconds: f64) -> u64 {
        ((4 * self.rows * self.classes) as f64 / seconds.max(1e-9)) as u64
    }

    fn json(&self) -> Value {
        let engine = |m: &Measured| {
            json!({
                "engine": m.engine,
                "adapter": m.adapter,
                "loss": number::json(m.loss),
                "top1": number::json(m.top1),
                "max_gradient_difference": number::json(m.max_gradient_difference),
                "seconds": m.seconds,
            })
        };
        let engines: Vec<_> = self.measured.iter().map(engine).collect();
        json!({ "rows": self.rows, "classes": self.classes, "engines": engines })
    }
}

/// Engine and adapter in at most 32 characters.
fn engine_label(engine: &str, adapter: Option<&str>) -> String {
    let Some(adapter) = adapter else { return engine.to_owned() };
    let name = adapter.split(" (").next().unwrap_or(adapter);
    let label = format!("{engine}, {name}");
    if label.chars().count() <= 32 { label } else { label.chars().take(29).chain("...".chars()).collect() }
}

fn cross_entropy() -> Outcome<Loss> {
    Loss::new(LossName::CrossEntropy, &LossOptions { no_ignore_index: true, ..LossOptions::default() })
}

fn best_seconds(session: &mut Session<'_>, rows: &Rows, runs: usize) -> Outcome<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        session.evaluate(&rows.batch()?)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn sum(terms: &[f64]) -> f64 {
    let mut sum = PairwiseSum::default();
    terms.iter().for_each(|&term| sum.push(term));
    sum.total()
}

/// One row, and its loss on every engine.
struct HardRow {
    name: &'static str,
    /// By the textbook formula in float32.
    textbook: f32,
    /// Engine and loss.
    losses: Vec<(&'static str, f64)>,
}

impl HardRow {
    fn json(&self) -> Value {
        let mut object = serde_json::Map::new();
        object.insert("row".into(), self.name.into());
        object.insert("textbook_float32".into(), number::json(self.textbook.into()));
        object.extend(self.losses.iter().map(|(engine, loss)| ((*engine).to_owned(), number::json(*loss))));
        Value::Object(object)
    }
}

fn hard_rows(engines: &[Engine]) -> Outcome<Vec<HardRow>> {
    let mut hard = Vec::new();
    for (name, logits) in data::HARD_ROWS {
        let rows = Rows { logits: logits.to_vec(), targets: vec![0], classes: logits.len() };
        let mut losses = Vec::new();
        for engine in engines {
            let goal = Goal { reduce: Reduce::Sum, gradient: false, dense_targets: false };
            let result = engine.session(&cross_entropy()?, goal)?.evaluate(&rows.batch()?)?;
            let exact = result.exact_losses.and_then(|losses| losses.first().copied());
            let rounded = result.evaluation.losses.first().map(|&loss| loss.into());
            losses.push((engine.name(), exact.or(rounded).unwrap_or(f64::NAN)));
        }
        hard.push(HardRow { name, textbook: textbook(&logits), losses });
    }
    Ok(hard)
}

/// What not to do: the loss of target 0 as the textbook writes it, in float32.
fn textbook(logits: &[f32; 3]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let log_partition = logits.iter().map(|x| (x - max).exp()).sum::<f32>().ln() + max;
    log_partition - logits[0]
}

fn hard_table(hard: &[HardRow]) -> String {
    let rows: Vec<_> = hard
        .iter()
        .map(|row| {
            let loss = |engine| row.losses.iter().find(|(name, _)| *name == engine).map(|(_, loss)| *loss);
            let shown = |engine| loss(engine).map_or_else(|| "-".to_owned(), number::short);
            [row.name.to_owned(), number::short(row.textbook.into()), shown("gpu"), shown("cpu"), shown("reference")]
        })
        .collect();
    report::columns(["logits (target: the first)", "textbook", "gpu", "cpu", "reference"], &rows)
}
