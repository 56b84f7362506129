//! `start`.

use std::process::ExitCode;

use oci::runtime::Status;

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
        init::run_hooks("poststart", &hooks.poststart, &record.document(Status::Running))?;
    }
    Ok(ExitCode::SUCCESS)
}
