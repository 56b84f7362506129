//! Control groups, versions 1 and 2: what limits a container, counts what it uses, and finds its processes.
//!
//! [`machine`] says what is mounted (read once), [`CgroupPath::resolve`] turns the runtime spec's `cgroupsPath`
//! into a place, and a [`Cgroup`] is that place, held open:
//!
//! ```text
//! create ─► join (v1) / directory + CLONE_INTO_CGROUP (v2) ─► update, stats, freeze, watch_oom ...
//!        ─► oom_kills ─► kill ─► delete
//! ```
//!
//! Each controller has its own file in `controllers`, with both versions' names for the same wish. Everything
//! is done relative to open directory descriptors; a start reads no mount table and lists no directory.
//!
//! This crate knows nothing of containers beyond the runtime spec's `resources`, and never talks to systemd.

mod cgroup;
mod controllers;
mod directory;
mod error;
mod freezer;
mod kill;
mod machine;
mod meter;
mod mounts;
mod nested;
mod oom;
mod path;
pub mod stats;
mod subgroup;
mod wait;

pub use cgroup::Cgroup;
pub use error::{Error, Result};
pub use machine::{Hierarchy, Layout, Machine, Version, machine};
pub use meter::{Counters, Meter, Reading};
pub use mounts::CgroupMount;
pub use nested::make_room;
pub use oom::{OomWatch, oom_kills_in, watch_oom_in};
pub use path::CgroupPath;
pub use stats::Stats;
