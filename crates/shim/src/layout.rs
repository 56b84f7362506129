//! The files of one monitor, under the directory that its request names.
//!
//! ```text
//! <exec-root>/containers/<id>/          the container's PID 1
//! ├── monitor.sock                      SOCK_SEQPACKET, while the monitor lives
//! ├── state.json                        record::State, once the process runs
//! ├── exit.json                         record::Exit, once it has ended
//! ├── cgroup                            a link whose text is the container's cgroup, from before that is made
//! ├── monitor.log                       only if the monitor itself failed
//! ├── execs/<exec id>/                  the same for each exec, but no cgroup of its own
//! │
//! ├── config.json  rootfs/              the bundle for another runtime (`--runtime`); rootfs is mounted in the
//! │                                     monitor's mount namespace only
//! ├── runtime/                          where that runtime keeps its state (`--root`)
//! └── runtime.log  runtime.pid          what it said, whom it made
//! ```

use std::path::{Path, PathBuf};

pub fn socket(directory: &Path) -> PathBuf {
    directory.join("monitor.sock")
}

pub fn state(directory: &Path) -> PathBuf {
    directory.join("state.json")
}

pub fn exit(directory: &Path) -> PathBuf {
    directory.join("exit.json")
}

/// Read with readlink(2): there at once or not at all.
pub fn cgroup(directory: &Path) -> PathBuf {
    directory.join("cgroup")
}

/// Where a monitor that panics says so: it has no other place to write to.
pub fn panic_log(directory: &Path) -> PathBuf {
    directory.join("monitor.log")
}

pub fn exec(directory: &Path, exec_id: &str) -> PathBuf {
    execs(directory).join(exec_id)
}

/// Of all its execs.
pub fn execs(directory: &Path) -> PathBuf {
    directory.join("execs")
}

/// What an engine says of an exec to a later one. Monitors do not look at it.
pub fn note(directory: &Path) -> PathBuf {
    directory.join("note.json")
}

pub(crate) fn bundle_config(directory: &Path) -> PathBuf {
    directory.join("config.json")
}

pub(crate) fn bundle_rootfs(directory: &Path) -> PathBuf {
    directory.join("rootfs")
}

pub(crate) fn exec_process(directory: &Path) -> PathBuf {
    directory.join("process.json")
}

pub(crate) fn runtime_state(directory: &Path) -> PathBuf {
    directory.join("runtime")
}

pub(crate) fn runtime_log(directory: &Path) -> PathBuf {
    directory.join("runtime.log")
}

pub(crate) fn runtime_pid(directory: &Path) -> PathBuf {
    directory.join("runtime.pid")
}
