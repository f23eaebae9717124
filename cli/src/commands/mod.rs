//! The commands, one a file.

mod bench;
mod demo;
mod devices;
mod eval;
mod shader;

use clap::Subcommand;

use crate::failure::Outcome;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare GPU, CPU and float64 reference on real data that ships with this program
    Demo(demo::Arguments),
    /// Loss, gradient and metrics of logits against targets, from files of any size
    Eval(Box<eval::Arguments>),
    /// GPU against CPU, kernels and transfers apart, beside plain copies on the same machine
    Bench(Box<bench::Arguments>),
    /// List adapters, their limits and features, and the shader variants that each can run
    Devices(devices::Arguments),
    /// Print the WGSL of a shader variant, to read or to embed it
    Shader(shader::Arguments),
}

/// Runs a command.
///
/// # Errors
/// As the command.
pub fn run(command: Command) -> Outcome<()> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Shader(arguments) => shader::run(&arguments),
    }
}
