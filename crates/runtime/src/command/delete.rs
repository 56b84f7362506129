//! `delete`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use oci::runtime::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::create::poststop;
use super::record::{Home, Record};
use super::{Failure, Global, Outcome};

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Kill the container first, if it runs
    #[arg(short, long)]
    force: bool,
    id: String,
}

/// How long a killed process may take to end.
const KILL_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn delete(global: &Global, args: &DeleteArgs) -> Outcome {
    let home = Home::at(global, &args.id)?;
    let record = match home.load() {
        Ok(record) => record,
        Err(_) if args.force => {
            // What an interrupted create may have left.
            home.release()?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(failure) => return Err(failure),
    };
    let status = record.status(&home);
    match status {
        Status::Stopped => {}
        Status::Created => end(&record)?,
        _ if args.force => end(&record)?,
        _ => {
            let (id, status) = (&args.id, status.as_str());
            return Err(Failure(format!("cannot delete container {id} that is not stopped: {status}")));
        }
    }
    if let Ok(cgroup) = record.cgroup() {
        // Processes of a container without a pid namespace of its own outlive its first.
        cgroup.kill()?;
        cgroup.delete()?;
    }
    record.unmount()?;
    home.release()?;
    poststop(global, &record.spec, &record.document(Status::Stopped));
    Ok(ExitCode::SUCCESS)
}

fn end(record: &Record) -> Result<(), Failure> {
    let Ok(pidfd) = pidfd_open(record.process()?, PidfdFlags::empty()) else { return Ok(()) };
    // ESRCH: it ended just now.
    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    if let Ok(cgroup) = record.cgroup() {
        cgroup.kill()?;
    }
    let limit = Timespec { tv_sec: KILL_DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
    if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit))? == 0 {
        return Err(Failure("container init still running".into()));
    }
    Ok(())
}
