//! What `cargo bench --bench roofline` and `logloss bench` share: a [`Clock`] of the device, and [`Yardstick`]s of its memory.

mod clock;
mod yardstick;

pub use clock::{Clock, Lap, wait};
pub use yardstick::{PADDING, Yardstick};
