//! What the new process does between `clone3` and its program: it makes the container around itself.
//!
//! Single-threaded copy of the caller. It logs nothing, and every failure goes through the handshake as a
//! typed error. Order matters and is explained where it does.

mod console;
mod devices;
mod hooks;
mod identity;
pub(crate) mod live;
mod lookup;
mod mounts;
mod namespaces;
mod overlay;
mod paths;
mod program;
mod reaper;
mod root;
mod stage;

pub(crate) use hooks::{document, run as run_hooks, run_all as run_all_hooks};
pub(crate) use identity::numbers;
pub(crate) use program::container;
pub use root::mount_apart;
pub(crate) use root::{is_mounted_on_host, mount_id, release};
pub(crate) use stage::{run as stage, run_exec as exec_stage};
