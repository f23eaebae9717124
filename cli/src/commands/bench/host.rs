//! The machine: its processor, its threads, its memory, its clock.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rayon::ThreadPool;
use rayon::prelude::*;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::failure::Outcome;

/// The machine that the CPU engine runs on.
pub(super) struct Host {
    /// The processor's name as it gives it.
    pub cpu: String,
    /// The threads that are measured.
    pub pool: ThreadPool,
    system: System,
}

impl Host {
    /// Starts the threads: as many as asked for, or one for each that the processor runs at once.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new(threads: Option<NonZeroU16>) -> Outcome<Self> {
        let threads = threads.map_or(0, |threads| threads.get().into());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start the threads")?;
        let known = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(known);
        let brand = system.cpus().first().map_or("", |cpu| cpu.brand().trim());
        let cpu = if brand.is_empty() { format!("a processor ({})", std::env::consts::ARCH) } else { brand.to_owned() };
        Ok(Self { cpu, pool, system })
    }

    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Bytes that may be asked for without driving the machine into its swap.
    pub fn free_memory(&mut self) -> u64 {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let available = match self.system.available_memory() {
            // Not every system says.
            0 => self.system.total_memory() / 2,
            available => available,
        };
        available / 10 * 8
    }
}

/// A plain copy in the machine's memory: what the CPU engine is measured against.
pub(super) struct HostCopy {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl HostCopy {
    pub fn new(bytes: usize) -> Self {
        // Not zeros, which a system may not give memory to until they are written.
        Self { from: vec![1; bytes], to: vec![2; bytes] }
    }

    /// Copies one piece a thread: the C library's copy of a large piece goes past the caches.
    pub fn run(&mut self, threads: usize) {
        let piece = self.from.len().div_ceil(threads.max(1)).max(1);
        self.to.par_chunks_mut(piece).zip(self.from.par_chunks(piece)).for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&self.to);
    }

    /// Bytes read and written.
    pub fn traffic(&self) -> f64 {
        2.0 * self.from.len() as f64
    }
}

/// How long something took by the host's clock.
///
/// # Errors
/// As `run`.
pub(super) fn seconds<E>(run: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    run()?;
    // No time at all would be a rate without end.
    Ok(start.elapsed().max(Duration::from_nanos(1)).as_secs_f64())
}
