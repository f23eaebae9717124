//! What `logloss eval` says at the end: a table for people, or one JSON object.

use logloss::Reduction;

use super::{Arguments, Evaluated, Time};
use crate::engine::Engine;
use crate::input::Input;
use crate::loss::{Loss, ReductionName};
use crate::{number, report};

/// A result and what it is of.
pub(super) struct Report<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) loss: &'a Loss,
    pub(super) input: &'a Input,
    pub(super) engine: &'a Engine,
    pub(super) evaluated: &'a Evaluated,
    pub(super) time: Time,
}

impl Report<'_> {
    /// The reduced loss; none for reduction none.
    fn reduced(&self) -> Option<f64> {
        match self.arguments.reduction {
            ReductionName::Mean => Some(self.evaluated.loss(Reduction::Mean)),
            ReductionName::Sum => Some(self.evaluated.loss(Reduction::Sum)),
            ReductionName::None => None,
        }
    }

    pub(super) fn json(&self) -> String {
        let totals = &self.evaluated.totals;
        let place = totals.first_non_finite().and_then(|row| usize::try_from(row).ok());
        let metric = |value: Option<f64>| value.map(number::json);
        report::pretty(&serde_json::json!({
            "loss_name": self.loss.name(),
            "loss": metric(self.reduced()),
            "reduction": self.arguments.reduction.name(),
            "rows": totals.rows(),
            "classes": self.input.axis.classes,
            "ignored": totals.survey().ignored(),
            "weight_sum": number::json(totals.weight_sum()),
            "perplexity": metric(totals.perplexity()),
            "bits": metric(totals.mean_bits()),
            "top1": metric(totals.top1_accuracy()),
            "top5": metric(totals.top5_accuracy()),
            "non_finite_rows": totals.non_finite(),
            "first_non_finite_row": place,
            "first_non_finite_place": place.map(|row| self.input.place_of_row(row)),
            "engine": self.engine.name(),
            "adapter": self.engine.adapter(),
            "dtype": self.input.logits.element().name(),
            "seconds": self.time.all.as_secs_f64(),
            "row_seconds": self.time.rows.as_secs_f64(),
        }))
    }

    pub(super) fn table(&self) -> String {
        let totals = &self.evaluated.totals;
        let metric = |value: Option<f64>| value.map_or_else(String::new, number::short);
        let percent = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{:.2} %", 100.0 * v));
        let loss = match self.reduced() {
            Some(loss) => format!("{} nats", number::short(loss)),
            None => "not reduced (--out-loss writes one a row)".into(),
        };
        let mut rows = vec![
            ("loss", loss),
            ("of", format!("{}, reduction {}", self.loss.name(), self.arguments.reduction.name())),
            ("perplexity", metric(totals.perplexity())),
            ("bits", metric(totals.mean_bits())),
            ("top-1", percent(totals.top1_accuracy())),
            ("top-5", percent(totals.top5_accuracy())),
            (
                "rows",
                format!(
                    "{} of {} classes ({})",
                    number::grouped(totals.rows()),
                    number::grouped(self.input.axis.classes as u64),
                    self.input.logits.element()
                ),
            ),
            ("ignored", number::grouped(totals.survey().ignored())),
            ("weight sum", number::short(totals.weight_sum())),
        ];
        if totals.non_finite() > 0 {
            rows.push(("not finite", number::grouped(totals.non_finite())));
        }
        let engine = self.engine.adapter().map_or_else(String::new, |adapter| format!(", {adapter}"));
        rows.push(("engine", format!("{}{engine}", self.engine.name())));
        let (all, of_rows) = (self.time.all.as_secs_f64(), self.time.rows.as_secs_f64());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people to read")]
        let rate = (self.input.logits_bytes() as f64 / of_rows.max(1e-9)) as u64;
        rows.push(("time", format!("{all:.3} s; rows {of_rows:.3} s, {}/s of logits", number::bytes(rate))));
        report::table(&rows)
    }
}
