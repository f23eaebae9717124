//! What this page shares with the native examples.
#![allow(dead_code, reason = "no example uses everything")]

#[path = "../../common/dataset.rs"]
pub mod dataset;
#[path = "../../common/linear_model.rs"]
pub mod linear_model;
#[path = "../../common/picture/mod.rs"]
pub mod picture;
#[path = "../../common/split.rs"]
pub mod split;
