//! A checkpoint in the making: served beside everything else, since it may take long.

use super::words::view_of;
use super::{AfterExit, Owner};
use crate::container::command::Reply;
use crate::container::oci_spec::has_reaper;
use crate::container::state::Action;
use crate::container::{CheckpointRequest, IpcMode, PidMode};
use crate::containers::checkpoints::place_for;
use crate::error::{Error, Result};
use crate::flows::start::is_foreign;
use crate::ports::RuntimeError;

/// What is to be told, and whom.
#[derive(Debug)]
pub(super) struct Pending {
    reply: Reply<()>,
    leave_running: bool,
}

impl Owner {
    pub(super) async fn checkpoint(&mut self, request: CheckpointRequest, reply: Reply<()>) {
        match self.begin_checkpoint(&request) {
            Ok(()) => self.pending = Some(Pending { reply, leave_running: request.leave_running }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn begin_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.allow(Action::Checkpoint)?;
        self.is_not_being_written_down()?;
        self.can_be_written_down()?;
        let place = place_for(&self.core, &view_of(&self.core, &self.record), request)?;
        let (core, id, leave_running) = (self.core.clone(), self.record.id.clone(), request.leave_running);
        // Not while it is frozen, and by no process that criu would find.
        self.check = None;
        self.checkpoint =
            Some(Box::pin(async move { core.ports.runtime.checkpoint(&id, place, leave_running).await }));
        Ok(())
    }

    pub(super) fn is_not_being_written_down(&self) -> Result<()> {
        match self.checkpoint {
            Some(_) => Err(Error::conflict("a checkpoint of it is being made")),
            None => Ok(()),
        }
    }

    /// What criu is not asked for: it would say less clearly why not.
    fn can_be_written_down(&self) -> Result<()> {
        let (spec, host) = (&self.record.spec, &self.record.spec.host);
        let why = if spec.tty {
            "it has a terminal, which could not be connected to anybody again"
        } else if is_foreign(&self.core.settings(), &self.record)? {
            "its processes are those of another runtime (--runtime)"
        } else if has_reaper(host, self.core.settings().init) {
            "the process that --init puts in front of it keeps to itself what criu would have to read"
        } else if matches!(host.pid_mode, PidMode::Container(_)) {
            "it shares the processes of another container (--pid)"
        } else if matches!(host.ipc_mode, IpcMode::Container(_)) {
            "it shares the memory of another container (--ipc)"
        } else {
            return Ok(());
        };
        Err(Error::unsupported(why))
    }

    /// criu has ended. If the container ends with it, that is told when it has.
    pub(super) async fn on_checkpoint(&mut self, made: std::result::Result<(), RuntimeError>) {
        let Some(Pending { reply, leave_running }) = self.pending.take() else { return };
        let runs = self.exit.is_some();
        if runs && (made.is_err() || leave_running) {
            self.resume_health();
        }
        if let Err(error) = made {
            let _ = reply.send(Err(Error::internal(error.message)));
            return;
        }
        self.event("checkpoint", &[]);
        if runs && !leave_running {
            self.after_exit.push(AfterExit::Checkpointed(reply));
        } else {
            let _ = reply.send(Ok(()));
        }
    }
}
