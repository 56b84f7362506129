//! The life of a container as a pure table: which action is allowed in which state, and Docker's words where
//! it is not.
//!
//! ```text
//!            start              exit                      remove
//! created ──────────► running ────────► exited ──────────────────► removing ──► (gone)
//!    │                 │   ▲              │  ▲                          │
//!    │           pause ▼   │ unpause start│  │ stop                     ▼ could not
//!    │                paused              ▼  │                         dead
//!    │                               restarting
//!    └──────────────────── remove ────────────────────────────────────►
//! ```

use super::Status;
use crate::error::{Error, Result};

/// What is wanted of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Stop,
    Kill,
    Pause,
    Unpause,
    Checkpoint,
    Resize,
    Exec,
    Attach,
    Top,
    Remove,
    ForceRemove,
}

/// May it be done now? `id` is what the message calls it: the full id, or for attach, exec and remove what was asked
/// for.
pub(crate) fn allow(status: Status, action: Action, id: &str) -> Result<()> {
    use Action::*;
    use Status::*;
    let not_running = || Err(Error::conflict(format!("container {id} is not running")));
    match (action, status) {
        (Start, Created | Exited) => Ok(()),
        // Between two tries it counts as running.
        (Start, Running | Restarting) => Err(Error::not_modified("container is already running")),
        (Start, Paused) => Err(Error::conflict("cannot start a paused container, try unpause instead")),
        (Start, Removing | Dead) => {
            Err(Error::conflict("container is marked for removal and cannot be started"))
        }

        (Stop, Running | Paused | Restarting) => Ok(()),
        (Stop, Created | Exited | Removing | Dead) => {
            Err(Error::not_modified("container is already stopped"))
        }

        // Between two tries there is nobody to signal, but the next is called off.
        (Kill, Running | Paused | Restarting) => Ok(()),
        (Kill, Created | Exited | Removing | Dead) => not_running(),

        (Pause, Running) => Ok(()),
        (Pause, Paused) => Err(Error::conflict(format!("container {id} is already paused"))),
        (Pause, Restarting) => Err(restarting(id)),
        (Pause, Created | Exited | Removing | Dead) => not_running(),

        (Unpause, Paused) => Ok(()),
        (Unpause, Created | Running | Restarting | Removing | Exited | Dead) => {
            Err(Error::internal(format!("Container {id} is not paused")))
        }

        (Checkpoint, Running) => Ok(()),
        (Checkpoint, Paused) => Err(Error::conflict(format!(
            "container {id} is paused: criu freezes it itself, unpause it before"
        ))),
        (Checkpoint, Restarting) => Err(restarting(id)),
        (Checkpoint, Created | Exited | Removing | Dead) => not_running(),

        (Resize | Top, Running | Paused) => Ok(()),
        (Resize | Top, Restarting) => Err(restarting(id)),
        (Resize | Top, Created | Exited | Removing | Dead) => not_running(),

        (Exec, Running) => Ok(()),
        (Exec, Paused) => {
            Err(Error::conflict(format!("Container {id} is paused, unpause the container before exec")))
        }
        (Exec, Restarting) => Err(restarting(id)),
        (Exec, Created | Exited | Removing | Dead) => not_running(),

        // A container that does not run yet is attached to at its next start.
        (Attach, Created | Running | Exited) => Ok(()),
        (Attach, Paused) => {
            Err(Error::conflict(format!("container {id} is paused, unpause the container before attach")))
        }
        (Attach, Restarting) => {
            Err(Error::conflict(format!("container {id} is restarting, wait until the container is running")))
        }
        (Attach, Removing | Dead) => not_running(),

        (Remove | ForceRemove, Created | Exited | Dead) => Ok(()),
        (Remove | ForceRemove, Removing) => {
            Err(Error::conflict(format!("removal of container {id} is already in progress")))
        }
        (Remove, Paused) => Err(Error::conflict("container is paused and must be unpaused first")),
        (Remove, Running | Restarting) => Err(Error::conflict(format!(
            "container is {}: stop the container before removing or force remove",
            status.word()
        ))),
        (ForceRemove, Running | Paused | Restarting) => Ok(()),
    }
}

fn restarting(id: &str) -> Error {
    Error::conflict(format!("Container {id} is restarting, wait until the container is running"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn the_whole_table() {
        use Status::*;
        let statuses = [Created, Running, Paused, Restarting, Removing, Exited, Dead];
        // One letter per status: y allowed, n not modified, c conflict, e internal.
        let table = [
            (Action::Start, "yncncyc"),
            (Action::Stop, "nyyynnn"),
            (Action::Kill, "cyyyccc"),
            (Action::Pause, "cyccccc"),
            (Action::Unpause, "eeyeeee"),
            (Action::Checkpoint, "cyccccc"),
            (Action::Resize, "cyycccc"),
            (Action::Top, "cyycccc"),
            (Action::Exec, "cyccccc"),
            (Action::Attach, "yycccyc"),
            (Action::Remove, "yccccyy"),
            (Action::ForceRemove, "yyyycyy"),
        ];
        for (action, row) in table {
            for (status, expected) in statuses.into_iter().zip(row.chars()) {
                let got = match allow(status, action, "id").map_err(|error| error.class) {
                    Ok(()) => 'y',
                    Err(Class::NotModified) => 'n',
                    Err(Class::Conflict) => 'c',
                    Err(_) => 'e',
                };
                assert_eq!(got, expected, "{action:?} while {status:?}");
            }
        }
    }
}
