//! The OCI runtime: brings a process up in its own namespaces and hands it over.
//!
//! Synchronous, without an event loop, and only for single-threaded callers: a container's PID 1 is made by
//! one `clone3` straight from the caller, and its set-up code runs in that copy (`init`). Caller and
//! copy talk over one socket (`handshake`, drawn in `docs/handshake.md`).
//!
//! ```text
//! create(CreateRequest) ─► Created ─ start() ─► Process     a container's PID 1
//! exec(ExecRequest)     ─────────────────────► Process     one more process in it
//! ```
//!
//! Only [`change_mounts`], for a container that runs, is for a thread of a process that has others.
//!
//! The runtime knows the runtime spec, cgroups and the kernel; it knows no images, engine or logs. The
//! command `wharf oci` is in `command`.

mod capability;
mod check;
pub mod command;
mod error;
mod file_system;
mod handshake;
mod idmap;
mod init;
mod inside;
mod job;
mod live;
mod mount_api;
mod namespace;
mod neighbour;
mod options;
mod proc;
mod process;
mod request;
pub mod seccomp;
pub mod user;

pub use error::{Error, Result};
pub use init::mount_apart;
pub use live::{Unmount, change_mounts, mounted_at};
pub use process::{Created, Process, create, exec};
pub use request::{CreateRequest, ExecRequest, Filter, Gate, Rootfs, Stdio};
