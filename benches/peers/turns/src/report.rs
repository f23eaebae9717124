//! The table, as text and as JSON.

use std::path::Path;

use anyhow::{Context, Result};
use logloss::cpu::Instructions;
use serde_json::{Value, json};

use crate::contest::Score;
use crate::peer::Data;

/// All that was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Value>,
}

impl Report {
    /// Prints the scores of a batch and keeps them.
    pub fn add(&mut self, data: &Data, scores: &[Score]) {
        if self.rows.is_empty() {
            println!("{}", machine());
            println!(
                "{:<18} {:>16}  {:<50} {:<20} {:>10} {:>8} {:>5}",
                "loss", "rows x classes", "who", "pass", "median ms", "times", "runs"
            );
        }
        let (loss, shape) = (&data.loss, format!("{} x {}", data.shape.rows, data.shape.classes));
        for score in scores {
            let entry = &score.entry;
            let who = if entry.variant.is_empty() {
                score.peer.clone()
            } else {
                format!("{}, {}", score.peer, entry.variant)
            };
            let pass = if entry.gradient { "forward + gradient" } else { "forward" };
            let mut row = json!({ "loss": loss, "shape": shape, "who": who, "pass": pass });
            if let Some(reason) = &entry.left_out {
                println!("{loss:<18} {shape:>16}  {who:<50} {pass:<20} left out: {reason}");
                row["left_out"] = json!(reason);
            } else {
                let (ms, runs) = (1e3 * score.seconds, score.count());
                println!("{loss:<18} {shape:>16}  {who:<50} {pass:<20} {ms:>10.2} {:>8.2} {runs:>5}", score.ratio);
                row["seconds"] = json!(score.seconds);
                row["times_logloss"] = json!(score.ratio);
                row["runs"] = json!(runs);
            }
            self.rows.push(row);
        }
    }

    /// Writes everything to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let all = json!({ "machine": machine(), "rows": self.rows });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let (instructions, threads) = (Instructions::best(), rayon::current_num_threads());
    format!(
        "{}, {threads} threads, logloss with {instructions:?}, float32",
        name.unwrap_or("a processor without a name")
    )
}
