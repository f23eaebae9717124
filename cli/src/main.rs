//! `logloss`: classification losses, gradients and metrics of logits in files, on any GPU.
//!
//! The command line reads files, streams them through an engine of the library and reports. It holds no mathematics.
//! Exit codes: 0 done, 1 the data or files are wrong, 2 the command line is wrong, 3 the device failed.

mod commands;
mod engine;
mod failure;
mod input;
mod interrupt;
mod loss;
mod number;
mod output;
mod outputs;
mod progress;
mod report;
mod tensor;
mod whole_file;

use std::panic;
use std::process::ExitCode;

use clap::Parser;

use failure::Failure;

/// Classification losses, gradients and metrics of logits in files, on any GPU.
///
/// Start with `logloss demo`. Results go to standard output, everything else to standard error.
///
/// Exit codes: 0 done; 1 the data or files are wrong; 2 the command line is wrong; 3 the device failed.
#[derive(Debug, Parser)]
#[command(name = "logloss", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        output::note(
            format_args!("error: internal failure ({panic}); please report it").to_string().replace('\n', " "),
        );
    }));
    quiet_mesa();
    let arguments = Arguments::parse();
    let outcome = panic::catch_unwind(|| commands::run(arguments.command));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Failure::OutputClosed)) => Failure::OutputClosed.exit_code(),
        Ok(Err(failure)) => {
            output::note(&failure);
            failure.exit_code()
        }
        // The hook has said what happened.
        Err(_) => ExitCode::from(3),
    }
}

/// Mesa's software driver complains about a missing XDG_RUNTIME_DIR on every start, in words that look like a failure of ours.
fn quiet_mesa() {
    if cfg!(unix) && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing that the program does, when it has no other thread that could read the environment.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}
