//! What the examples share: their data, a linear model on the GPU, its training, and files of results.
#![allow(dead_code, reason = "no example or test uses everything")]

pub mod dataset;
pub mod linear_model;
pub mod patients;
pub mod results;
pub mod retina;
pub mod split;
pub mod training;
