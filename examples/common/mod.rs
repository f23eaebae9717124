//! What the examples share: their command line and data, a linear model on the GPU, its training, files of results and
//! pictures.
#![allow(dead_code, reason = "no example or test uses everything")]

pub mod arguments;
pub mod dataset;
pub mod linear_model;
pub mod patients;
pub mod picture;
pub mod results;
pub mod retina;
pub mod split;
pub mod training;
