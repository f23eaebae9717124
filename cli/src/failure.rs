//! Why a command stopped, and the exit code that says so.

use std::fmt;
use std::io;
use std::process::ExitCode;

use logloss::Error;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// The data or the files are wrong: exit code 1.
    Data(anyhow::Error),
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The device failed: exit code 3.
    Device(String),
    /// The user pressed Ctrl-C: exit code 130, as shells have it.
    Interrupted,
    /// Whoever read standard output has read enough, as `head` does: exit code 0, without a message.
    OutputClosed,
}

/// Result of a command or a part of it.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::Data(_) => 1,
            Self::Usage(_) => 2,
            Self::Device(_) => 3,
            Self::Interrupted => 130,
        })
    }

    /// A failure to write the result.
    pub fn of_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Data(anyhow::anyhow!("cannot write to standard output: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The whole chain of causes, in one line.
            Self::Data(error) => write!(f, "error: {error:#}"),
            Self::Usage(message) => write!(f, "error: {message}\n\nFor more information, try '--help'."),
            Self::Device(message) => write!(f, "error: {message}"),
            Self::Interrupted => write!(f, "interrupted; no output file was written"),
            Self::OutputClosed => Ok(()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Data(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // The library names its own field; the user gave an option.
            Error::InvalidOption { option, value, domain } => {
                let option = match option {
                    "lambda_cross_entropy" => "lambda-ce".to_owned(),
                    other => other.replace('_', "-"),
                };
                Self::Usage(format!("--{option} is {value}, but it must be {domain}"))
            }
            Error::BadTarget { .. }
            | Error::BadValue { .. }
            | Error::WrongTargets { .. }
            | Error::UnusedWeights { .. }
            | Error::LengthMismatch { .. } => Self::Data(error.into()),
            _ => Self::Device(error.to_string()),
        }
    }
}
