//! A program beside this one that takes its turn when it is told to: one JSON value a line, on its standard input and output.
//!
//! | asked | answered |
//! | --- | --- |
//! | (at the start) | `{"name": "PyTorch 2.15"}` |
//! | `{"prepare": {"loss": "cross_entropy", "targets": "classes", "shape": [65536, 1000], "dtype": "float32"}}`, class axis 1 | `{"entries": [{"variant": "eager", "gradient": false}]}` |
//! | `{"run": 0}` | `{"seconds": 0.25, "loss": 7.9}` |
//! | `{"release": true}` | `{}` |
//!
//! Whatever fails is answered by `{"error": "why"}`. It ends when its input does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// A peer in a process of its own.
pub struct ChildPeer {
    process: Child,
    /// Taken when it is time to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// As it introduced itself.
    pub name: String,
}

/// A way to compute the loss that the peer has.
pub struct ChildEntry {
    pub variant: String,
    pub gradient: bool,
}

impl ChildPeer {
    /// Starts `command`, a program and its arguments, and waits until it says who it is.
    ///
    /// # Errors
    /// It cannot be started, or ends at once.
    pub fn start(command: &[String]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("an empty command")?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().context("a peer without output")?);
        let mut peer = Self { process, input, output, name: String::new() };
        let hello = peer.answer().with_context(|| command.join(" "))?;
        peer.name = hello["name"].as_str().context("a peer without a name")?.to_owned();
        Ok(peer)
    }

    /// Lets it make a batch for a loss, with targets of a kind such as `classes`, and returns the ways in which it can compute the loss.
    ///
    /// # Errors
    /// What it answers, such as too little memory.
    pub fn prepare(&mut self, loss: &str, targets: &str, shape: &[u32], dtype: &str) -> Result<Vec<ChildEntry>> {
        let batch = json!({ "loss": loss, "targets": targets, "shape": shape, "dtype": dtype });
        let answer = self.ask(&json!({ "prepare": batch }))?;
        let entries = answer["entries"].as_array().context("an answer without entries")?;
        let entry = |e: &Value| {
            let variant = e["variant"].as_str()?.to_owned();
            Some(ChildEntry { variant, gradient: e["gradient"].as_bool()? })
        };
        entries.iter().map(|e| entry(e).ok_or_else(|| anyhow!("not an entry: {e}"))).collect()
    }

    /// Runs one of the ways once: seconds by its own clock, and the loss.
    ///
    /// # Errors
    /// What it answers.
    pub fn run(&mut self, entry: usize) -> Result<(f64, f64)> {
        let answer = self.ask(&json!({ "run": entry }))?;
        let number = |name: &str| answer[name].as_f64().with_context(|| format!("an answer without {name}: {answer}"));
        Ok((number("seconds")?, number("loss")?))
    }

    /// Lets it give the batch back.
    ///
    /// # Errors
    /// What it answers.
    pub fn release(&mut self) -> Result<()> {
        self.ask(&json!({ "release": true })).map(drop)
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        let input = self.input.as_mut().context("a peer that has ended")?;
        writeln!(input, "{question}").and_then(|()| input.flush()).with_context(|| format!("{} is gone", self.name))?;
        self.answer().with_context(|| self.name.clone())
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("ended without an answer");
        }
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for ChildPeer {
    fn drop(&mut self) {
        // The end of its input is what ends it.
        self.input = None;
        drop(self.process.wait());
    }
}
