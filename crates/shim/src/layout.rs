//! The files of one monitor, under the directory that its request names.
//!
//! ```text
//! <exec-root>/containers/<id>/          the container's PID 1
//! ├── monitor.sock                      SOCK_SEQPACKET, while the monitor lives
//! ├── state.json                        record::State, once the process runs
//! ├── exit.json                         record::Exit, once it has ended
//! ├── monitor.log                       only if the monitor itself failed
//! └── execs/<exec id>/                  the same four, for each exec
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

/// Where a monitor that panics says so: it has no other place to write to.
pub fn panic_log(directory: &Path) -> PathBuf {
    directory.join("monitor.log")
}

pub fn exec(directory: &Path, exec_id: &str) -> PathBuf {
    directory.join("execs").join(exec_id)
}
