//! Descriptors that the caller passes on to the container: `--preserve-fds`, and those of a supervisor's socket
//! activation (sd_listen_fds(3)), which come first.

use rustix::fs::{AtFlags, CWD};

use super::Failure;

/// How many sockets a supervisor passed to this very process.
pub(super) fn listening() -> u32 {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let ours = number("LISTEN_PID") == Some(std::process::id());
    if ours { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
}

/// Whether all that is to be passed on is there. Before anything is opened: a number that is free now would later
/// be a descriptor of the runtime's own.
pub(super) fn check(preserved: u32) -> Result<(), Failure> {
    let first = 3_u32.saturating_add(listening());
    for n in 0..preserved {
        let path = format!("/proc/self/fd/{}", first.saturating_add(n));
        rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| {
            let text = crate::error::text(&error.into());
            Failure(format!("unable to stat preserved-fd {n} (of {preserved}): {text}"))
        })?;
    }
    Ok(())
}

/// What tells the program of the sockets: it is PID 1 of its namespace.
pub(super) fn environment(count: u32) -> Vec<String> {
    if count == 0 { Vec::new() } else { vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".into()] }
}
