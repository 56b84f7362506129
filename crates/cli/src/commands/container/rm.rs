//! `rm`: removes containers.

use std::ops::ControlFlow;

use client::Remove;

use super::{Told, in_order};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
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
            run(app, &line.operands, how).await
        })
    },
};

async fn run(app: &App, names: &[String], how: Remove) -> Outcome {
    let mut told = Told::default();
    let remove = async |name: &str| match name.trim_matches('/') {
        "" => None,
        bare => Some(app.client.containers().remove(bare, how).await),
    };
    in_order::each(names, in_order::MANY, remove, |name, result| match result {
        None => told.fail("container name cannot be empty"),
        // With --force, what is not there is as good as removed.
        Some(Err(error)) if how.force && error.is_not_found() => ControlFlow::Continue(()),
        Some(result) => told.hear(name, result),
    })
    .await;
    told.outcome()
}
