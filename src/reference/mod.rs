//! The float64 oracle.
