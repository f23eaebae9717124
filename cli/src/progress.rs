//! Progress bars on standard error.

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `bytes` of logits; invisible when `quiet`, or when standard error is not a terminal.
pub fn bar(bytes: u64, quiet: bool) -> ProgressBar {
    styled(bytes, quiet, "{wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left")
}

/// A bar over so many steps, with a message about the one that is being taken; invisible as [`bar`] is.
pub fn steps(count: u64, quiet: bool) -> ProgressBar {
    styled(count, quiet, "{wide_bar} {pos}/{len}  {eta} left  {msg}")
}

fn styled(length: u64, quiet: bool, style: &str) -> ProgressBar {
    let hidden = quiet || !stderr().is_terminal();
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    // The default style serves too, should this one ever fail to parse.
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
