//! `rm`: removes containers.

use client::Remove;

use crate::command::{Command, Operands};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    flags: &[
        Flag::switch("force", "Remove a running container too (SIGKILL)").short('f'),
        Flag::switch("link", "Remove the link of that name").short('l'),
        Flag::switch("volumes", "Remove the container's anonymous volumes").short('v'),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container rm", "container remove", "rm"],
    run: |app, line| {
        Box::pin(async move {
            let how = Remove {
                force: line.switch("force"),
                link: line.switch("link"),
                volumes: line.switch("volumes"),
            };
            super::each(app, &line.operands, |app, name| async move {
                match app.client.containers().remove(name.trim_matches('/'), how).await {
                    // With --force, what is not there is as good as removed.
                    Err(error) if how.force && error.is_not_found() => {
                        crate::output::err(&format!("{error}\n"));
                        Ok(())
                    }
                    result => result,
                }
            })
            .await
        })
    },
};
