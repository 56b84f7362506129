//! Remove, by a person or because of `--rm`.

use super::{AfterExit, Owner};
use crate::container::command::Reply;
use crate::container::state::Action;
use crate::container::{EndedBy, RemoveRequest, Status, Who, signal};
use crate::error::{Class, Result};
use crate::flows;

impl Owner {
    pub(super) async fn remove_by_user(&mut self, request: RemoveRequest, reply: Reply<()>) {
        let action = if request.force { Action::ForceRemove } else { Action::Remove };
        if let Err(error) = self.allow(action) {
            let _ = reply.send(Err(error));
            return;
        }
        self.restart_at = None;
        if self.exit.is_some() {
            self.note_signal(signal::KILL);
            self.record.end.by = Some(EndedBy { who: Who::Remove, signal: signal::KILL });
            match self.send(signal::KILL).await {
                Ok(()) => self.event("kill", &[("signal", signal::KILL.to_string())]),
                // Its exit is on the way.
                Err(error) if error.class == Class::Conflict => {}
                Err(error) => {
                    let _ = reply.send(Err(error.context("could not kill container")));
                    return;
                }
            }
            self.after_exit.push(AfterExit::Remove(request, reply));
            return;
        }
        let result = self.remove(request).await;
        let _ = reply.send(result);
    }

    pub(super) async fn remove(&mut self, request: RemoveRequest) -> Result<()> {
        let before = self.record.status;
        self.record.status = Status::Removing;
        self.publish();
        self.record.remove_volumes = request.volumes;
        match flows::remove::run(&self.core, &self.record).await {
            Ok(()) => {
                self.gone = true;
                self.core.execs.container_removed(&self.record.id);
                self.core.index.remove(&self.record.id, &self.record.name);
                self.event("destroy", &[]);
                self.publish.send_modify(|published| published.removed = true);
                Ok(())
            }
            Err(error) => {
                self.record.status = if before == Status::Removing { before } else { Status::Dead };
                self.record.error.clone_from(&error.message);
                self.save(false).await;
                self.publish();
                self.publish.send_modify(|published| published.removal_failures += 1);
                Err(error)
            }
        }
    }
}
