//! The command line, run as a user runs it: golden cases, files that are wrong, command lines that are wrong, and what
//! scripts rely on.

mod bad_files;
mod bench;
mod chunks;
mod commands;
mod files;
mod golden;
#[cfg(unix)]
mod interrupt;
mod json;
mod losses;
mod run;
mod usage;
