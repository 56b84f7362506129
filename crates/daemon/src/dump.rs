//! SIGUSR1: what the engine is doing, for who has to find out why it does not. dockerd writes its goroutines' stacks;
//! here it is the threads, as the kernel sees them, the open descriptors, and the engine's own account.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Engine;
use engine::containers::ListRequest;

/// An engine that hangs does not answer, and that is then what there is to tell.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes the file, and a line in the log with its path.
pub(crate) async fn dump(directory: PathBuf, engine: Engine) {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ");
    let path = directory.join(format!("wharf-state-{now}.log"));
    let mut text = kernel_view();
    let metrics = tokio::runtime::Handle::current().metrics();
    let _ = writeln!(text, "tasks: {} on {} workers", metrics.num_alive_tasks(), metrics.num_workers());
    match tokio::time::timeout(PATIENCE, account(&engine)).await {
        Ok(account) => text.push_str(&account),
        Err(_) => text.push_str("the engine gives no account of itself: it hangs\n"),
    }
    match write(&path, &text) {
        Ok(()) => tracing::info!(path = %path.display(), "state of the engine written"),
        Err(error) => tracing::error!(path = %path.display(), %error, "could not write the engine's state"),
    }
}

/// Not for others to read: names and command lines of containers are in it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// From proc(5): each thread's name, state and place in the kernel; each descriptor's object.
fn kernel_view() -> String {
    let mut text = format!("pid: {}\n", std::process::id());
    let entries = |path: &str| std::fs::read_dir(path).into_iter().flatten().flatten();
    for thread in entries("/proc/self/task") {
        let read = |name: &str| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let (name, status, place, call) = (read("comm"), read("status"), read("wchan"), read("syscall"));
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("?").trim();
        let call = call.split_whitespace().next().unwrap_or("?");
        let id = thread.file_name();
        let _ = writeln!(
            text,
            "thread {} {}: {state}, in {place}, system call {call}",
            id.display(),
            name.trim()
        );
    }
    for descriptor in entries("/proc/self/fd") {
        let object = std::fs::read_link(descriptor.path()).unwrap_or_default();
        let _ = writeln!(text, "descriptor {}: {}", descriptor.file_name().display(), object.display());
    }
    text
}

async fn account(engine: &Engine) -> String {
    let containers = engine.containers.list(ListRequest { all: true, ..ListRequest::default() }).await;
    let mut text = String::new();
    match containers {
        Ok(containers) => {
            for container in &containers {
                let _ = writeln!(text, "container: {container:?}");
            }
        }
        Err(error) => {
            let _ = writeln!(text, "containers: {error}");
        }
    }
    text
}
