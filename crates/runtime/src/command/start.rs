//! `start`.

use std::process::ExitCode;

use oci::runtime::Status;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Failure, Global, Outcome, record};
use crate::handshake::Channel;
use crate::{init, process};

pub(super) fn start(global: &Global, id: &str) -> Outcome {
    let (home, record) = record::open(global, id)?;
    match record.status(&home) {
        Status::Created => {}
        Status::Stopped => return Err(Failure("cannot start a container that has stopped".into())),
        Status::Running | Status::Paused | Status::Creating => {
            return Err(Failure("cannot start an already running container".into()));
        }
    }
    let channel = Channel::from_socket(home.knock()?);
    let begun = process::begin(&channel);
    home.opened()?;
    begun?;
    if let Some(hooks) = &record.spec.hooks {
        let state = record.document(Status::Running);
        init::run_hooks("poststart", &hooks.poststart, &state).inspect_err(|_| {
            // A container whose hook failed does not go on; whoever deletes it sees to the rest.
            let killed = record.process().and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?));
            let _ = killed.map(|pidfd| pidfd_send_signal(&pidfd, Signal::KILL));
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
