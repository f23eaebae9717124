//! The kernels on whatever adapter there is, against float64 truth.
mod buffers;
mod case;
#[path = "../common/mod.rs"]
mod common;
mod details;
mod determinism;
mod divergences;
mod elements;
mod every_loss;
mod futures;
mod golden;
mod gradient;
mod held;
mod interface;
mod kinship;
mod many_classes;
mod odd_values;
mod pairs;
mod passes;
mod plan;
mod refusals;
mod regimes;
mod regions;
mod rows;
mod slices;
mod small_limits;
mod stored;
mod stream;
mod subgroups;
mod support;
mod variants;

use std::sync::OnceLock;

use logloss::gpu::{AdapterChoice, Gpu};

/// The adapter under test. Without one the tests fail: they never pass by skipping.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(&AdapterChoice::Best).unwrap_or_else(|e| panic!("{e}")))
}
