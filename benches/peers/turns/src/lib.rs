//! Several implementations of losses, timed in turn on the same data.

pub mod child;
pub mod contest;
pub mod data;
pub mod kind;
pub mod logloss_cpu;
pub mod options;
pub mod peer;
pub mod report;
