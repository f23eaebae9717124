//! The two streams: results to standard output, everything else to standard error. A closed pipe is never a panic.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::failure::{Failure, Outcome};

/// Writes a result, and a line end after it.
///
/// # Errors
/// Standard output is closed or full.
pub fn result(text: impl Display) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|e| Failure::of_stdout(&e))
}

/// Tells the user something that is neither a result nor an error.
pub fn note(text: impl Display) {
    // There is nowhere left to report that standard error is closed.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
