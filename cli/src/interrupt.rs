//! Ctrl-C: the first stops between two chunks, so that unfinished outputs are removed; the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Outcome};

/// Whether the user has asked to stop.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to listen.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> Outcome<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset and sets it.
            flag::register_conditional_shutdown(signal, 130, asked.clone())
                .and_then(|_| flag::register(signal, asked.clone()))
                .context("cannot listen for Ctrl-C")?;
        }
        Ok(Self(asked))
    }

    /// Fails once the user has asked to stop.
    ///
    /// # Errors
    /// [`Failure::Interrupted`].
    pub fn check(&self) -> Outcome<()> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
    }
}
