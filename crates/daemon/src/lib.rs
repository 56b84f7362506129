//! (daemon)

pub mod adapters;
