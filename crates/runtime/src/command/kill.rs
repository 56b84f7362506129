//! `kill`.

use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Args;
use oci::runtime::{NamespaceType, Status};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{Failure, Global, Outcome, record};

#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// Send the signal to all processes of the container; without it, a container without a pid namespace of
    /// its own gets it likewise
    #[arg(short, long)]
    all: bool,
    id: String,
    /// Name or number
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

pub(super) fn kill(global: &Global, args: &KillArgs) -> Outcome {
    let signal = parse(&args.signal)?;
    let (home, record) = record::open(global, &args.id)?;
    let status = record.status(&home);
    if status == Status::Stopped && !args.all {
        return Err(Failure("container not running".into()));
    }
    // The kernel ends a pid namespace with its first process; without one of its own, the others would stay.
    if args.all || signal == KILL && !record.has_own(NamespaceType::Pid) {
        match record.cgroup() {
            Ok(cgroup) if signal == KILL => cgroup.kill()?,
            Ok(cgroup) => cgroup.signal(signal)?,
            // All of them are gone with it.
            Err(_) if status == Status::Stopped => {}
            Err(failure) => return Err(failure),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let pidfd = pidfd_open(record.process()?, PidfdFlags::empty())?;
    sys::pidfd::send_signal(pidfd.as_fd(), signal)?;
    if signal == KILL && status == Status::Paused {
        // A frozen process takes it only once it is thawed (v1).
        record.cgroup()?.thaw()?;
    }
    Ok(ExitCode::SUCCESS)
}

const KILL: i32 = 9;

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Second names (signal(7)).
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// `TERM`, `SIGTERM`, `sigterm` or `15`; real-time signals by number, and 0, which only looks whether there is
/// a process.
fn parse(text: &str) -> Result<i32, Failure> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = NAMES.iter().position(|n| *n == name).and_then(|at| i32::try_from(at + 1).ok());
    let by_alias = || ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, number)| *number);
    let by_number = || text.parse().ok().filter(|number| (0..=64).contains(number));
    let number = by_name.or_else(by_alias).or_else(by_number);
    number.ok_or_else(|| Failure(format!("unknown signal {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(parse(text).unwrap(), 15);
        }
        assert_eq!((parse("SIGPOLL").unwrap(), parse("34").unwrap()), (29, 34));
        assert!(parse("SIGNONE").is_err());
        assert!(parse("99").is_err());
    }
}
