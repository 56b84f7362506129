//! The words of the Open Container Initiative's specifications, without files, sockets or clocks.

pub mod runtime;
