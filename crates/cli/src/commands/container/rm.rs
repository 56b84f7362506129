//! `rm`: removes containers.

use client::Remove;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::Flag;
use crate::output;

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
    let mut failures = Vec::new();
    for name in names {
        let bare = name.trim_matches('/');
        if bare.is_empty() {
            failures.push("container name cannot be empty".to_owned());
            continue;
        }
        match app.client.containers().remove(bare, how).await {
            Ok(()) => output::out(&format!("{name}\n")),
            Err(error) if error.is_connect() => return Err(error.into()),
            // With --force, what is not there is as good as removed.
            Err(error) if how.force && error.is_not_found() => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}
