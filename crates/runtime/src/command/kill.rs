//! `kill`.

use std::process::ExitCode;

use clap::Args;
use oci::runtime::Status;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Failure, Global, Outcome, record};

#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// Send the signal to all processes of the container
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
    if args.all {
        match record.cgroup() {
            Ok(cgroup) => cgroup.signal(signal)?,
            // All of them are gone with it.
            Err(_) if record.status(&home) == Status::Stopped => {}
            Err(failure) => return Err(failure),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let status = record.status(&home);
    if status == Status::Stopped {
        return Err(Failure("container not running".into()));
    }
    let pidfd = pidfd_open(record.process()?, PidfdFlags::empty())?;
    pidfd_send_signal(&pidfd, signal)?;
    if signal == Signal::KILL && status == Status::Paused {
        // A frozen process takes it only once it is thawed (v1).
        record.cgroup()?.thaw()?;
    }
    Ok(ExitCode::SUCCESS)
}

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// `TERM`, `SIGTERM`, `sigterm` or `15`.
fn parse(text: &str) -> Result<Signal, Failure> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = NAMES.iter().position(|n| *n == name).and_then(|at| i32::try_from(at + 1).ok());
    let number = by_name.or_else(|| text.parse().ok());
    number.and_then(Signal::from_named_raw).ok_or_else(|| Failure(format!("unknown signal {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(parse(text).unwrap(), Signal::TERM);
        }
        assert!(parse("SIGNONE").is_err());
        assert!(parse("99").is_err());
    }
}
