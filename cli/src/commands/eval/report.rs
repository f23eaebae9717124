//! What `logloss eval` says at the end: a table for people, or one JSON object.

use std::time::Duration;

use logloss::totals::{Survey, Totals};
use serde_json::{Map, Value};

use super::Task;
use super::tally::Tally;
use crate::loss::ReductionName;
use crate::{number, report};

/// A result and what it is of.
pub(super) struct Report<'a> {
    pub(super) task: &'a Task<'a>,
    pub(super) survey: Option<&'a Survey>,
    pub(super) tally: &'a Tally,
    /// How long everything took, with reading the targets, opening the device and compiling for it.
    pub(super) time: Duration,
}

impl Report<'_> {
    /// The reduced loss; none for reduction none.
    fn reduced(&self) -> Option<f64> {
        (self.task.arguments.reduction != ReductionName::None).then(|| self.tally.loss(self.task.denominator))
    }

    fn ignored(&self) -> u64 {
        self.survey.map_or(0, Survey::ignored)
    }

    pub(super) fn json(&self) -> String {
        let &Task { arguments, loss, input, engine, .. } = self.task;
        let place = self.tally.first_non_finite();
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| {
            object.insert(key.to_owned(), value);
        };
        put("loss_name", loss.name.to_string().into());
        put("loss", self.reduced().map(number::json).into());
        put("reduction", arguments.reduction.to_string().into());
        put("rows", input.axis.rows().into());
        put("classes", input.axis.classes.into());
        put("ignored", self.ignored().into());
        if let Some(totals) = self.tally.metrics() {
            put("weight_sum", number::json(totals.weight_sum()));
            for (key, metric) in metrics(totals) {
                put(key, metric.map(number::json).into());
            }
        }
        put("non_finite_rows", self.tally.non_finite().into());
        put("first_non_finite_row", place.into());
        put("first_non_finite_place", place.map(|row| input.place_of_row(row)).into());
        put("engine", engine.name().into());
        put("adapter", engine.adapter().into());
        put("device_bytes", self.tally.device().map(|device| device.bytes).into());
        put("longest_submission_seconds", self.tally.device().map(|device| device.longest.as_secs_f64()).into());
        put("dtype", input.logits.element().name().into());
        put("seconds", self.time.as_secs_f64().into());
        put("row_seconds", self.tally.time().as_secs_f64().into());
        report::pretty(&Value::Object(object))
    }

    pub(super) fn table(&self) -> String {
        let &Task { arguments, loss, input, engine, .. } = self.task;
        let reduced = match self.reduced() {
            Some(reduced) => format!("{}{}", number::short(reduced), loss.name.unit()),
            None => "not reduced (--out-loss writes them all)".into(),
        };
        let mut rows = vec![("loss", reduced), ("of", format!("{}, reduction {}", loss.name, arguments.reduction))];
        let totals = self.tally.metrics();
        for (name, metric) in totals.into_iter().flat_map(metrics) {
            let percent = name.starts_with("top");
            let shown = |value: f64| if percent { format!("{:.2} %", 100.0 * value) } else { number::short(value) };
            let name = match name {
                "top1" => "top-1",
                "top5" => "top-5",
                other => other,
            };
            rows.push((name, metric.map_or_else(String::new, shown)));
        }
        let (all_rows, classes) = (input.axis.rows() as u64, input.axis.classes as u64);
        let (all_rows, classes) = (number::grouped(all_rows), number::grouped(classes));
        rows.push(("rows", format!("{all_rows} of {classes} classes ({})", input.logits.element())));
        if self.survey.is_some() {
            rows.push(("ignored", number::grouped(self.ignored())));
        }
        if let Some(totals) = totals {
            rows.push(("weight sum", number::short(totals.weight_sum())));
        }
        if self.tally.non_finite() > 0 {
            rows.push(("not finite", number::grouped(self.tally.non_finite())));
        }
        let adapter = engine.adapter().map_or_else(String::new, |adapter| format!(", {adapter}"));
        let buffers = self.tally.device().map(|device| format!(", buffers of {}", number::bytes(device.bytes)));
        rows.push(("engine", format!("{}{adapter}{}", engine.name(), buffers.unwrap_or_default())));
        let (all, of_logits) = (self.time.as_secs_f64(), self.tally.time().as_secs_f64());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people to read")]
        let rate = (input.logits_bytes() as f64 / of_logits.max(1e-9)) as u64;
        rows.push(("time", format!("{all:.3} s; rows {of_logits:.3} s, {}/s of logits", number::bytes(rate))));
        report::table(&rows)
    }
}

/// The metrics of class indices by their names in JSON.
fn metrics(totals: &Totals) -> [(&'static str, Option<f64>); 4] {
    [
        ("perplexity", totals.perplexity()),
        ("bits", totals.mean_bits()),
        ("top1", totals.top1_accuracy()),
        ("top5", totals.top5_accuracy()),
    ]
}
