//! Running the program.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub const ENGINES: [&str; 3] = ["gpu", "cpu", "reference"];

/// What a run came to.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `logloss` with these arguments, ready for more.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logloss"));
    // Keeps Mesa's software driver from complaining on standard error.
    command.args(arguments).env("XDG_RUNTIME_DIR", std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// Takes every Vulkan driver away.
pub fn without_adapters(command: &mut Command) -> &mut Command {
    let nowhere = "/nonexistent/icd.json";
    command.env("WGPU_BACKEND", "vulkan").env("VK_ICD_FILENAMES", nowhere).env("VK_DRIVER_FILES", nowhere)
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::of(&mut command(arguments))
    }

    /// `logloss eval --logits A --targets B`, and more arguments in a line.
    pub fn eval(logits: &Path, targets: &Path, more: &str) -> Self {
        Self::of(&mut eval(logits, targets, more))
    }

    /// Asserts success and returns the JSON object on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {}", self.stdout))
    }

    /// Asserts this exit code, an empty standard output, and that standard error has every one of these texts and no
    /// backtrace.
    #[track_caller]
    pub fn fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        for text in texts {
            assert!(self.stderr.contains(text), "'{text}' is not in: {}", self.stderr);
        }
        for text in ["panicked", "RUST_BACKTRACE", "internal failure"] {
            assert!(!self.stderr.contains(text), "{}", self.stderr);
        }
    }
}

/// `logloss eval --logits A --targets B`, and more arguments in a line.
pub fn eval(logits: &Path, targets: &Path, more: &str) -> Command {
    let mut command =
        command([OsStr::new("eval"), "--logits".as_ref(), logits.as_ref(), "--targets".as_ref(), targets.as_ref()]);
    command.args(more.split_whitespace());
    command
}

/// A number of a JSON object, where a string stands for one that is not finite.
#[track_caller]
pub fn number(object: &Value, key: &str) -> f64 {
    match &object[key] {
        Value::String(text) => match text.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            other => panic!("{key} is '{other}'"),
        },
        value => value.as_f64().unwrap_or_else(|| panic!("{key} is {value}")),
    }
}
