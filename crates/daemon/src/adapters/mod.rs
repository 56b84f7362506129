//! The engine's ports, over the rooms that fulfil them.

pub mod network;
pub mod plugins;
pub mod roots;
pub mod runtime;
pub mod small;
