//! No engine on the default socket, and we are root: start one, and say so.

use std::fs::OpenOptions;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::app::App;
use crate::failure::Failure;
use crate::output;

/// Where the engine's words go when a client started it.
const LOG: &str = "/run/wharf/engine.log";
const SOCKET: &str = "/var/run/docker.sock";
/// An engine starts in milliseconds; one that sweeps up after a crash may take longer.
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(2);

/// Only the default socket, only root, and not when it is switched off; nor after a part of the command was done, by an engine
/// that has gone since: all of it would be done again.
pub(crate) fn applies(app: &App) -> bool {
    let off = std::env::var("WHARF_AUTOSTART")
        .is_ok_and(|value| matches!(value.as_str(), "0" | "false" | "no" | "off"));
    !off && !app.client.has_reached_engine() && app.is_default_host() && rustix::process::geteuid().is_root()
}

/// Starts `wharf daemon` in the background and waits until it accepts connections.
pub(crate) fn start(program: &str) -> Result<(), Failure> {
    output::err(&format!(
        "{program}: no engine was running: started one in the background (log: {LOG}; WHARF_AUTOSTART=0 turns this off)\n"
    ));
    let failed =
        |what: &str, error: &std::io::Error| Failure::new(format!("cannot start an engine: {what}: {error}"));
    std::fs::create_dir_all("/run/wharf").map_err(|error| failed("/run/wharf", &error))?;
    let log = OpenOptions::new().create(true).append(true).open(LOG).map_err(|error| failed(LOG, &error))?;
    let log_too = log.try_clone().map_err(|error| failed(LOG, &error))?;
    let mut engine = Command::new("/proc/self/exe")
        .arg("daemon")
        // The binary gives such an engine a session of its own, so that it outlives this terminal.
        .env("WHARF_AUTOSTARTED", "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .spawn()
        .map_err(|error| failed("wharf daemon", &error))?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        if UnixStream::connect(SOCKET).is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = engine.try_wait() {
            return Err(Failure::new(format!(
                "the engine did not start ({status}); its log is {LOG}:\n{}",
                last_words()
            )));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "the engine did not answer on {SOCKET} in {DEADLINE:?}; its log is {LOG}"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

fn last_words() -> String {
    let text = std::fs::read_to_string(LOG).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
